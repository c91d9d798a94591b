package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// SyncData makes the bytes of f durable, and its size where they made it grow.
func SyncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
