//go:build !linux

package store

import "os"

// syncData makes the bytes of f durable, and its size.
func syncData(f *os.File) error { return f.Sync() }
