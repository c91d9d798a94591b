package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

func TestFullDiskStopsWritesAlone(t *testing.T) {
	t.Parallel()
	n := startIn(t, t.TempDir(), store.Options{MinFree: 1 << 60})
	_, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: french})
	wantReason(t, err, codes.ResourceExhausted, "DISK_FULL")
	if got := n.checkNumber(french, ""); got.GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
		t.Errorf("check: got %v, want ALLOW", got.GetVerdict())
	}
	if got := n.health(""); got != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health: got %v, want SERVING", got)
	}
	if code, body := get(t, n.web+"/readyz"); code != http.StatusOK || !strings.Contains(body, "without writes") {
		t.Errorf("/readyz: got %d %q", code, body)
	}
	stats, err := n.admin.GetStats(testContext(t), &dncv1.GetStatsRequest{})
	if err != nil || stats.GetState() != dncv1.StoreState_STORE_STATE_DISK_FULL || stats.GetStateMessage() == "" {
		t.Errorf("stats: got %v and %v", stats, err)
	}
}

// damaged is a store that lost its mark, which is damage that it finds at opening.
func damaged(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	n := startIn(t, dir, store.Options{MinFree: -1})
	n.optOut(french, "")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if err := n.store.Close(); err != nil {
		t.Fatal(err)
	}
	n.store = nil
	if err := os.Remove(filepath.Join(dir, "mark")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDamagedStoreServesNoAllow(t *testing.T) {
	t.Parallel()
	n := startIn(t, damaged(t), store.Options{MinFree: -1})
	if got := n.checkNumber(french, ""); got.GetVerdict() == dncv1.Verdict_VERDICT_ALLOW {
		t.Errorf("the opted-out number: got %v", got.GetVerdict())
	}
	got := n.checkNumber(listed, "")
	if got.GetVerdict() != dncv1.Verdict_VERDICT_UNKNOWN || got.GetCause() != dncv1.Cause_CAUSE_DATA_DAMAGED ||
		len(got.GetReasons()) != 1 || got.GetReasons()[0].GetKind() != dncv1.ReasonKind_REASON_KIND_DATA_DAMAGED {
		t.Errorf("another number: got %v, want UNKNOWN DATA_DAMAGED with its reason", got)
	}
	batch, err := n.check.CheckNumbers(testContext(t), &dncv1.CheckNumbersRequest{E164: []uint64{14155550100}})
	if err != nil || batch.GetDetails()[0].GetCause() != dncv1.Cause_CAUSE_DATA_DAMAGED || len(batch.GetReasons()) != 1 {
		t.Errorf("batch: got %v and %v", batch, err)
	}
	s := n.openStream(testContext(t))
	s.ask(ofText(1, french), ofText(2, listed))
	for id, a := range s.take(2) {
		if a.GetVerdict() == dncv1.Verdict_VERDICT_ALLOW || id == 2 && a.GetCause() != dncv1.Cause_CAUSE_DATA_DAMAGED {
			t.Errorf("stream: got %v", a)
		}
	}
	_, err = n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: french})
	wantReason(t, err, codes.Unavailable, "STORE_DAMAGED")
	_, err = n.record.GetNumber(testContext(t), &dncv1.GetNumberRequest{Number: french})
	wantReason(t, err, codes.Unavailable, "STORE_DAMAGED")
	_, err = n.record.ListHistory(testContext(t), &dncv1.ListHistoryRequest{Number: french})
	wantReason(t, err, codes.Unavailable, "STORE_DAMAGED")
	export, err := n.list.Export(testContext(t), &dncv1.ExportRequest{List: "us-ftc"})
	if err == nil {
		_, err = export.Recv()
	}
	wantReason(t, err, codes.Unavailable, "STORE_DAMAGED")
	_, err = dncv1.NewPolicyServiceClient(n.conn).GetPolicy(testContext(t), &dncv1.GetPolicyRequest{})
	wantReason(t, err, codes.Unavailable, "STORE_DAMAGED")
	for service, want := range map[string]healthv1.HealthCheckResponse_ServingStatus{
		"":                    healthv1.HealthCheckResponse_NOT_SERVING,
		"dnc.v1.CheckService": healthv1.HealthCheckResponse_NOT_SERVING,
		"dnc.v1.AdminService": healthv1.HealthCheckResponse_SERVING,
	} {
		if got := n.health(service); got != want {
			t.Errorf("health of %q: got %v, want %v", service, got, want)
		}
	}
	if code, body := get(t, n.web+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "fsck") {
		t.Errorf("/readyz: got %d %q, want 503 and what to do", code, body)
	}
	stats, err := n.admin.GetStats(testContext(t), &dncv1.GetStatsRequest{})
	if err != nil || stats.GetState() != dncv1.StoreState_STORE_STATE_DAMAGED {
		t.Errorf("stats: got %v and %v", stats, err)
	}
}

// A client sees the names of damaged files, and not their directories.
func TestDamageTellsNoPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startIn(t, dir, store.Options{MinFree: -1})
	n.createList(suppression("mine"))
	n.replace("mine", "", numbers(100)...)
	if err := os.RemoveAll(filepath.Join(dir, "blocks")); err != nil {
		t.Fatal(err)
	}
	for n.store.State().Cause == nil {
		time.Sleep(10 * time.Millisecond)
	}
	_, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: french})
	wantReason(t, err, codes.Unavailable, "STORE_DAMAGED")
	_, body := get(t, n.web+"/readyz")
	stats, failed := n.admin.GetStats(testContext(t), &dncv1.GetStatsRequest{})
	if failed != nil || stats.GetState() != dncv1.StoreState_STORE_STATE_DAMAGED {
		t.Errorf("stats: %v, %v", stats, failed)
	}
	for _, told := range []string{err.Error(), body, stats.GetStateMessage()} {
		if strings.Contains(told, "/") {
			t.Errorf("a path is told: %s", told)
		}
	}
	if code := n.health(""); code != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health: %v", code)
	}
}
