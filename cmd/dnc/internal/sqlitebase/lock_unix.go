//go:build unix

package sqlitebase

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrLocked is returned when another process follows into the file.
var ErrLocked = errors.New("another process follows into this file")

// lock locks a file, which stays when it is unlocked: the lock ends with the process, however that ends.
func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is locked", ErrLocked, path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f.Close, nil
}
