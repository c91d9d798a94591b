package daemon

import (
	"os"
	"runtime"
)

// threadsPerCore is how many goroutines may run for each core. The kernel shares the cores among them.
const threadsPerCore = 4

// Oversubscribe lets more goroutines run concurrently than there are cores, unless the environment sets GOMAXPROCS.
// Badger writes through mapped files: a goroutine that waits for the disk in a page fault keeps its processor, and
// while a list is loaded a check would wait for it. Call it once, before Run. docs/performance.md has what it changes.
func Oversubscribe() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(threadsPerCore * runtime.GOMAXPROCS(0))
	}
}
