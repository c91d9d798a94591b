package server_test

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
)

// stallingConn passes on that many bytes, and then nothing more.
type stallingConn struct {
	net.Conn
	left  int
	ended <-chan struct{} // closed when the test is over
}

// Write implements net.Conn.
func (c *stallingConn) Write(b []byte) (int, error) {
	if len(b) <= c.left {
		c.left -= len(b)
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(b[:c.left])
	c.left = 0
	if err == nil {
		<-c.ended
		err = net.ErrClosed
	}
	return n, err
}

// stalling is a connection to addr that stalls after that many bytes.
func stalling(t *testing.T, addr string, bytes int) *grpc.ClientConn {
	t.Helper()
	ended := make(chan struct{})
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			return &stallingConn{c, bytes, ended}, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(ended)
		conn.Close()
	})
	return conn
}

// TestMessagesThatDoNotArrive: a unary call ends whose message does not arrive, in part or at all. One with a message is
// answered meanwhile, and so are others after it.
func TestMessagesThatDoNotArrive(t *testing.T) {
	t.Parallel()
	s, err := server.New(server.Options{Store: start(t).store})
	if err != nil {
		t.Fatal(err)
	}
	s.SetMessageTime(300 * time.Millisecond)
	conn := serveServer(t, s)
	ctx := testContext(t)
	half := stalling(t, conn.Target(), 40<<10)
	_, err = dncv1.NewCheckServiceClient(half).CheckNumbers(ctx, &dncv1.CheckNumbersRequest{E164: make([]uint64, 10_000)})
	wantReason(t, err, codes.Aborted, "STREAM_IDLE")

	for range 3 {
		none, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, dncv1.CheckService_CheckNumber_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dncv1.NewCheckServiceClient(conn).CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french}); err != nil {
			t.Errorf("beside a call without a message: %v", err)
		}
		wantReason(t, none.RecvMsg(new(dncv1.CheckNumberResponse)), codes.Aborted, "STREAM_IDLE")
	}
}

// TestHalfMessagesGiveWay: streams that send half a message hold its room only until another stream needs it, and for
// some 10 s.
func TestHalfMessagesGiveWay(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	n := start(t)
	ctx := testContext(t)
	full := fullOf(func(id uint64) *dncv1.StreamCheck { return ofDigits(id, 33199000000+id) })
	for range 100 { // each of which holds almost 3 MiB of 256
		s := n.openOn(ctx, stalling(t, n.addr, 64<<10))
		s.ask(full...)
	}
	eventually(t, "the room is taken", func() bool { return n.messagesUnderWay() > 250<<20 })
	eventually(t, "another is answered", func() bool {
		s := n.openStream(testContext(t))
		s.ask(ofText(1, french))
		resp, err := s.Recv()
		return err == nil && len(resp.GetAnswers()) == 1
	})
}
