package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the bytes of f durable, and its size where they made it grow.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
