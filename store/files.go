package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

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

// flock takes f for this process.
func flock(f *os.File) error { return lock(f, unix.LOCK_EX) }

// flockShared keeps out who wants f for itself.
func flockShared(f *os.File) error { return lock(f, unix.LOCK_SH) }

func lock(f *os.File, how int) error {
	return whileLocked(func() error {
		if unix.Flock(int(f.Fd()), how|unix.LOCK_NB) != nil {
			return ErrLocked
		}
		return nil
	})
}

// whileLocked calls take until it returns something else than ErrLocked, for a quarter of a second: a process that was
// just forked holds a copy of every lock until it runs its own program, though their owner has given them back.
func whileLocked(take func() error) error {
	for end := time.Now().Add(250 * time.Millisecond); ; time.Sleep(5 * time.Millisecond) {
		if err := take(); !errors.Is(err, ErrLocked) || time.Now().After(end) {
			return err
		}
	}
}
