package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dncd/dncd/bench/internal/process"
)

// paced has workers do work that is due at a rate, for some time, and returns how often it was done. A failure ends it.
// A worker is one goroutine.
func paced(ctx context.Context, rate, workers int, length time.Duration, work func(worker int) error) (int64, error) {
	due := make(chan struct{}, rate)
	var failure atomic.Pointer[error]
	var count atomic.Int64
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for range due {
				if failure.Load() != nil {
					continue // what is due is taken all the same: nothing may wait for its room
				}
				if err := work(worker); err != nil {
					failure.CompareAndSwap(nil, &err)
					continue
				}
				count.Add(1)
			}
		})
	}
	began := time.Now()
	for sent := 0; time.Since(began) < length && failure.Load() == nil && ctx.Err() == nil; {
		for until := int(time.Since(began).Seconds() * float64(rate)); sent < until; sent++ {
			due <- struct{}{}
		}
		process.Sleep(time.Millisecond)
	}
	close(due)
	all.Wait()
	if e := failure.Load(); e != nil {
		return 0, *e
	}
	return count.Load(), ctx.Err()
}
