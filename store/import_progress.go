package store

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/dncd/dncd/store/internal/block"
)

// Phase is what a committed import is doing.
type Phase uint8

// The phases of an import: of a list the first three, in that order, of records the last.
const (
	PhaseUnspecified Phase = iota
	PhaseComparing         // the staged numbers with the list
	PhaseWriting           // blocks
	PhaseSwitching         // building the filter, and switching
	PhaseRecording         // rows
)

// Progress is how far a committed import is in its phase.
type Progress struct {
	Phase       Phase
	Done, Total uint64 // numbers or rows
}

// loadProgress is how far the loads are that are being written. A load notes its place and continues; a caller that waits
// for it polls, so that callers never delay it, however many, slow or gone they are.
type loadProgress struct {
	mu    sync.Mutex
	loads map[block.LoadID]*atomic.Pointer[Progress]
}

// lookEvery is how often a caller who waits for a load looks how far it is.
const lookEvery = 100 * time.Millisecond

// begin returns where a load notes how far it is, until end.
func (w *loadProgress) begin(id block.LoadID) (at *atomic.Pointer[Progress], end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loads == nil {
		w.loads = map[block.LoadID]*atomic.Pointer[Progress]{}
	}
	at = new(atomic.Pointer[Progress])
	at.Store(&Progress{Phase: PhaseWriting})
	w.loads[id] = at
	return at, func() { w.end(id) }
}

func (w *loadProgress) end(id block.LoadID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.loads, id)
}

// at is how far a load is; false when it is not being written.
func (w *loadProgress) at(id block.LoadID) (Progress, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.loads[id]; at != nil {
		return *at.Load(), true
	}
	return Progress{}, false
}
