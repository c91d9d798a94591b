//go:build unix

package daemon

import (
	"errors"
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

// ownedByCaller refuses a file of another user: one that is written in its place would be the caller's, and that user's dncd could
// not read it.
func ownedByCaller(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return errors.New("it belongs to another user: run this as that user")
	}
	return nil
}
