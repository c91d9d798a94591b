package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// writing is how far the loads are that are being written. A load notes its place and goes on; whoever waits for it looks
// by itself, so that no number of callers, slow or gone, holds it up.
type writing struct {
	mu    sync.Mutex
	loads map[loadID]*atomic.Uint64
}

// lookEvery is how often a caller who waits for a load looks how far it is.
const lookEvery = 100 * time.Millisecond

// begin returns where a load notes the numbers it has written, until end.
func (w *writing) begin(id loadID) (done *atomic.Uint64, end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loads == nil {
		w.loads = map[loadID]*atomic.Uint64{}
	}
	done = new(atomic.Uint64)
	w.loads[id] = done
	return done, func() { w.end(id) }
}

func (w *writing) end(id loadID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.loads, id)
}

// done is how many numbers a load has written; false when it is not being written.
func (w *writing) done(id loadID) (uint64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if done := w.loads[id]; done != nil {
		return done.Load(), true
	}
	return 0, false
}
