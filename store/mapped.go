package store

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// The database reads its tables and logs as mapped files. When somebody writes into them or cuts them while they are
// open, it panics, or the read faults: that is damage, and not the end of the process.

// readEnded is deferred by what reads the database: defer readEnded(debug.SetPanicOnFault(true), &err). It turns a panic
// of the database, and a fault in mapped memory, into ErrDamaged. Every other panic goes on.
func readEnded(before bool, err *error) {
	debug.SetPanicOnFault(before)
	p := recover()
	if p == nil {
		return
	}
	if !isFault(p) && !isOfDatabase() {
		panic(p)
	}
	what := strings.SplitN(fmt.Sprint(p), "\n", 2)[0]
	if isFault(p) {
		what = "a file of the database was cut while it was open"
	}
	*err = fmt.Errorf("%w: it cannot be read: %s", ErrDamaged, what)
}

// isFault reports a panic over memory that is not there any more.
func isFault(p any) bool {
	_, ok := p.(interface{ Addr() uintptr })
	return ok
}

// isOfDatabase reports that what panics was called by the database, and not by this module.
func isOfDatabase() bool {
	var at [64]uintptr
	frames := runtime.CallersFrames(at[:runtime.Callers(1, at[:])])
	panicked := false
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicked = true
		case panicked && strings.HasPrefix(f.Function, "github.com/dncd/"):
			return false
		case panicked && strings.HasPrefix(f.Function, "github.com/dgraph-io/"):
			return true
		}
		if !more {
			return false
		}
	}
}
