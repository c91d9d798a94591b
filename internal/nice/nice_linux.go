package nice

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness of threads of lower priority: others get ten times their share of a core.
const niceness = 10

func lowerThread() { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness) }

// Process lowers the priority of the whole process. Threads that it starts later inherit the priority.
func Process() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, niceness)
		}
	}
}
