package client

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// newIdleStream is a stream whose call was never made.
func newIdleStream(t *testing.T) *checkStream {
	t.Helper()
	c, err := New("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := newCheckStream(c.lanes[0])
	t.Cleanup(func() {
		s.age.Stop()
		s.cancel()
	})
	return s
}

func checkOf(number string) *call {
	return newCall(context.Background(), number, new(callOptions), time.Time{})
}

// TestAStreamThatIsOverTakesNoCheck: nobody would answer it.
func TestAStreamThatIsOverTakesNoCheck(t *testing.T) {
	t.Parallel()
	for name, over := range map[string]func(*checkStream){
		"ended":   func(s *checkStream) { s.end(io.ErrUnexpectedEOF) },
		"retired": (*checkStream).retire,
	} {
		s := newIdleStream(t)
		over(s)
		if err := s.add(t.Context(), checkOf("+14155550100")); !errors.Is(err, errStreamOver) {
			t.Errorf("%s: got %v, want %v", name, err, errStreamOver)
		}
	}
}

// sends counts messages and sends none.
type sends struct {
	grpc.BidiStreamingClient[dncv1.StreamChecksRequest, dncv1.StreamChecksResponse]
	messages int
}

func (s *sends) SendMsg(any) error {
	s.messages++
	return nil
}

// TestCallersSendOnlyWhatGRPCTakesWithoutWaiting: otherwise the goroutine that may wait does, and no caller is held
// beyond its deadline.
func TestCallersSendOnlyWhatGRPCTakesWithoutWaiting(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		heard bool
		bytes int // sent before and not answered
		want  int // messages that the caller sends
	}{
		{"before the server's first answer", false, 0, 0},
		{"little unanswered", true, 0, 1},
		{"much unanswered", true, freeBytes, 0},
	}
	for _, tt := range tests {
		s, rpc := newIdleStream(t), new(sends)
		s.rpc, s.open, s.heard, s.bytes = rpc, true, tt.heard, tt.bytes
		if err := s.add(t.Context(), checkOf("+14155550100")); err != nil {
			t.Fatal(err)
		}
		if rpc.messages != tt.want || len(s.turn) != 1-tt.want {
			t.Errorf("%s: the caller sent %d messages and passed on %d, want %d and %d", tt.name, rpc.messages, len(s.turn), tt.want, 1-tt.want)
		}
	}
}
