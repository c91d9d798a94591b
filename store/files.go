package store

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// steadyBytes is after how many bytes a large file is synced.
const steadyBytes = 4 << 20

// steadyWriter syncs a file as it grows. The sync of a hundred megabytes at once holds up every other one on the disk, and
// with it a person's opt-out.
type steadyWriter struct {
	f        *os.File
	unsynced int
}

func (w *steadyWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if w.unsynced += n; err != nil || w.unsynced < steadyBytes {
		return n, err
	}
	w.unsynced = 0
	return n, syncData(w.f)
}

// newPrefix begins the names of files that are not whole yet.
const newPrefix = ".new-"

// writeFile makes a file whole or not at all: written beside, synced, renamed, the directory synced.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), newPrefix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := write(&steadyWriter{f: f}); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory, or the content of a file, durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// reserve writes zeros up to size, so that later writes inside never need room, and syncs.
func reserve(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() >= size {
		return nil
	}
	zeros := make([]byte, min(size, 1<<20))
	if _, err := f.Seek(info.Size(), io.SeekStart); err != nil {
		return err
	}
	for left := size - info.Size(); left > 0; {
		n, err := io.Copy(f, bytes.NewReader(zeros[:min(left, int64(len(zeros)))]))
		if err != nil {
			return err
		}
		left -= n
	}
	return f.Sync()
}

// flock takes f for this process, or fails at once.
func flock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// flockShared keeps out who wants f for itself, or fails at once.
func flockShared(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) }
