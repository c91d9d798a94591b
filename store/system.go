package store

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// ErrSystem is a limit or a permission of the system that the store met: nothing on the disk is damaged. It wraps the
// error number.
var ErrSystem = errors.New("the system refuses what the store needs")

var systemErrors = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EFBIG, syscall.ENOSPC, syscall.EDQUOT,
}

type systemError struct {
	number syscall.Errno
	err    error
}

func (e systemError) Error() string { return fmt.Sprintf("%v: %v", ErrSystem, e.err) }

func (e systemError) Unwrap() []error { return []error{ErrSystem, e.number} }

// asSystem is err as an ErrSystem, or nil when it is something else. Badger's errors hold their causes as text.
func asSystem(err error) error {
	if err == nil || errors.Is(err, ErrSystem) {
		return err
	}
	at := slices.IndexFunc(systemErrors, func(n syscall.Errno) bool {
		return errors.Is(err, n) || strings.HasSuffix(err.Error(), n.Error()) || strings.Contains(err.Error(), n.Error()+"\n")
	})
	if at < 0 {
		return nil
	}
	return systemError{systemErrors[at], err}
}

// asDamage is err as damage, unless the system refused something: then nothing was read that could be damaged.
func asDamage(err error) error {
	if refused := asSystem(err); refused != nil {
		return refused
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// orSystem is err, as an ErrSystem when it is one and nothing graver.
func orSystem(err error) error {
	for _, graver := range []error{ErrDamaged, ErrLocked, ErrDiskFull, ErrLoss, ErrNoEnd} {
		if errors.Is(err, graver) {
			return err
		}
	}
	return cmp.Or(asSystem(err), err)
}

// spareFiles is how many files a store opens besides those of its databases, and the most that a new database has.
const spareFiles = 20

// requireFiles fails where the process may not open as many files as a store has. Badger ends the process, or leaves files
// half made, when it meets that limit.
func requireFiles(dir string) error {
	needs := spareFiles
	for _, part := range []string{badgerDir, storiesDir} {
		files, err := os.ReadDir(filepath.Join(dir, part))
		if err != nil && notThere(err) != nil {
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
