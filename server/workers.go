package server

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// workers lends goroutines to large batches. All batches together get one less than there are processors, so that
// single checks find a processor free. Nil workers lend none.
type workers chan struct{}

func newWorkers() workers { return make(workers, min(runtime.NumCPU(), runtime.GOMAXPROCS(0))-1) }

// each calls do once for each of 0 to n-1, from the caller's goroutine and from those that are free, and waits for all
// of them. After each call it gives waiting checks a turn. It stops early with the context's error. It panics when do
// does.
func (w workers) each(ctx context.Context, n int, do func(i int)) error {
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
		defer w.lend(n-1, work)()
	}
	work()
	return ctx.Err()
}

// lend starts work on at most count goroutines. The result waits for them, and panics when one of them did.
func (w workers) lend(count int, work func()) (wait func()) {
	var lent sync.WaitGroup
	var panicked atomic.Pointer[any]
	for range count {
		select {
		case w <- struct{}{}:
			lent.Go(func() {
				defer w.giveBack(&panicked)
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

// giveBack ends a goroutine that was lent. It keeps a panic for the call that the goroutine worked for: here it would
// end the process.
func (w workers) giveBack(panicked *atomic.Pointer[any]) {
	if p := recover(); p != nil {
		panicked.Store(&p)
	}
	<-w
}
