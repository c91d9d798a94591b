package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// retryDelay is the pause that a failed call asks for; 0: none.
func retryDelay(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// pressure is what came of checks that were offered.
type pressure struct {
	offered, answered, refused, allowed atomic.Int64
	other                               sync.Map // errors that should not be
}

// eventually waits for something that others bring about.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// press lets that many callers check a listed number concurrently and repeatedly: each a few times, and all of them
// until the
// server has refused one.
func press(t *testing.T, n *node, callers int) *pressure {
	t.Helper()
	ctx := testContext(t)
	p := new(pressure)
	var asking sync.WaitGroup
	for range callers {
		asking.Go(func() {
			for asked := 0; asked < 4 || p.refused.Load() == 0 && ctx.Err() == nil; asked++ {
				p.check(ctx, n)
			}
		})
	}
	asking.Wait()
	return p
}

func (p *pressure) check(ctx context.Context, n *node) {
	p.offered.Add(1)
	resp, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: listed})
	switch {
	case err == nil && resp.GetVerdict() == dncv1.Verdict_VERDICT_BLOCK:
		p.answered.Add(1)
	case err == nil:
		p.allowed.Add(1)
	case status.Code(err) == codes.ResourceExhausted && errorInfo(err).GetReason() == "OVERLOADED" && retryDelay(err) > 0:
		p.refused.Add(1)
	default:
		p.other.Store(err.Error(), true)
	}
}

// TestOverload: asked for much more than it can do, the server still answers, refuses the rest with the reason and the
// pause for it, and never lets a listed number through. That it answers nearly what it can is TestOverloadKeepsGoodput,
// where no other process takes the time.
func TestOverload(t *testing.T) {
	t.Parallel()
	const crowd, floor = 300, 64
	n := withRegistry(t)
	n.clock.delay("checkNumber", oneByOne(5*time.Millisecond))
	for range 20 { // one after the other, which is never too much
		n.checkNumber(listed, "")
	}
	p := press(t, n, crowd)
	offered, answered, refused := p.offered.Load(), p.answered.Load(), p.refused.Load()
	t.Logf("%d answered, %d refused", answered, refused)
	p.other.Range(func(err, _ any) bool {
		t.Errorf("got error %v, want OVERLOADED with a pause alone", err)
		return true
	})
	if p.allowed.Load() > 0 {
		t.Errorf("%d times got another verdict than BLOCK for a listed number", p.allowed.Load())
	}
	if refused == 0 || answered < floor || answered+refused != offered {
		t.Errorf("of %d checks %d were answered and %d refused, want at least %d and some, and no other", offered, answered, refused, floor)
	}
	if got := n.checkNumber(listed, ""); got.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("after the overload: got %v, want BLOCK", got.GetVerdict())
	}
	if _, err := n.admin.GetStats(testContext(t), &dncv1.GetStatsRequest{}); err != nil {
		t.Errorf("GetStats: %v", err)
	}
	if _, body := get(t, n.web+"/metrics"); !strings.Contains(body, fmt.Sprintf("dncd_admission_refused_total{work=\"unary\"} %d\n", refused)) {
		t.Errorf("/metrics does not tell of the refusals")
	}
}

// TestLoadsHaveTheirOwnRoom: as many loads as there is room for keep no check, no write, no health and no stats from being
// answered; one more is refused with the pause it is to make, and let in when another has ended.
func TestLoadsHaveTheirOwnRoom(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	ctx := testContext(t)
	open := func() (dncv1.ListService_ImportClient, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		stream, err := n.list.Import(ctx)
		if err != nil {
			t.Fatal(err)
		}
		send(stream, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: "us-ftc", SnapshotDate: "2026-09-09"}}})
		return stream, cancel
	}
	const room = 32
	_, endOne := open()
	defer endOne()
	for range room - 1 {
		_, cancel := open()
		t.Cleanup(cancel)
	}
	eventually(t, "the loads are under way", func() bool {
		_, body := get(t, n.web+"/metrics")
		return strings.Contains(body, `dncd_admission_under_way{work="loads"} 32`)
	})
	stream, cancel := open()
	defer cancel()
	_, err := stream.Recv()
	wantReason(t, err, codes.ResourceExhausted, "OVERLOADED")
	if got := stream.Trailer().Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "100" {
		t.Errorf("got pushback %v, want 100 ms", got)
	}

	n.checkNumber(listed, "")
	n.optOut(french, "")
	if _, err := n.admin.GetStats(ctx, &dncv1.GetStatsRequest{}); err != nil {
		t.Errorf("GetStats: %v", err)
	}
	if h, err := healthv1.NewHealthClient(n.conn).Check(ctx, &healthv1.HealthCheckRequest{}); err != nil || h.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health: got %v and %v, want SERVING", h, err)
	}
	endOne()
	eventually(t, "there is room for a load again", func() bool {
		stream, cancel := open()
		defer cancel()
		stream.CloseSend()
		_, err := stream.Recv()
		return errorInfo(err).GetReason() != "OVERLOADED"
	})
}

// TestWaitingForARevisionTakesNoRoom: checks that wait for a revision keep no other check out, however many they are.
func TestWaitingForARevisionTakesNoRoom(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var pending sync.WaitGroup
	defer pending.Wait()
	defer cancel()
	for range 200 {
		pending.Go(func() {
			_, _ = n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: listed, ReadAt: atLeast(1<<40, "")})
		})
	}
	n.awaitWaits(200)
	n.checkNumber(listed, "")
	if _, body := get(t, n.web+"/metrics"); !strings.Contains(body, `dncd_admission_under_way{work="unary"} 0`+"\n") {
		t.Error("checks that wait are counted as under way")
	}
}

// TestNoWorkAfterTheDeadline: a batch is not answered whose caller has gone before the server begins with it.
func TestNoWorkAfterTheDeadline(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	release := n.clock.hold("CheckNumbers")
	defer release()
	call := func(do func(ctx context.Context) error) (end func()) {
		ctx, cancel := context.WithCancel(testContext(t))
		ended := make(chan error, 1)
		go func() { ended <- do(ctx) }()
		return func() {
			cancel()
			if err := <-ended; status.Code(err) != codes.Canceled {
				t.Errorf("got %v, want Canceled", err)
			}
		}
	}
	underWay := func(units int) {
		t.Helper()
		n.waitForMetric(fmt.Sprintf(`dncd_admission_under_way{work="batch"} %d`, units))
	}
	all := make([]uint64, 10_000)
	for i := range all {
		all[i] = 14155550100
	}
	endBatch := call(func(ctx context.Context) error {
		_, err := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{E164: all})
		return err
	})
	underWay(len(all))
	endWait := call(func(ctx context.Context) error {
		_, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: listed, ReadAt: atLeast(1<<40, "")})
		return err
	})
	n.waitForMetric(`dncd_admission_under_way{work="waits"} 1`)
	endBatch()
	endWait()
	n.waitForMetric(`dncd_checks_total{source="unary",verdict="error"} 1`) // the server has seen both ends: one connection keeps their order
	release()
	underWay(0)
	if _, body := get(t, n.web+"/metrics"); !strings.Contains(body, `dncd_checks_total{source="batch",verdict="block"} 0`+"\n") {
		t.Error("the batch was answered after its caller had gone")
	}
}
