package store

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// gentleNice is the niceness of a load's threads: others get ten times their share of a core.
const gentleNice = 10

// gentle gives the calling goroutine, until it ends, a thread of its own that lets others go first: it works out a load
// while checks are answered. Where the system refuses it, the load goes on as before.
func gentle() {
	runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, gentleNice)
}
