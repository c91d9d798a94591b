package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the bytes of f durable; its size does not change.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
