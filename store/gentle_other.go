//go:build !linux

package store

// gentle does nothing: threads have no niceness of their own here.
func gentle() {}
