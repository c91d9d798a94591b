package nice

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// nice is the calling thread's niceness.
func nice(t *testing.T) int {
	t.Helper()
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return 20 - n // as the system call tells it
}

func TestDoRunsOnAThreadOfLowerPriority(t *testing.T) {
	before, inside, pid := nice(t), 0, 0
	if before >= niceness {
		t.Skipf("the test itself runs at niceness %d", before)
	}
	Do(func() { inside, pid = nice(t), os.Getpid() })
	if inside != niceness || pid != os.Getpid() {
		t.Errorf("inside: niceness %d, want %d", inside, niceness)
	}
	for range 100 { // whatever thread this goroutine gets next
		if got := nice(t); got != before {
			t.Fatalf("after: niceness %d, want %d as before", got, before)
		}
		Do(func() {})
	}
}

func TestDoPanicsAsItsFunction(t *testing.T) {
	defer func() {
		p, ok := recover().(Panic)
		if !ok || p.Value != "of f" {
			t.Fatalf("recovered %v, want that of f", p)
		}
		at, _ := runtime.CallersFrames(p.Callers).Next()
		if !strings.Contains(at.Function, "TestDoPanics") {
			t.Errorf("panicked in %s, want in f", at.Function)
		}
	}()
	Do(func() { panic("of f") })
}
