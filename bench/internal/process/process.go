// Package process tells what other programs need: memory, processor time and
// disk. What the system does not tell is 0: memory and processor time are told
// on Linux alone.
package process

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory of a process, in bytes.
type Memory struct {
	// RSS is what lies in memory now, RSSPeak the most since ResetPeak: both with
	// the pages of mapped files, which the system may drop at any time.
	RSS, RSSPeak float64
	// Anon is the part of RSS that is no page of a file.
	Anon float64
}

// WatchPeak follows the memory of a process that starts and returns how to learn
// its peak, in bytes, once it has ended. What the system tells of an ended process
// will not do: on Linux that counts the memory of the process that started it.
func WatchPeak(pid int) (end func() float64) {
	const every = 20 * time.Millisecond
	ended, peak := make(chan struct{}), make(chan float64)
	most := 0.0
	look := func() {
		if m, err := MemoryOf(pid); err == nil {
			most = max(most, m.RSSPeak)
		}
	}
	look() // the process may be over before the goroutine runs
	go func() {
		for {
			select {
			case <-time.After(every):
				look()
			case <-ended:
				peak <- most
				return
			}
		}
	}()
	return func() float64 {
		close(ended)
		return <-peak
	}
}

// Disk is what a directory takes, in bytes.
type Disk struct {
	// Bytes are the lengths of the files: holes in sparse files count.
	Bytes float64
	// Allocated is what the file system has given to them.
	Allocated float64
}

// DiskOf measures a directory, without the files of these names.
func DiskOf(dir string, without ...string) (Disk, error) {
	var d Disk
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || slices.Contains(without, entry.Name()) {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		d.Bytes += float64(info.Size())
		d.Allocated += allocated(info)
		return nil
	})
	return d, err
}

// Environment returns environ without the variables that begin with a prefix.
func Environment(environ []string, without ...string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		return slices.ContainsFunc(without, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
	})
}

// Tail keeps the end of what is written to it, for the error of a program that
// failed. Safe for concurrent use.
type Tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4096

// Write implements io.Writer.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-tailSize):]
	return len(p), nil
}

// String returns what was kept, without spaces around it.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
