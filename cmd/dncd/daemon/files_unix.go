//go:build unix

package daemon

import (
	"os"
	"syscall"
)

// openFiles is how many files this process may have open, connections included; 0: not known. Go has raised the limit
// to the maximum that the process may set.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > maxOpenFiles {
		return 0
	}
	return int(limit.Cur)
}

// usedFiles is how many files this process has open, as far as the system reports it.
func usedFiles() int {
	open, _ := os.ReadDir("/dev/fd") // an error: none are counted
	return len(open)
}

// ownerOnly makes what is created from now on its owner's only, until restore is called.
func ownerOnly() (restore func()) {
	before := syscall.Umask(0o177)
	return func() { syscall.Umask(before) }
}
