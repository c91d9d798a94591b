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

// fillQueue queues so many rows behind a committer that is held.
func fillQueue(t *testing.T, s *Store, count int) *batch {
	t.Helper()
	rows := make([]OptOutRow, count)
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
	b := fillQueue(t, s, 6*maxGroupEvents)
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
	b := fillQueue(t, s, 6*maxGroupEvents)
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

func TestFullQueueDoesNotRedoALoad(t *testing.T) {
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	numbers := registryNumbers(100)
	revision := prepareOnly(t, s, header("a", Replace), numbers, Commit{})
	release := holdCommitter(t, s)
	fillQueue(t, s, queueLen)
	if _, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 1)}, Request{}); !errors.Is(err, ErrBusy) {
		t.Fatalf("the queue is not full: %v", err)
	}
	time.AfterFunc(200*time.Millisecond, release) // the load has come to its end by then
	walks := 0
	_, err := s.finishLoad(context.Background(), listOf(t, s, "a").ID, revision, func(done uint64) {
		if done == 0 {
			walks++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if walks != 1 {
		t.Errorf("the load was written %d times, want once", walks)
	}
	wantContent(t, s, "a", numbers, nil)
}
