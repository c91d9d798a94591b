package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// TestStreamsTakeTurns: the more streams have just sent, the longer each rests, and one that did not send lately does not.
func TestStreamsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stopping := make(chan struct{})
		s := &propagationService{service: service{draining: stopping}, turns: rate.NewLimiter(1000, 1)}
		rest := func(ctx context.Context) time.Duration {
			began := time.Now()
			(&watcher{s: s}).rest(ctx)
			return time.Since(began)
		}
		if took := rest(t.Context()); took != 0 {
			t.Errorf("a stream rested %v after quiet, want not at all", took)
		}
		var all sync.WaitGroup
		began := time.Now()
		for range 100 {
			all.Go(func() { rest(t.Context()) })
		}
		all.Wait()
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("100 streams took %v for a turn each, want 100ms", took)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if took := rest(ended); took != 0 {
			t.Errorf("a stream that has ended rested %v", took)
		}
		close(stopping)
		if took := rest(t.Context()); took != 0 {
			t.Errorf("a stream rested %v while the server stops", took)
		}
	})
}

// sent is the stream of a watcher: it keeps what is sent.
type sent struct {
	grpc.ServerStreamingServer[dncv1.WatchResponse]
	ctx      context.Context
	messages chan *dncv1.WatchResponse
}

func (s *sent) Context() context.Context { return s.ctx }

func (s *sent) Send(m *dncv1.WatchResponse) error {
	s.messages <- m
	return nil
}

// TestChangesOfARestComeTogether: what is recorded while a stream rests comes in one message.
func TestChangesOfARestComeTogether(t *testing.T) {
	t.Parallel()
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	const turn, optOuts = 200 * time.Millisecond, 40
	s := &propagationService{service: service{store: st, draining: make(chan struct{}), connectionAge: time.Hour}, turns: rate.NewLimiter(rate.Every(turn), 1)}
	reader, err := st.OpenFeed((&feedTarget{}).query(store.FeedCursor{}))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, stop := context.WithCancel(t.Context())
	stream := &sent{ctx: ctx, messages: make(chan *dncv1.WatchResponse, 2*optOuts)}
	ended := make(chan error, 1)
	go func() { ended <- (&watcher{s: s, t: new(feedTarget), reader: reader, stream: stream}).run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the watcher ended with %v, want that its context was cancelled", err)
		}
	}()

	began := time.Now()
	for i := range optOuts {
		n, err := phone.Parse(fmt.Sprintf("+141555501%02d", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.RecordOptOut(t.Context(), store.OptOut{Number: n}, store.Request{}); err != nil {
			t.Fatal(err)
		}
	}
	came, messages := 0, 0
	for came < optOuts {
		if m := <-stream.messages; len(m.GetChanges()) > 0 {
			came += len(m.GetChanges())
			messages++
		}
	}
	if most := 2 + int(time.Since(began)/turn); messages > most {
		t.Errorf("%d changes came in %d messages, want at most %d", came, messages, most)
	}
}
