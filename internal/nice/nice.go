// Package nice runs long work at a lower priority than calls that someone waits for: its threads get a tenth of the share
// of a core that others get. Where the system refuses that, or does not support it, the work runs at normal priority.
package nice

import "runtime"

// Panic is what Do panics with.
type Panic struct {
	Value   any       // what f panicked with
	Callers []uintptr // where it panicked, the innermost first
}

// Do calls f on a thread of lower priority and waits for it. When f panics it panics with a Panic.
func Do(f func()) {
	done := make(chan *Panic)
	go func() {
		var panicked *Panic
		defer func() { done <- panicked }()
		defer func() {
			if p := recover(); p != nil {
				var at [32]uintptr
				panicked = &Panic{p, at[:runtime.Callers(3, at[:])]}
			}
		}()
		Goroutine()
		f()
	}()
	if p := <-done; p != nil {
		panic(*p)
	}
}

// Goroutine gives the calling goroutine, until it ends, a thread of its own of lower priority.
func Goroutine() {
	runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
	lowerThread()
}
