//go:build !linux

package nice

func lowerThread() {}

// Process lowers the priority of the whole process: not on this system.
func Process() {}
