package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/dncd/dncd/client"
)

// optOuts are numbers whose opt-out was acknowledged. Safe for concurrent use.
type optOuts struct {
	codes []numberRange // area codes to draw from

	mu      sync.Mutex
	numbers []string
}

// draw returns a number that no list holds: it is reserved for fiction.
func (o *optOuts) draw() string {
	return fmt.Sprintf("+1%s5550%d", o.codes[rand.IntN(len(o.codes))].label, 100+rand.IntN(100))
}

func (o *optOuts) add(number string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.numbers = append(o.numbers, number)
}

func (o *optOuts) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.numbers)
}

// some returns the newest and as many others.
func (o *optOuts) some(n int) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := slices.Clone(o.numbers[max(0, len(o.numbers)-n):])
	for range min(n, len(o.numbers)) {
		list = append(list, o.numbers[rand.IntN(len(o.numbers))])
	}
	return list
}

// watch asks, all the while that a load is broken, for what must hold at every
// moment. A server that does not answer is no fault.
type watch struct {
	c       *client.Client
	numbers sampled
	optOuts *optOuts
	rnd     *rand.Rand // of the goroutine that checks

	stop     context.CancelFunc
	working  sync.WaitGroup
	checks   int // numbers that were answered
	revision uint64
	switched bool
	fault    error // the first
}

// startWatch checks numbers and opts others out until end.
func startWatch(ctx context.Context, c *client.Client, numbers sampled, o *optOuts, rnd *rand.Rand) *watch {
	w := &watch{c: c, numbers: numbers, optOuts: o, rnd: rnd}
	ctx, w.stop = context.WithCancel(ctx)
	w.working.Go(func() {
		for ctx.Err() == nil && w.fault == nil {
			w.look(ctx)
			_ = sleep(ctx, 2*time.Millisecond) // its end ends the loop
		}
	})
	w.working.Go(func() { w.optOut(ctx) })
	return w
}

// end stops it, looks a last time at the list that has switched, and returns the
// first fault.
func (w *watch) end(ctx context.Context) error {
	w.stop()
	w.working.Wait()
	if w.fault != nil {
		return w.fault
	}
	const patience = 10 * time.Second // until a connection is made again
	for start := time.Now(); !w.look(ctx); {
		if err := sleep(ctx, 50*time.Millisecond); err != nil || time.Since(start) > patience {
			return errors.Join(errors.New("the server does not answer checks after the load"), err)
		}
	}
	if w.fault == nil && !w.switched {
		return errors.New("the load is done and checks see the old list")
	}
	return w.fault
}

// optOut opts numbers out.
func (w *watch) optOut(ctx context.Context) {
	for sleep(ctx, 10*time.Millisecond) == nil {
		number := w.optOuts.draw()
		if _, err := w.c.RecordOptOut(ctx, client.OptOut{Number: number, Channel: client.ChannelCall, Desk: "bench"}); err == nil {
			w.optOuts.add(number)
		}
	}
}

// look checks one batch, which is answered from one revision. It reports whether
// the server answered.
func (w *watch) look(ctx context.Context) bool {
	const each = 300
	kinds := [][]string{
		w.optOuts.some(each), w.numbers.both.some(each, w.rnd),
		w.numbers.onlyOld.some(each, w.rnd), w.numbers.onlyNew.some(each, w.rnd),
	}
	seen := make([]view, len(kinds))
	kind, at := 0, 0
	for r, err := range w.c.CheckAll(ctx, slices.Values(slices.Concat(kinds...))) {
		if err != nil {
			return false
		}
		for at == len(kinds[kind]) {
			kind, at = kind+1, 0
		}
		seen[kind].add(r.Verdict)
		at++
		w.checks++
		w.back(r.Revision)
	}
	w.judge(seen[0], seen[1], seen[2], seen[3])
	return true
}

// back notes an answer of an older revision than one before.
func (w *watch) back(revision uint64) {
	if revision < w.revision {
		w.fail("a check is answered from revision %d after one from %d", revision, w.revision)
	}
	w.revision = max(w.revision, revision)
}

// judge holds the answers of one batch against what the lists may be.
func (w *watch) judge(optedOut, both, onlyOld, onlyNew view) {
	if !optedOut.all(client.Block) {
		w.fail("numbers that are opted out: %v", optedOut)
	}
	if !both.all(client.Block) {
		w.fail("numbers that the list holds before and after: %v", both)
	}
	isOld := onlyOld.all(client.Block) && onlyNew.all(client.Allow)
	isNew := onlyOld.all(client.Allow) && onlyNew.all(client.Block)
	switch {
	case !isOld && !isNew:
		w.fail("neither the old list nor the new one: of the old %v, of the new %v", onlyOld, onlyNew)
	case w.switched && isOld:
		w.fail("the old list is back after checks saw the new one")
	}
	w.switched = w.switched || isNew
}

func (w *watch) fail(format string, args ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf(format, args...)
	}
}

// view counts verdicts.
type view map[client.Verdict]int

func (v *view) add(verdict client.Verdict) {
	if *v == nil {
		*v = view{}
	}
	(*v)[verdict]++
}

func (v view) all(verdict client.Verdict) bool { return len(v) == 0 || len(v) == 1 && v[verdict] > 0 }
