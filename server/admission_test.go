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
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
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

// pressure is what came of checks that were offered at a steady pace.
type pressure struct {
	answered, refused, allowed atomic.Int64
	other                      sync.Map // errors that should not be
}

// eventually waits for something that others bring about.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// press offers checks of a listed number, perSecond of them for a while, whatever becomes of those before.
func press(t *testing.T, n *node, perSecond int, lasts time.Duration) *pressure {
	t.Helper()
	ctx := testContext(t)
	p := new(pressure)
	var pending sync.WaitGroup
	defer pending.Wait()
	begin := time.Now()
	for i := range int(float64(perSecond) * lasts.Seconds()) {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
		pending.Go(func() { p.check(ctx, n) })
	}
	return p
}

func (p *pressure) check(ctx context.Context, n *node) {
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

// TestOverload: asked for three times what it can do, the server still does nearly what it can, refuses the rest with the
// reason and the pause for it, and never lets a listed number through.
func TestOverload(t *testing.T) {
	const capacity, lasts = 1000, time.Second
	n := withRegistry(t, func(o *server.Options) { o.Capacity = capacity })
	once := press(t, n, capacity, lasts)
	thrice := press(t, n, 3*capacity, 2*lasts)
	for name, p := range map[string]*pressure{"once": once, "thrice": thrice} {
		t.Logf("%s: %d answered, %d refused", name, p.answered.Load(), p.refused.Load())
		p.other.Range(func(err, _ any) bool {
			t.Errorf("%s: got error %v, want OVERLOADED with a pause alone", name, err)
			return true
		})
		if p.allowed.Load() > 0 {
			t.Errorf("%s: %d times got another verdict than BLOCK for a listed number", name, p.allowed.Load())
		}
	}
	if thrice.refused.Load() == 0 {
		t.Error("three times the capacity: nothing was refused")
	}
	if got, want := thrice.answered.Load()/2, once.answered.Load()*6/10; got < want {
		t.Errorf("three times the capacity: got %d answers a second, want at least %d", got, want)
	}
	if _, err := n.admin.GetStats(testContext(t), &dncv1.GetStatsRequest{}); err != nil {
		t.Errorf("GetStats: %v", err)
	}
	if _, body := get(t, n.web+"/metrics"); !strings.Contains(body, `dncd_admission_refused_total{work="unary"} `+fmt.Sprint(once.refused.Load()+thrice.refused.Load())+"\n") {
		t.Errorf("/metrics does not tell of the refusals")
	}
}

// TestLoadsHaveTheirOwnRoom: as many loads as there is room for keep no check, no write, no health and no stats from being
// answered; one more is refused with the pause it is to make, and let in when another has ended.
func TestLoadsHaveTheirOwnRoom(t *testing.T) {
	n := withRegistry(t)
	ctx := testContext(t)
	open := func() (dncv1.ListService_ImportClient, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		stream, err := n.list.Import(ctx)
		if err != nil {
			t.Fatal(err)
		}
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

// TestWaitingForARevisionTakesNoRoom: checks that wait for a revision keep nobody out, however many they are.
func TestWaitingForARevisionTakesNoRoom(t *testing.T) {
	n := withRegistry(t)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var pending sync.WaitGroup
	defer pending.Wait()
	defer cancel()
	for range 200 {
		pending.Go(func() {
			_, _ = n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: listed, MinRevision: 1 << 40})
		})
	}
	n.checkNumber(listed, "")
	if _, body := get(t, n.web+"/metrics"); !strings.Contains(body, `dncd_admission_under_way{work="unary"} 0`+"\n") {
		t.Error("checks that wait are counted as under way")
	}
}

// TestNoWorkAfterTheDeadline: a check whose caller is gone when its turn comes is not answered.
func TestNoWorkAfterTheDeadline(t *testing.T) {
	n := withRegistry(t, func(o *server.Options) { o.Capacity = 1 })
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	var trailer metadata.MD
	if resp, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: listed}, grpc.Trailer(&trailer)); err == nil {
		t.Fatalf("got %v, want no answer", resp)
	}
	eventually(t, "the check has ended as an error", func() bool {
		_, body := get(t, n.web+"/metrics")
		return strings.Contains(body, `dncd_checks_total{source="unary",verdict="error"} 1`+"\n") &&
			strings.Contains(body, `dncd_admission_under_way{work="unary"} 0`+"\n")
	})
	if _, body := get(t, n.web+"/metrics"); !strings.Contains(body, `dncd_checks_total{source="unary",verdict="block"} 0`) {
		t.Error("the check was answered after its deadline")
	}
}
