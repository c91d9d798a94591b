package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/gentle"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// What opening sets aside, the tables that a MANIFEST does not list and copies of the logs that the database cuts off, is
// deleted only after everything that may lie in it was found elsewhere. Else it stays, and State tells of damage.

// unlistedSuffix names the directory beside a database's for what was set aside from it.
const unlistedSuffix = ".unlisted"

// asidePath is a free name in a directory of what was set aside: nothing in it is ever written over.
func asidePath(dir, base string) (string, error) {
	ext := filepath.Ext(base)
	name := base
	for n := 1; ; n++ {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path, nil
		} else if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s+%d%s", strings.TrimSuffix(base, ext), n, ext)
	}
}

// isAside reports whether a file with that content was set aside before: a store that cannot be opened is tried again.
func isAside(dir string, content []byte) bool {
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Size() != int64(len(content)) {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(dir, f.Name())); err == nil && bytes.Equal(b, content) {
			return true
		}
	}
	return false
}

// tendSetAside looks for what may lie in what was set aside, and for the stories that a damaged log may have held. v is
// the view of the open: what came later lies in neither.
func (s *Store) tendSetAside(v *View) {
	gentle.Goroutine()
	if dir := s.aside(badgerDir); dir != "" && s.noteFound("what was set aside", s.findState(v, dir), s.noteDamage) {
		s.dropAside(dir)
	}
	dir, most := s.aside(storiesDir), storiesInLogs
	if dir != "" {
		most = math.MaxInt
	}
	if s.noteFound("the stories", s.findStories(v, most), s.noteStories) && dir != "" {
		s.dropAside(dir)
	}
}

// aside is the directory of what was set aside from a database; empty when nothing was.
func (s *Store) aside(name string) string {
	dir := filepath.Join(s.dir, name+unlistedSuffix)
	if files, err := os.ReadDir(dir); len(files) == 0 && notThere(err) == nil {
		return ""
	}
	return dir
}

func (s *Store) dropAside(dir string) {
	s.warnIf("delete what was set aside and is not needed", os.RemoveAll(dir))
}

// noteFound reports whether a search found everything, and passes damage on.
func (s *Store) noteFound(what string, err error, note func(error)) bool {
	switch {
	case err == nil:
		return !s.hurt.Load()
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrStoriesDamaged):
		note(err)
	default:
		s.warnIf("look through "+what, err)
	}
	return false
}

// findState looks for what may lie in dir: the whole journal, of which each entry lies in one transaction with the state
// that it led to, and every block that a list shows.
func (s *Store) findState(v *View, dir string) (err error) {
	defer readEnded(debug.SetPanicOnFault(true), &err)
	if err := s.findJournal(v); err != nil {
		return err
	}
	shown, err := s.shownLoads(v)
	if err != nil {
		return err
	}
	missing := 0
	err = salvage(dir, sealedEnd, s.log, func(e saved) error {
		if s.isClosing() {
			return ErrClosed
		}
		if !e.proven || !isShown(shown, e.key, e.version) || !sound(e.key, e.value) {
			return nil
		}
		found, err := s.holdsVersion(e.key, e.version)
		if err == nil && !found {
			missing++
		}
		return err
	})
	if err == nil && missing > 0 {
		err = fmt.Errorf("%w: %d blocks of lists are only in %s", ErrDamaged, missing, filepath.Base(dir))
	}
	return err
}

// shownLoads are the loads that the content of a list is made of.
func (s *Store) shownLoads(v *View) (map[loadID]bool, error) {
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	shown := map[loadID]bool{}
	for _, l := range v.lists {
		err := eachLoad(txn, l, func(id loadID, _ *storev1.ImportEntry) error {
			shown[id] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// isShown reports that a key is of a block that a list shows, or of the proof of one.
func isShown(shown map[loadID]bool, key []byte, version uint64) bool {
	return len(key) > listIDBytes && (key[0] == keyBlock || key[0] == keyCommit) && shown[loadID{readListID(key), version}]
}

// holdsVersion reports whether the database holds a key as of exactly that version.
func (s *Store) holdsVersion(key []byte, version uint64) (bool, error) {
	txn := s.db.NewTransactionAt(version, false)
	defer txn.Discard()
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for a value: %w", err)
	}
	return item.Version() == version, nil
}

// findJournal walks the whole journal up to the view.
func (s *Store) findJournal(v *View) error {
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	w := newChainWalk(mark{journal: v.journal, tip: position{v.revision, v.chain}})
	err := eachEntry(txn, 1, func(e entry) error {
		if s.isClosing() {
			return ErrClosed
		}
		_, err := w.take(e)
		return err
	})
	if err != nil {
		return err
	}
	if gaps := w.finish(); len(gaps) > 0 {
		return fmt.Errorf("%w: revisions %d to %d are gone", ErrDamaged, gaps[0].From, gaps[0].To)
	}
	return w.contradiction
}

// storiesInLogs is more stories than the logs of their database can hold: one takes 80 bytes there at least.
const storiesInLogs = 6 * storiesMemTable / 80

// findStories looks up the newest stories that the journal names, about so many.
func (s *Store) findStories(v *View, most int) (err error) {
	defer readEnded(debug.SetPanicOnFault(true), &err)
	if s.stories.db == nil {
		return ErrStoriesDamaged // told already: which are missing is not known
	}
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	named, missing, fates := 0, 0, storyFates{s: s.stories}
	err = eachEntryBack(txn, v.revision, func(e entry) error {
		rev, err := e.decode()
		if err != nil {
			return err
		}
		for _, event := range rev.GetEvents() {
			if hash := event.GetStoryHash(); len(hash) > 0 && fates.of(e.revision, hash).lost {
				missing++
			}
		}
		named += len(fates.known)
		fates.known = nil
		switch {
		case s.isClosing():
			return ErrClosed
		case named >= most:
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	if missing > 0 {
		return fmt.Errorf("%w: %d stories that the journal names are missing", ErrStoriesDamaged, missing)
	}
	return nil
}
