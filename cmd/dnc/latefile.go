package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// lateFile is the file of a flag. It is not changed until the command knows what to write: a command that fails leaves it
// as it was, because it may hold the rejects of the day before.
type lateFile struct {
	*os.File
	isNew     bool
	isRegular bool
}

// openLate opens the file; it will hold phone numbers, and a new one is for its owner alone.
func openLate(flag, name string) (*lateFile, error) {
	_, err := os.Lstat(name)
	isNew := errors.Is(err, fs.ErrNotExist)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--%s: %w", flag, err), file.Close())
	}
	return &lateFile{file, isNew, info.Mode().IsRegular()}, nil
}

// beside returns a temporary file without a name for what will be written.
func (f *lateFile) beside() (*os.File, error) {
	dir := "" // the system's, beside a device or a pipe
	if f.isRegular {
		dir = filepath.Dir(f.Name())
	}
	file, err := os.CreateTemp(dir, ".dnc-rows-*")
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}

// empty truncates the file before it is written.
func (f *lateFile) empty() error {
	if !f.isRegular {
		return nil
	}
	return f.Truncate(0)
}

// leave closes the file as it was; one that was not there is removed.
func (f *lateFile) leave() {
	f.Close()
	if f.isNew {
		os.Remove(f.Name())
	}
}
