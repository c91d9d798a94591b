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

// TestListOfTheSameNameIsAnother: what was asked of a list does not happen to a later one of its name.
func TestListOfTheSameNameIsAnother(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), open(t, t.TempDir())
	first := createList(t, s, "a", usRegistry())
	if _, err := s.DeleteList(ctx, first.ID, Request{Confirmed: true}); err != nil {
		t.Fatal(err)
	}
	second := createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	for id, want := range map[policy.EventID]error{first.ID: ErrListNotFound, second.ID: nil} {
		h.ListID = id
		i, err := s.BeginImport(h)
		if !errors.Is(err, want) {
			t.Errorf("import: got %v, want %v", err, want)
		}
		if err == nil {
			must(t, i.Close())
		}
		_, _, err = s.UpdateList(ctx, id, setMaxAge, Request{})
		if !errors.Is(err, want) {
			t.Errorf("update: got %v, want %v", err, want)
		}
		_, err = s.Revert(ctx, h, noProgress)
		if missing := errors.Is(err, ErrListNotFound); missing != (want != nil) {
			t.Errorf("revert: got %v, want the list missing: %v", err, want != nil)
		}
	}
}
