package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// A list that guards no number is deleted without confirmation. The load below is about to give it some: it waits for its
// switch.
func TestDeletionWithoutConfirmationKeepsOffALoad(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", Settings{Kind: policy.ListSuppression})
	id := listOf(t, s, "a").ID
	i := begin(t, s, header("a", Replace))
	put(t, i, 1, registryNumbers(100)...)
	var release func()
	switching, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: 100}, func(p Progress) {
			if p.Phase == PhaseSwitching {
				release = holdCommitter(t, s)
				close(switching)
			}
		})
		ended <- err
	}()
	<-switching
	time.Sleep(200 * time.Millisecond) // the switch is queued by then
	time.AfterFunc(200*time.Millisecond, release)
	if _, err := s.DeleteList(context.Background(), id, Request{}); !errors.Is(err, ErrImportRunning) {
		t.Errorf("deletion beside a load: %v, want ErrImportRunning", err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteList(context.Background(), id, Request{}); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("deletion after the load: %v, want ErrUnconfirmed", err)
	}
	wantContent(t, s, "a", registryNumbers(100), nil)
	if _, err := s.DeleteList(context.Background(), id, Request{Confirmed: true}); err != nil {
		t.Errorf("confirmed deletion: %v", err)
	}
}
