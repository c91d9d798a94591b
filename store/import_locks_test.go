package store

import (
	"context"
	"errors"
	"testing"
	"time"
)

func setMaxAge(s *Settings) { s.MaxAgeDays = 31 }

// holdUpdate keeps a change of the list's settings under way until release is called, which waits for it.
func holdUpdate(t *testing.T, s *Store, list string) (release func()) {
	t.Helper()
	held, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, _, err := s.UpdateList(context.Background(), listNamed(s, list), func(*Settings) {
			close(held)
			<-free
		}, Request{})
		done <- err
	}()
	<-held
	return func() {
		close(free)
		if err := <-done; err != nil {
			t.Error("the first update:", err)
		}
	}
}

func TestUpdateWaitsForThatOfItsOwnList(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	createList(t, s, "b", usRegistry())
	release := holdUpdate(t, s, "a")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, _, err := s.UpdateList(ctx, listNamed(s, "b"), setMaxAge, Request{}); err != nil {
		t.Errorf("another list: %v, want no wait", err)
	}
	short, end := context.WithTimeout(ctx, 20*time.Millisecond)
	defer end()
	if _, _, err := s.UpdateList(short, listNamed(s, "a"), setMaxAge, Request{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the same list: %v, want the end of its time", err)
	}
	waiting := make(chan error)
	go func() {
		_, _, err := s.UpdateList(ctx, listNamed(s, "a"), setMaxAge, Request{})
		waiting <- err
	}()
	release()
	if err := <-waiting; err != nil {
		t.Error("after the first:", err)
	}
	if got := listOf(t, s, "a").MaxAgeDays; got != 31 {
		t.Errorf("max age %d, want 31", got)
	}
}

func TestUpdateKeepsOffALoad(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	_, release, err := s.locks.LockList(context.Background(), listOf(t, s, "a").ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.UpdateList(context.Background(), listNamed(s, "a"), setMaxAge, Request{}); !errors.Is(err, ErrImportRunning) {
		t.Errorf("while a load owns the list: %v, want ErrImportRunning", err)
	}
	release()
	if _, _, err := s.UpdateList(context.Background(), listNamed(s, "a"), setMaxAge, Request{}); err != nil {
		t.Errorf("after the load: %v", err)
	}
	closeStore(t, s)
	if _, err := s.locks.LockSettings(context.Background(), s.View().Lists()[0].ID); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}
