package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// another is a connection of its own.
func (n *node) another() *grpc.ClientConn {
	n.t.Helper()
	conn, err := grpc.NewClient(n.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	return conn
}

// openOn opens a stream of checks on a connection.
func (n *node) openOn(ctx context.Context, conn *grpc.ClientConn) stream {
	n.t.Helper()
	s, err := dncv1.NewCheckServiceClient(conn).StreamChecks(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	return stream{s, n.t}
}

// TestStreamsOfAConnection: a connection has at most 16 streams of checks. One more is refused, another connection has
// its own, and so has this one when a stream has ended.
func TestStreamsOfAConnection(t *testing.T) {
	t.Parallel()
	n := start(t)
	const most = 16
	answered := func(s stream) error {
		s.ask(ofText(1, french))
		_, err := s.Recv()
		return err
	}
	ctx, cancel := context.WithCancel(testContext(t))
	for i := range most {
		if err := answered(n.openOn(ctx, n.conn)); err != nil {
			t.Fatalf("stream %d: %v", i+1, err)
		}
	}
	err := answered(n.openStream(testContext(t)))
	wantReason(t, err, codes.ResourceExhausted, "TOO_MANY_STREAMS")
	if limit := errorInfo(err).GetMetadata()["limit"]; limit != "16" {
		t.Errorf("got limit %q, want 16", limit)
	}
	if err := answered(n.openOn(testContext(t), n.another())); err != nil {
		t.Errorf("on another connection: %v", err)
	}
	n.checkNumber(french, "") // single checks are none of it
	cancel()
	eventually(t, "there is room for a stream again", func() bool { return answered(n.openStream(testContext(t))) == nil })
}

// fullOf is a message of as many checks as one may hold.
func fullOf(check func(id uint64) *dncv1.StreamCheck) []*dncv1.StreamCheck {
	checks := make([]*dncv1.StreamCheck, 10_000)
	for i := range checks {
		checks[i] = check(uint64(i))
	}
	return checks
}

// TestChecksThatWaitAreBounded: 65,536 checks of all streams together may wait for a revision, whatever there is room for
// on each. Those beyond are refused, and all of it is room again when the streams have ended.
func TestChecksThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	n := start(t)
	const most, each, streams = 65_536, 10_000, 7
	waiting := fullOf(func(id uint64) *dncv1.StreamCheck { return waitingFor(id, 1<<40, time.Minute) })
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	ask := func() stream {
		s := n.openOn(ctx, n.conn)
		s.ask(waiting[:each/2]...) // half: a message may have 256 KiB
		s.ask(waiting[each/2:]...)
		return s
	}
	for i := range streams - 1 {
		ask()
		n.waitForMetric(fmt.Sprintf(`dncd_admission_under_way{work="stream_waits"} %d`, (i+1)*each))
	}
	const refused = streams*each - most
	for _, a := range ask().take(refused) {
		wantItemError(t, a, dncv1.ErrorReason_ERROR_REASON_QUEUE_FULL)
	}
	n.waitForMetric(fmt.Sprintf(`dncd_admission_under_way{work="stream_waits"} %d`, most))
	n.waitForMetric(fmt.Sprintf(`dncd_admission_refused_total{work="stream_waits"} %d`, refused))
	n.checkNumber(french, "")
	cancel()
	n.waitForMetric(`dncd_admission_under_way{work="stream_waits"} 0`)
}

// TestCallsThatWaitAreBounded: 4,096 calls may wait for a revision; one more is refused. None of them takes the room of
// records, of opt-outs or of loads.
func TestCallsThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	n := start(t)
	n.createList(suppression("mine"))
	const most = 4096
	ctx, cancel := context.WithCancel(testContext(t))
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	const unreached = 1 << 40
	calls := []func(*grpc.ClientConn) error{
		func(c *grpc.ClientConn) error {
			_, err := dncv1.NewCheckServiceClient(c).CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, MinRevision: unreached})
			return err
		},
		func(c *grpc.ClientConn) error {
			_, err := dncv1.NewRecordServiceClient(c).GetNumber(ctx, &dncv1.GetNumberRequest{Number: french, MinRevision: unreached})
			return err
		},
		func(c *grpc.ClientConn) error {
			s, err := dncv1.NewListServiceClient(c).Export(ctx, &dncv1.ExportRequest{List: "mine", MinRevision: unreached})
			if err == nil {
				_, err = s.Recv()
			}
			return err
		},
	}
	for i := range most/256 + 1 {
		conn := n.another()
		for j := range min(256, most-256*i) {
			waiting.Go(func() { _ = calls[j%len(calls)](conn) })
		}
	}
	n.waitForMetric(fmt.Sprintf(`dncd_admission_under_way{work="waits"} %d`, most))
	for i, call := range calls {
		if err := call(n.conn); errorInfo(err).GetReason() != "OVERLOADED" {
			t.Errorf("call %d: got %v, want OVERLOADED", i, err)
		}
	}
	n.optOut(french, "")
	for _, work := range []string{"records", "opt_outs", "loads", "unary"} {
		n.waitForMetric(fmt.Sprintf(`dncd_admission_under_way{work=%q} 0`, work))
	}
	cancel()
	n.waitForMetric(`dncd_admission_under_way{work="waits"} 0`)
}

// TestRoomOfMessages: streams that do not read hold at most 256 MiB of messages and answers. When that is taken, the one
// that has not read for longest is cut, and others are answered.
func TestRoomOfMessages(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	n := start(t)
	full := &dncv1.StreamChecksRequest{Checks: fullOf(func(id uint64) *dncv1.StreamCheck { return ofDigits(id, 33199000000+id) })}
	ctx, cancel := context.WithCancel(testContext(t))
	var sending sync.WaitGroup
	defer sending.Wait()
	defer cancel()
	ended := make(chan error, 10_000)
	flood := func(conn *grpc.ClientConn) {
		s := n.openOn(ctx, conn)
		sending.Go(func() {
			for s.Send(full) == nil { // until the stream has ended
			}
			for {
				if _, err := s.Recv(); err != nil { // after what was answered before
					ended <- err
					return
				}
			}
		})
	}
	for range 8 {
		conn := n.another()
		for range 16 {
			flood(conn)
		}
	}
	for cut := false; !cut && ctx.Err() == nil; {
		select {
		case err := <-ended:
			if cut = errorInfo(err).GetReason() == "STREAM_IDLE"; !cut {
				wantReason(t, err, codes.ResourceExhausted, "OVERLOADED") // that found no room for a second
			}
		case <-time.After(200 * time.Millisecond): // all that are left have room
			flood(n.another())
		}
	}
	const metric = `dncd_admission_under_way{work="stream_messages"} `
	_, body := get(t, n.web+"/metrics")
	_, after, _ := strings.Cut(body, metric)
	var under float64
	if _, err := fmt.Sscan(after, &under); err != nil || under > 260<<20 {
		t.Errorf("got %v bytes under way (%v), want at most 256 MiB and a message", under, err)
	}
	eventually(t, "another is answered", func() bool {
		s := n.openStream(testContext(t))
		s.ask(ofText(1, french))
		resp, err := s.Recv()
		return err == nil && len(resp.GetAnswers()) == 1
	})
	cancel()
	n.waitForMetric(metric + "0")
}
