package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/secret"
)

// A store begins with its mark, of revision 0: all else is made when it is opened, as often as that takes. So a first start
// that was killed leaves either a directory without a store, or one that opens.

// Find returns nil when the directory holds a store, whole or damaged. Else it returns ErrNoStore, which is
// fs.ErrNotExist too when there is no such directory.
func Find(dir string) error {
	held, _, err := look(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrNoStore, err)
	case err != nil:
		return err
	case !held:
		return fmt.Errorf("%w: the directory is empty, or holds other things", ErrNoStore)
	}
	return nil
}

// look reports whether a directory holds anything of a store, and what else is there. What is left of a store without a
// record, a list or a mark in it is nothing: the lock, the ballast, the secret, a stage, directories without a file.
func look(dir string) (held bool, others []string, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return false, nil, err
	}
	for _, f := range files {
		switch name := f.Name(); {
		case name == journal.MarkName, name == swapFile:
			held = true
		case name == stageDir, name == lockFile, name == ballastFile, name == secret.Name, name == "lost+found", strings.HasPrefix(name, disk.NewPrefix):
		case slices.Contains(storeParts, name):
			inside, err := os.ReadDir(filepath.Join(dir, name))
			if err != nil {
				return false, nil, err
			}
			held = held || len(inside) > 0
		default:
			others = append(others, name)
		}
	}
	return held, others, nil
}

// Init makes a store in a directory that holds nothing, or in one that is not there. Errors: ErrStoreExists, ErrNotEmpty,
// ErrLocked.
func Init(dir string) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = initIn(dir)
		}
		return wrapInit(err)
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return wrapInit(err)
	}
	made, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+disk.NewPrefix+"*")
	if err != nil {
		return wrapInit(err)
	}
	if err := errors.Join(journal.CreateMark(made), os.Rename(made, dir)); err != nil {
		return wrapInit(errors.Join(err, os.RemoveAll(made)))
	}
	return wrapInit(disk.SyncDir(parent))
}

func wrapInit(err error) error {
	if err != nil {
		return fmt.Errorf("make store: %w", err)
	}
	return nil
}

// initIn makes a store in a directory that is there, such as the root of a disk.
func initIn(dir string) error {
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	held, others, err := look(dir)
	switch {
	case err != nil:
		return err
	case held:
		return ErrStoreExists
	case len(others) > 0:
		return fmt.Errorf("%w: %s", ErrNotEmpty, strings.Join(others[:min(len(others), 3)], ", "))
	}
	return journal.CreateMark(dir)
}
