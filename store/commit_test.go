package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// holdCommitter keeps the committer from its work until release is called.
func holdCommitter(t *testing.T, s *Store) (release func()) {
	t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	go s.between(func() { close(held); <-free })
	<-held
	return func() { close(free) }
}

// fillQueue queues the rows of several groups, behind a committer that is held.
func fillQueue(t *testing.T, s *Store) *batch {
	t.Helper()
	rows := make([]OptOutRow, 6*maxGroupEvents)
	for i := range rows {
		rows[i] = row(writersNumber(0, uint64(i)), "acme", policy.ChannelCall, day(1))
	}
	b, err := newBatch(context.Background(), rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.submitBatch(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBetweenDoesNotWaitForAllWrites(t *testing.T) {
	s := open(t, t.TempDir())
	release := holdCommitter(t, s)
	b := fillQueue(t, s)
	var at uint64
	ran := make(chan bool)
	go func() { ran <- s.between(func() { at = s.View().revision }) }()
	release()
	if !<-ran {
		t.Fatal("between did not run")
	}
	if err := s.await(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if last := s.View().revision; last < 3 || at == last {
		t.Errorf("between ran at revision %d of %d, want it before the last", at, last)
	}
}

func TestCloseDoesNotWaitForWrites(t *testing.T) {
	s := open(t, t.TempDir())
	release := holdCommitter(t, s)
	b := fillQueue(t, s)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.closing
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := s.RecordOptOut(ctx, OptOut{Number: fiction(415, 1)}, Request{})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("a write after Close: %v, want ErrClosed at once", err)
	}
	release()
	if err := <-closed; err != nil {
		t.Error("close:", err)
	}
	if got := s.View().revision; got != 0 {
		t.Errorf("revision %d after Close, want no group committed", got)
	}
	if outcomes, err := b.results(); len(outcomes) != 0 || !errors.Is(err, ErrClosed) {
		t.Errorf("waiting writes: %d outcomes and %v, want ErrClosed", len(outcomes), err)
	}
}
