package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dncd/dncd/bench/internal/process"
)

// probePool gives out probes, each time the next ones, to any number of goroutines.
type probePool struct {
	probes []probe
	at     atomic.Uint64
}

// take returns so many, which are not changed.
func (p *probePool) take(n int) []probe {
	for {
		end := p.at.Add(uint64(n)) % uint64(len(p.probes))
		if end >= uint64(n) {
			return p.probes[end-uint64(n) : end]
		}
	}
}

// asker asks about numbers, compares the answers with what is known and waits for all. One goroutine uses it.
type asker func(ctx context.Context, probes []probe) error

// Errors of an asker that are part of what is measured: they are counted and not timed.
var (
	errFailed  = errors.New("the check failed")
	errRefused = errors.New("the server refused the check: it has too many")
	errExpired = errors.New("the deadline passed")
)

// callers ask side by side, a goroutine each. The context of their calls is never cancelled: a call of many callers
// would wait for the others to note it and strike it off there.
type callers struct {
	askers []asker
	size   int // numbers a call
	pool   *probePool
}

// outcome is what became of calls.
type outcome struct {
	parts                    []*times // callers share them: a histogram each would not fit into the processor's cache
	refused, expired, failed atomic.Int64
}

const outcomeParts = 16

func newOutcome() *outcome {
	o := &outcome{parts: make([]*times, outcomeParts)}
	for i := range o.parts {
		o.parts[i] = newTimes()
	}
	return o
}

// add notes a call of a caller. It is false when calling must end.
func (o *outcome) add(caller int, took time.Duration, err error) bool {
	switch {
	case errors.Is(err, errRefused):
		o.refused.Add(1)
	case errors.Is(err, errExpired):
		o.expired.Add(1)
	case errors.Is(err, errFailed):
		o.failed.Add(1)
	default:
		o.parts[caller%len(o.parts)].add(context.Background(), took, err)
		return err == nil
	}
	return true
}

// times merges the parts.
func (o *outcome) times(took time.Duration) *times {
	all := newTimes()
	for _, part := range o.parts {
		all.merge(part)
	}
	all.took = took
	return all
}

// closed lets each caller ask again once it is answered, for so long, and at least once.
func (c callers) closed(ctx context.Context, d time.Duration) (*outcome, *times) {
	o, start, calling := newOutcome(), time.Now(), context.WithoutCancel(ctx)
	var working sync.WaitGroup
	for i, ask := range c.askers {
		working.Go(func() {
			for begin := time.Now(); ; {
				err := ask(calling, c.pool.take(c.size))
				end := time.Now()
				if !o.add(i, end.Sub(begin), err) || end.Sub(start) >= d || ctx.Err() != nil {
					return
				}
				begin = end
			}
		})
	}
	working.Wait()
	all := o.times(time.Since(start))
	return o, all
}

// open makes calls when they are due, for so long: at a rate, by a schedule of random gaps that is fixed before. A
// call's time begins when it was due; one that finds no caller free waits, and that counts. What still waits when as
// much time has passed again is counted as it is.
func (c callers) open(ctx context.Context, aSecond float64, d time.Duration) (*outcome, *times) {
	o, start, calling := newOutcome(), time.Now(), context.WithoutCancel(ctx)
	due := make(chan time.Duration, 1<<20)
	go schedule(ctx, start, aSecond, d, due)
	var working sync.WaitGroup
	for i, ask := range c.askers {
		working.Go(func() {
			going := true
			for at := range due {
				var err error
				if going && time.Since(start) < 2*d {
					err = ask(calling, c.pool.take(c.size))
				}
				going = o.add(i, time.Since(start)-at, err) && going
			}
		})
	}
	working.Wait()
	all := o.times(max(d, time.Since(start)))
	return o, all
}

// shortestSleep bounds how often schedule wakes up, and with it what it takes of the processor from what is measured.
// Calls that are due meanwhile start as much later, and that counts.
const shortestSleep = 20 * time.Microsecond

// schedule sends when calls are due, counted from start, each at that time.
func schedule(ctx context.Context, start time.Time, aSecond float64, d time.Duration, due chan<- time.Duration) {
	defer close(due)
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	process.FineSleep()
	rnd := rand.New(rand.NewPCG(uint64(aSecond), uint64(d)))
	next := func() time.Duration { return time.Duration(rnd.ExpFloat64() / aSecond * float64(time.Second)) }
	for at := next(); at < d && ctx.Err() == nil; at += next() {
		if wait := at - time.Since(start); wait > 0 {
			process.Sleep(max(wait, shortestSleep))
		}
		due <- at
	}
}
