package server

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// spread lends goroutines to large batches: to all of them together one less than there are processors, so that single
// checks find one free. A nil spread lends none.
type spread chan struct{}

func newSpread() spread { return make(spread, min(runtime.NumCPU(), runtime.GOMAXPROCS(0))-1) }

// each calls do once for each of 0 to n-1, from the caller's goroutine and from those that are free, and waits for them.
// After each call it lets waiting checks go first. It stops early with the context's error, and panics when do does.
func (s spread) each(ctx context.Context, n int, do func(i int)) error {
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
			do(i)
			if i+1 < n {
				runtime.Gosched()
			}
		}
	}
	if n > 1 {
		defer s.lend(n-1, work)()
	}
	work()
	return ctx.Err()
}

// lend starts work on at most count goroutines. The result waits for them, and panics when one of them did.
func (s spread) lend(count int, work func()) (wait func()) {
	var lent sync.WaitGroup
	var panicked atomic.Pointer[any]
	for range count {
		select {
		case s <- struct{}{}:
			lent.Go(func() {
				defer s.giveBack(&panicked)
				work()
			})
		default: // none is free
		}
	}
	return func() {
		lent.Wait()
		if p := panicked.Load(); p != nil {
			panic(*p)
		}
	}
}

// giveBack ends a goroutine that was lent. A panic is kept for the call that it belongs to: here it would end the process.
func (s spread) giveBack(panicked *atomic.Pointer[any]) {
	if p := recover(); p != nil {
		panicked.Store(&p)
	}
	<-s
}
