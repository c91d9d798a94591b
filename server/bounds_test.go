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

// TestStreamsOfAConnection: a connection has as many streams of checks as calls. Behind a proxy it carries those of many
// clients, and channels of Python and Node to one address share one.
func TestStreamsOfAConnection(t *testing.T) {
	t.Parallel()
	n := start(t)
	for i := range uint64(200) {
		s := n.openStream(testContext(t))
		s.ask(ofText(i, french))
		s.takeOne(i)
	}
	n.checkNumber(french, "")
}

// TestMessagesOfAConnection: the streams of one connection that do not read hold at most 48 MiB of messages and
// answers. A stream on another connection is answered immediately, and one on the same connection after the longest
// unread stream was cut.
func TestMessagesOfAConnection(t *testing.T) {
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
	for range 40 {
		sending.Go(func() {
			for { // a slow machine ends streams that do not read before all of them have taken room
				s, err := n.check.StreamChecks(ctx)
				if err != nil {
					return
				}
				for s.Send(full) == nil {
				}
			}
		})
	}
	const most = 52 << 20 // and a message
	eventually(t, "the room of the connection is taken", func() bool { return n.messagesUnderWay() > 48<<20 })
	other := n.openOn(testContext(t), n.another())
	other.ask(ofText(1, french))
	other.takeOne(1)
	eventually(t, "a stream beside them is answered", func() bool {
		if under := n.messagesUnderWay(); under > most {
			t.Errorf("got %v bytes under way, want at most 48 MiB and a message", under)
		}
		s := n.openStream(testContext(t))
		s.ask(ofText(2, french))
		_, err := s.Recv()
		return err == nil
	})
	cancel()
	n.waitForMetric(`dncd_admission_under_way{work="stream_messages"} 0`)
}

// messagesUnderWay is how many bytes of messages and answers of streams the server holds.
func (n *node) messagesUnderWay() float64 {
	n.t.Helper()
	return n.underWay("stream_messages")
}

// underWay is how much of that work is under way.
func (n *node) underWay(work string) (units float64) {
	n.t.Helper()
	_, body := get(n.t, n.web+"/metrics")
	_, after, _ := strings.Cut(body, fmt.Sprintf("dncd_admission_under_way{work=%q} ", work))
	if _, err := fmt.Sscan(after, &units); err != nil {
		n.t.Fatal(err)
	}
	return units
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
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
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
			_, err := dncv1.NewCheckServiceClient(c).CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, ReadAt: atLeast(unreached, "")})
			return err
		},
		func(c *grpc.ClientConn) error {
			_, err := dncv1.NewRecordServiceClient(c).GetNumber(ctx, &dncv1.GetNumberRequest{Number: french, ReadAt: atLeast(unreached, "")})
			return err
		},
		func(c *grpc.ClientConn) error {
			s, err := dncv1.NewListServiceClient(c).Export(ctx, &dncv1.ExportRequest{List: "mine", ReadAt: atLeast(unreached, "")})
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
	flood := func(conn *grpc.ClientConn) {
		s := n.openOn(ctx, conn)
		sending.Go(func() {
			for s.Send(full) == nil { // until it ends; one that is cut learns of it when it reads
			}
		})
	}
	for range 8 {
		conn := n.another()
		for range 16 {
			flood(conn)
		}
	}
	eventually(t, "an idle stream is cut", func() bool {
		flood(n.another())
		time.Sleep(200 * time.Millisecond)
		_, body := get(t, n.web+"/metrics")
		return strings.Contains(body, `reason="stream_idle"`)
	})
	if under := n.messagesUnderWay(); under > 260<<20 {
		t.Errorf("got %v bytes under way, want at most 256 MiB and a message", under)
	}
	eventually(t, "another is answered", func() bool {
		s := n.openStream(testContext(t))
		s.ask(ofText(1, french))
		resp, err := s.Recv()
		return err == nil && len(resp.GetAnswers()) == 1
	})
	cancel()
	n.waitForMetric(`dncd_admission_under_way{work="stream_messages"} 0`)
}

// TestUnreadAnswersOfBatches: answers to CheckNumbers that one client does not read take at most 48 MiB. Another connection
// is answered meanwhile. The room comes back when the calls end, and when the connection does.
func TestUnreadAnswersOfBatches(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	n := start(t)
	batch := &dncv1.CheckNumbersRequest{Numbers: make([]string, 10_000)} // errors, whose texts make a large answer
	ask := func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := dncv1.NewCheckServiceClient(conn).CheckNumbers(ctx, batch)
		return err
	}
	const most, answer = 48 << 20, 640 << 10 // an answer is a little larger
	// flood makes calls and reads no answer. The client lets the server send 64 KiB of each.
	flood := func(ctx context.Context, conn *grpc.ClientConn) {
		eventually(t, "the room of the connection is taken", func() bool {
			s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, dncv1.CheckService_CheckNumbers_FullMethodName)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.SendMsg(batch); err != nil {
				t.Fatal(err)
			}
			return n.underWay("batch_answers") > most-answer
		})
		for range 3 {
			wantReason(t, ask(ctx, conn), codes.ResourceExhausted, "OVERLOADED")
		}
		if unread := n.underWay("batch_answers"); unread > most {
			t.Errorf("got %v bytes of unread answers, want at most %d", unread, most)
		}
	}
	narrow := func() *grpc.ClientConn {
		conn, err := grpc.NewClient(n.addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(16<<20)) // which stay so
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	conn := narrow()
	ctx, cancel := context.WithCancel(testContext(t))
	flood(ctx, conn)
	if err := ask(testContext(t), n.another()); err != nil {
		t.Errorf("on another connection: %v", err)
	}
	cancel()
	n.waitForMetric(`dncd_admission_under_way{work="batch_answers"} 0`)
	if err := ask(testContext(t), conn); err != nil {
		t.Errorf("after the calls: %v", err)
	}
	conn = narrow()
	flood(testContext(t), conn)
	conn.Close()
	n.waitForMetric(`dncd_admission_under_way{work="batch_answers"} 0`)
}
