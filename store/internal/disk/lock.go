package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dncd/dncd/store/internal/fault"
)

// Lock opens the file, making it if it is not there, and locks it for this process. The lock ends with the process.
// Errors: fault.ErrLocked.
func Lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// LockToRead keeps other processes from locking the file with Lock. It makes no file: where there is none, there is nothing
// to lock.
func LockToRead(path string) (io.Closer, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, err
	}
	if err := flock(f, unix.LOCK_SH); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	return RetryLocked(func() error {
		if unix.Flock(int(f.Fd()), how|unix.LOCK_NB) != nil {
			return fault.ErrLocked
		}
		return nil
	})
}

// RetryLocked calls open until it returns something other than fault.ErrLocked, for a quarter of a second. A process that
// was just forked holds a copy of every lock until it runs its own program, though their owner has released them.
func RetryLocked(open func() error) error {
	for end := time.Now().Add(250 * time.Millisecond); ; time.Sleep(5 * time.Millisecond) {
		if err := open(); !errors.Is(err, fault.ErrLocked) || time.Now().After(end) {
			return err
		}
	}
}

// spareFiles is how many files a store opens besides those of its databases, and the most that a new database has.
const spareFiles = 20

// RequireOpenFiles fails where the process may not open as many files as a store has, whose databases are in these parts of
// dir. Badger ends the process, or leaves files half made, when it meets that limit.
func RequireOpenFiles(dir string, databases ...string) error {
	needs := spareFiles
	for _, part := range databases {
		files, err := os.ReadDir(filepath.Join(dir, part))
		if IgnoreMissing(err) != nil {
			return fmt.Errorf("count files: %w", err)
		}
		needs += len(files)
	}
	open := make([]*os.File, 0, needs)
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	for range needs {
		f, err := os.Open(dir)
		if err != nil {
			return fmt.Errorf("%d files must be open at the same time: %w", needs, err)
		}
		open = append(open, f)
	}
	return nil
}
