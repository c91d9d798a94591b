package gentle

import (
	"os"
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
		if p := recover(); p != "of f" {
			t.Errorf("recovered %v, want that of f", p)
		}
	}()
	Do(func() { panic("of f") })
}
