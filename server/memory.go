package server

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// memory gives back to the system what is no longer used. The garbage collector would keep it for minutes.
type memory struct{ pending atomic.Bool }

// giveBackAfter is long enough for what ends together to be given back together.
const giveBackAfter = 3 * time.Second

// giveBack gives back what is free a little later.
func (m *memory) giveBack() {
	if !m.pending.CompareAndSwap(false, true) {
		return
	}
	time.AfterFunc(giveBackAfter, func() {
		m.pending.Store(false)
		runtime.GC() // pools keep what they hold until the second collection
		debug.FreeOSMemory()
	})
}
