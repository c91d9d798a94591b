package server

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// memory returns unused memory to the system. The garbage collector would keep it for minutes.
type memory struct{ pending atomic.Bool }

// giveBackAfter is long enough to return together what streams release together.
const giveBackAfter = 3 * time.Second

// giveBack returns free memory a little later.
func (m *memory) giveBack() {
	if !m.pending.CompareAndSwap(false, true) {
		return
	}
	time.AfterFunc(giveBackAfter, func() {
		m.pending.Store(false)
		runtime.GC() // pools keep their contents until the second collection
		debug.FreeOSMemory()
	})
}
