// Package gentle lets long work go after what somebody waits for: its threads get a tenth of the share of a core that
// others get. Where the system refuses that, or has no such thing, the work goes on as before.
package gentle

import "runtime"

// Do calls f on a thread of lower priority and waits for it. It panics when f does.
func Do(f func()) {
	done := make(chan any)
	go func() {
		var panicked any
		defer func() { done <- panicked }()
		defer func() { panicked = recover() }()
		Goroutine()
		f()
	}()
	if p := <-done; p != nil {
		panic(p)
	}
}

// Goroutine gives the calling goroutine, until it ends, a thread of its own of lower priority.
func Goroutine() {
	runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
	lowerThread()
}
