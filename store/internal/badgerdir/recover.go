package badgerdir

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/dncd/dncd/store/internal/fault"
)

// Badger reads its tables and logs as mapped files. When another process writes into them or cuts them while they are open,
// it panics, or the read faults. That is damage, and must not end the process.

// CatchDamage is deferred by a function that reads a database: defer CatchDamage(debug.SetPanicOnFault(true), &err). It
// turns a panic of the database, and a fault in mapped memory, into fault.ErrDamaged. Any other panic continues.
func CatchDamage(before bool, err *error) {
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
	*err = fmt.Errorf("%w: it cannot be read: %s", fault.ErrDamaged, what)
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

// recoverDamage turns a panic of Badger's decoders over damaged bytes into an error.
func recoverDamage(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %s", fault.ErrDamaged, strings.SplitN(fmt.Sprint(p), "\n", 2)[0])
	}
}
