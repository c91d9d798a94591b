package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
)

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	n.checkNumber(listed, "")
	n.checkNumber(unlisted, "")
	for path, want := range map[string]string{
		"/healthz":            "alive",
		"/readyz":             "ready",
		"/debug/pprof/symbol": "num_symbols",
	} {
		if code, body := get(t, n.web+path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %q, want 200 and %q", path, code, body, want)
		}
	}
	_, body := get(t, n.web+"/metrics")
	for _, line := range []string{
		`dncd_checks_total{source="unary",verdict="allow"} 1`,
		`dncd_checks_total{source="unary",verdict="block"} 1`,
		`dncd_writes_total{kind="list",result="ok"} 1`,
		`dncd_writes_total{kind="load",result="ok"} 1`,
		`dncd_numbers{list="us-ftc",set="registry"} 100`,
		`dncd_list_loaded{list="us-ftc"} 1`,
		`dncd_ready 1`,
		`dncd_build_info{version="test"} 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	n.optOut(french, "")
	n.optOut(french, "acme")
	got, err := n.admin.GetStats(testContext(t), &dncv1.GetStatsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetPosition().GetRevision() != n.store.View().Revision() || got.GetState() != dncv1.StoreState_STORE_STATE_READY ||
		got.GetRecordNumbers() != 1 || got.GetRecords() != 2 || got.GetVersion() != "test" || got.GetDiskBytes() == 0 ||
		got.GetOldestList() != "us-ftc" || got.GetOldestSnapshotDate() != "2026-09-09" || got.GetHistoryFrom() != 1 {
		t.Errorf("got %v", got)
	}
	if l := got.GetLists(); len(l) != 1 || l[0].GetNumbers() != 100 || l[0].GetState() != dncv1.ListState_LIST_STATE_LOADED {
		t.Errorf("got lists %v", l)
	}
}

func (n *node) health(service string) healthv1.HealthCheckResponse_ServingStatus {
	n.t.Helper()
	resp, err := healthv1.NewHealthClient(n.conn).Check(testContext(n.t), &healthv1.HealthCheckRequest{Service: service})
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.GetStatus()
}

func TestHealthOfEachService(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, service := range []string{"", "dnc.v1.CheckService", "dnc.v1.RecordService", "dnc.v1.ListService", "dnc.v1.AdminService"} {
		if got := n.health(service); got != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("%q: got %v, want SERVING", service, got)
		}
	}
}

// A stop reports to the watchers of health first, lets a call in flight end, and ends streams and calls that wait.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	ctx := testContext(t)
	watch, err := healthv1.NewHealthClient(n.conn).Watch(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("got %v and %v, want SERVING", got, err)
	}
	load, err := n.list.Import(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send(load, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: "mine"}}})
	if _, err := load.Recv(); err != nil {
		t.Fatal(err)
	}
	waited, answered := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, ReadAt: atLeast(n.store.View().Revision()+1, "")})
		waited <- err
	}()
	n.awaitWaits(1)
	release := n.clock.hold("CheckNumbers")
	defer release()
	go func() {
		_, err := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{Numbers: []string{french, french, french, french}})
		answered <- err
	}()
	n.waitForMetric(`dncd_admission_under_way{work="batch"} 4`)
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop() }()
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("got %v and %v, want NOT_SERVING", got, err)
	}
	_, err = load.Recv()
	wantReason(t, err, codes.Unavailable, "SHUTTING_DOWN")
	if _, err := watch.Recv(); err == nil {
		t.Error("the watch of health goes on after the stop")
	}
	wantReason(t, <-waited, codes.Unavailable, "SHUTTING_DOWN")
	release()
	if err := <-answered; err != nil {
		t.Errorf("the batch in flight: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestStopCutsWhatOutlivesTheGrace(t *testing.T) {
	t.Parallel()
	n := start(t, func(o *server.Options) { o.Grace = 300 * time.Millisecond })
	release := n.clock.hold("CheckNumbers")
	defer release()
	ctx := testContext(t)
	answered := make(chan error, 1)
	go func() {
		_, err := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{E164: make([]uint64, 1000)})
		answered <- err
	}()
	n.waitForMetric(`dncd_admission_under_way{work="batch"} 1000`)
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop() }()
	if err := <-answered; status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
	select {
	case err := <-stopped:
		t.Errorf("the stop ended with %v before the handler did", err)
	case <-time.After(20 * time.Millisecond):
	}
	release()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestTimeOverBeforeWork(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	if _, err := n.record.RecordOptOut(ctx, &dncv1.RecordOptOutRequest{Number: french}); status.Code(err) != codes.Canceled {
		t.Errorf("got %v, want Canceled", err)
	}
	if r := n.store.View().Revision(); r != 0 {
		t.Errorf("a write came through at revision %d", r)
	}
}

func TestUnknownMethodsAreNotBuilt(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, method := range []string{"/dnc.v1.PropagationService/Replay", "/dnc.v1.PolicyService/Foresee", "/x.Y/Z"} {
		err := n.conn.Invoke(testContext(t), method, &dncv1.GetStatsRequest{}, &dncv1.GetStatsResponse{})
		wantReason(t, err, codes.Unimplemented, "UNSUPPORTED")
	}
}

// TestMessagesThatAreTooLargeOrNoText: a message that is not read has a reason of the contract, on every kind of call.
func TestMessagesThatAreTooLargeOrNoText(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	large := make(rawMessage, 1<<20+1)
	noText := rawMessage{0x0a, 2, 0xff, 0xfe} // as text no UTF-8, as a message no fields
	for method, reason := range map[string]string{
		dncv1.CheckService_CheckNumber_FullMethodName:    "BATCH_TOO_LARGE",
		dncv1.CheckService_CheckNumbers_FullMethodName:   "BATCH_TOO_LARGE",
		dncv1.CheckService_StreamChecks_FullMethodName:   "BATCH_TOO_LARGE",
		dncv1.RecordService_RecordOptOut_FullMethodName:  "FIELD_INVALID",
		dncv1.RecordService_ImportRecords_FullMethodName: "FIELD_INVALID",
		dncv1.ListService_Import_FullMethodName:          "FIELD_INVALID",
		dncv1.ListService_Export_FullMethodName:          "FIELD_INVALID",
	} {
		for body, want := range map[*rawMessage]string{&large: reason, &noText: "FIELD_INVALID"} {
			stream, err := n.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodec(rawCodec{}))
			if err != nil {
				t.Fatal(err)
			}
			_ = stream.SendMsg(body) // Recv returns the reason
			err = stream.RecvMsg(new(rawMessage))
			if body == &large && !strings.Contains(err.Error(), "1 MiB") && !strings.Contains(err.Error(), "256 KiB") {
				t.Errorf("%s: got %v, want the limit in it", method, err)
			}
			wantReason(t, err, codes.InvalidArgument, want)
		}
	}
}

// rawMessage is bytes as they go over the wire.
type rawMessage []byte

type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*rawMessage), nil }

func (rawCodec) Unmarshal(b []byte, v any) error {
	*v.(*rawMessage) = b
	return nil
}

func (rawCodec) Name() string { return "proto" }

func TestReflectionIsAnOption(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		n := start(t, func(o *server.Options) { o.Reflection = on })
		stream, err := n.conn.NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
			"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
		if err != nil {
			t.Fatal(err)
		}
		stream.CloseSend()
		err = stream.RecvMsg(&dncv1.GetStatsRequest{})
		if served := errors.Is(err, io.EOF); served != on {
			t.Errorf("reflection %v: got %v", on, err)
		}
	}
}

// Every reason of the contract has the code that its comment documents.
func TestReasonCodesAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	proto, err := os.ReadFile(filepath.Join("..", "proto", "dnc", "v1", "error.proto"))
	if err != nil {
		t.Fatal(err)
	}
	found := documentedCodes(string(proto))
	for value, name := range dncv1.ErrorReason_name {
		if value == 0 {
			continue
		}
		got := server.ReasonCode(dncv1.ErrorReason(value))
		var want codes.Code
		if err := want.UnmarshalJSON([]byte(`"` + found[name] + `"`)); err != nil || got != want {
			t.Errorf("%s: got %v, documented %q", name, got, found[name])
		}
	}
}

// documentedCodes reads the first word of the comment above each value.
func documentedCodes(proto string) map[string]string {
	found := map[string]string{}
	comment := ""
	for line := range strings.Lines(proto) {
		line = strings.TrimSpace(line)
		text, isComment := strings.CutPrefix(line, "// ")
		switch {
		case isComment && comment == "":
			comment, _, _ = strings.Cut(text, " ")
		case !isComment:
			if name, _, ok := strings.Cut(line, " = "); ok {
				found[name] = strings.TrimSuffix(comment, ".")
			}
			comment = ""
		}
	}
	return found
}
