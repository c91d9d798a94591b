package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// call is one call to the server; it may be made by several goroutines at once.
type call func(ctx context.Context) error

// traffic makes calls until ctx ends, and returns how long each took. A
// failure ends it, at least the worker that met it.
type traffic func(ctx context.Context) *times

// times are the times of calls, in microseconds. Safe for concurrent use.
type times struct {
	mu   sync.Mutex
	hist *hdrhistogram.Histogram
	took time.Duration // of all
	err  error         // the first
}

const longest = time.Minute

func newTimes() *times { return &times{hist: hdrhistogram.New(1, longest.Microseconds(), 3)} }

// add notes a call. One that the end of ctx cut short is none.
func (t *times) add(ctx context.Context, took time.Duration, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		err = t.hist.RecordValue(min(max(took, time.Microsecond), longest).Microseconds())
	}
	if t.err == nil {
		t.err = err
	}
}

func (t *times) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// closed makes calls with so many workers, each of which calls again once it is
// answered.
func closed(workers int, c call) traffic {
	return func(ctx context.Context) *times {
		all, start := newTimes(), time.Now()
		var working sync.WaitGroup
		for range workers {
			working.Go(func() {
				own := newTimes()
				for ctx.Err() == nil && own.err == nil {
					begin := time.Now()
					err := c(ctx)
					own.add(ctx, time.Since(begin), err)
				}
				all.merge(own)
			})
		}
		working.Wait()
		all.took = time.Since(start)
		return all
	}
}

func (t *times) merge(other *times) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hist.Merge(other.hist)
	t.err = errors.Join(t.err, other.err)
}

// open makes calls at a rate, whether answered or not. A call's time begins when it
// was due, so that a server that stands still shows in each call that it delays.
func open(rate int, c call) traffic {
	return func(ctx context.Context) *times {
		const mostAtOnce = 10_000
		all, start := newTimes(), time.Now()
		room := make(chan struct{}, mostAtOnce)
		var calling sync.WaitGroup
		for i := 0; all.failed() == nil; i++ {
			due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
			if sleep(ctx, time.Until(due)) != nil {
				break
			}
			room <- struct{}{}
			calling.Go(func() {
				err := c(ctx)
				all.add(ctx, time.Since(due), err)
				<-room
			})
		}
		calling.Wait()
		all.took = time.Since(start)
		return all
	}
}
