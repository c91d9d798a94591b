// Package disk writes, syncs and locks the files of a data directory.
package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/dncd/dncd/store/internal/fault"
)

// steadyBytes is after how many bytes a large file is synced.
const steadyBytes = 4 << 20

// SteadyWriter syncs a file as it grows. A single sync of a hundred megabytes would delay every other sync on the disk, and
// with it a person's opt-out.
type SteadyWriter struct {
	f        *os.File
	unsynced int
}

// NewSteadyWriter writes to f, which it does not close.
func NewSteadyWriter(f *os.File) *SteadyWriter { return &SteadyWriter{f: f} }

func (w *SteadyWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if w.unsynced += n; err != nil || w.unsynced < steadyBytes {
		return n, err
	}
	w.unsynced = 0
	return n, SyncData(w.f)
}

// NewPrefix begins the names of files that are not complete yet.
const NewPrefix = ".new-"

// WriteFile writes a file completely or not at all: it writes and syncs another one, renames it, and syncs the directory.
func WriteFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), NewPrefix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := write(NewSteadyWriter(f)); err != nil {
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
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a directory, or the content of a file, durable.
func SyncDir(dir string) error {
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

// Reserve writes zeros up to size, so that later writes inside never need room, and syncs.
func Reserve(f *os.File, size int64) error {
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

// IgnoreMissing returns err, unless it says that a file does not exist.
func IgnoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// CopyFile copies a file. It syncs nothing.
func CopyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// CheckName returns an error unless the name by which a file was opened still leads to it.
func CheckName(f *os.File) error {
	open, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(open, named) {
		return fmt.Errorf("%w: %s was deleted or replaced while the store was open", fault.ErrDamaged, filepath.Base(f.Name()))
	}
	return nil
}

// WriteJSON is WriteFile of a value as JSON.
func WriteJSON(path string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// ReadJSON reads what WriteJSON wrote.
func ReadJSON(path string, value any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, value)
}

// WriteError wraps a failed write. When the disk is full it is a fault.ErrDiskFull.
func WriteError(op string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%s: %w: %w", op, fault.ErrDiskFull, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
