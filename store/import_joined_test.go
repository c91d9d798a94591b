package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Callers who commit again are told how far the load is; one who is slow, and one who goes, hold nothing up.
func TestJoinedLoadTellsItsProgress(t *testing.T) { // alone: it looks for goroutines that stay
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := open(t, t.TempDir())
	defer closeStore(t, s)
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, registryNumbers(100), Commit{})
	h := header("a", Replace)
	chunks := [][]uint64{registryNumbers(30_000)}
	c := Commit{Chunks: 1, Read: 30_000, Digest: digestOf(chunks)}
	byID, release := loadUntilWriting(t, s, h, chunks[0], c)
	release = sync.OnceFunc(release)
	defer release()

	gone, cancel := context.WithCancel(context.Background())
	defer cancel()
	late := time.AfterFunc(time.Minute, func() { t.Error("no progress was told"); cancel() })
	_, err := resume(t, s, h).Commit(gone, c, func(p Progress) {
		if p.Done == 30_000 && p.Total == 30_000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who goes: %v, want the context's error", err)
	}

	late.Stop()

	slow := begin(t, s, byID)
	told, read := make(chan struct{}), make(chan struct{})
	tell := sync.OnceFunc(func() { close(told); <-read })
	ended := make(chan error, 1)
	go func() {
		r, err := slow.Commit(context.Background(), c, func(Progress) { tell() })
		if err == nil && r.Added != 29_900 {
			t.Errorf("%+v, want the result of the load", r)
		}
		ended <- err
	}()
	select {
	case <-told:
	case <-time.After(time.Minute):
		t.Error("no progress was told")
	}
	release()
	awaitIdle(t, s, "a")
	close(read)
	if err := <-ended; err != nil {
		t.Errorf("a caller who is slow: %v", err)
	}
	if n := len(s.loading.loads); n != 0 {
		t.Errorf("%d loads are noted as being written, want none", n)
	}
}
