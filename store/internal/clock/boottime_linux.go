package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// boottime is the time since the machine started, sleep included. It cannot be set.
func boottime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // every Linux that Go runs on has it
	return time.Duration(t.Nano())
}
