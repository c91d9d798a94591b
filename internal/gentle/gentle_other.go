//go:build !linux

package gentle

func lowerThread() {}

// Process lowers the priority of the whole process: not on this system.
func Process() {}
