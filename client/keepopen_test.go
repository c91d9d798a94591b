package client

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// sentFrames is the client's side of a stream that takes all that is sent.
type sentFrames struct {
	grpc.BidiStreamingClient[dncv1.ImportRequest, dncv1.ImportResponse]
	mu     sync.Mutex
	counts frameCounts
	closed bool
}

type frameCounts struct{ full, empty, afterTheClose int }

// sofar counts what was sent, once everybody waits.
func (s *sentFrames) sofar() frameCounts {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

func (s *sentFrames) Send(r *dncv1.ImportRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		s.counts.afterTheClose++
	case r.GetFrame() == nil:
		s.counts.empty++
	default:
		s.counts.full++
	}
	return nil
}

func (s *sentFrames) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// TestImportOfASlowSource: an import that has nothing to send says so each third of the limit that the server gave, and
// no more often; none to a server that gave no limit, and nothing after the end.
func TestImportOfASlowSource(t *testing.T) {
	t.Parallel()
	chunk := chunkFrame(&dncv1.ImportChunk{Seq: 1})
	for limit, want := range map[time.Duration]int{time.Minute: 15, 0: 0} {
		synctest.Test(t, func(t *testing.T) {
			sent := new(sentFrames)
			ctx, cancel := context.WithCancel(t.Context())
			s := keepOpen(ctx, sent, limit)
			for range 100 { // a source that is quick
				time.Sleep(time.Second)
				_ = s.Send(chunk)
			}
			if got := sent.sofar(); got.full != 100 || got.empty != 0 {
				t.Errorf("limit %v: got %d chunks and %d empty requests, want 100 and 0", limit, got.full, got.empty)
			}
			time.Sleep(5*time.Minute + time.Second) // one that pauses
			if got := sent.sofar(); got.empty != want {
				t.Errorf("limit %v: got %d empty requests in five minutes, want %d", limit, got.empty, want)
			}
			_ = s.CloseSend()
			time.Sleep(time.Hour)
			if got := sent.sofar(); got.afterTheClose != 0 {
				t.Errorf("limit %v: got %d requests after the end, want none", limit, got.afterTheClose)
			}
			cancel()
		})
	}
}
