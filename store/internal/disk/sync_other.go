//go:build !linux

package disk

import "os"

// SyncData makes the bytes of f durable, and its size.
func SyncData(f *os.File) error { return f.Sync() }
