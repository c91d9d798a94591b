package store

import (
	"errors"

	"github.com/dncd/dncd/store/internal/journal"
)

// Stopped calls do with the journal's id while no process has the store open, and none can open it. Errors: ErrNoStore, ErrLocked,
// and those of do.
func Stopped(dir string, do func(journalID string) error) (err error) {
	if err := Find(dir); err != nil {
		return err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := swapOf(dir).Finish(); err != nil {
		return err
	}
	m, _, err := journal.ReadMark(dir)
	if err != nil {
		return err
	}
	return do(m.Journal.String())
}
