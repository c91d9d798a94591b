package server

import (
	"context"
	"sync/atomic"
	"time"
)

// capacity makes checks as slow as on a server that answers so many a second, one after the other. It is for tests and
// benchmarks of overload: a nil one costs nothing.
type capacity struct {
	each  time.Duration // a number's time
	start time.Time
	free  atomic.Int64 // when the last number that came will be done, since start
}

// newCapacity is nil for no limit.
func newCapacity(perSecond int) *capacity {
	if perSecond <= 0 {
		return nil
	}
	return &capacity{each: time.Second / time.Duration(perSecond), start: time.Now()}
}

// spend waits for the turn of so many numbers. Its error is that of ctx.
func (c *capacity) spend(ctx context.Context, numbers int) error {
	if c == nil {
		return nil
	}
	timer := time.NewTimer(c.turn(numbers))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// turn is how long the numbers take, with all that came before.
func (c *capacity) turn(numbers int) time.Duration {
	for {
		now, free := time.Since(c.start), c.free.Load()
		done := max(int64(now), free) + int64(numbers)*int64(c.each)
		if c.free.CompareAndSwap(free, done) {
			return time.Duration(done) - now
		}
	}
}
