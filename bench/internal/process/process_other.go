//go:build !linux

package process

import (
	"io/fs"
	"os/exec"
	"time"
)

// MemoryOf is told on Linux alone.
func MemoryOf(int) (Memory, error) { return Memory{}, nil }

// ResetPeak does nothing where MemoryOf tells nothing.
func ResetPeak(int) error { return nil }

// CPUOf is told on Linux alone.
func CPUOf(int) (time.Duration, error) { return 0, nil }

func allocated(info fs.FileInfo) float64 { return float64(info.Size()) }

// SyncDisks does nothing here: the system writes back when it likes.
func SyncDisks() {}

// AsUser changes nothing here: root is told by the command itself.
func AsUser(string) (on func(*exec.Cmd), give func(path string) error, err error) {
	return func(*exec.Cmd) {}, func(string) error { return nil }, nil
}

// Machine is told on Linux alone.
func Machine() (cpu string, memory float64) { return "", 0 }

// FineSleep does nothing here.
func FineSleep() {}

// Sleep is a sleep of the goroutine here.
func Sleep(d time.Duration) { time.Sleep(d) }

// WrittenBy is known only on Linux.
func WrittenBy(int) (float64, error) { return 0, nil }
