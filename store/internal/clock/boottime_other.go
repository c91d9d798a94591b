//go:build !linux

package clock

import "time"

// boottime is the time since this process started, as Go's monotonic clock has it: on some systems without sleep.
func boottime() time.Duration { return time.Since(processStart) }

var processStart = time.Now()
