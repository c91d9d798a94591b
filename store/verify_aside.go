package store

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/nice"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/stories"
)

// What opening sets aside, the tables that a MANIFEST does not list and copies of the logs that the database cuts off, is
// deleted only after everything that may be in it was found elsewhere. Else it stays, and State reports damage.

// searchSetAside looks for what may be in what was set aside, and for the stories that a damaged log may have held. v is
// the view of the open: what came later is in neither.
func (s *Store) searchSetAside(v *View) {
	nice.Goroutine()
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
	dir := filepath.Join(s.dir, name+badgerdir.UnlistedSuffix)
	if files, err := os.ReadDir(dir); len(files) == 0 && disk.IgnoreMissing(err) == nil {
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
		return !s.damageSeen.Load()
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrStoriesDamaged):
		note(err)
	default:
		s.warnIf("look through "+what, err)
	}
	return false
}

// findState looks for what may be in dir: the whole journal, each entry of which is in one transaction with the state
// that it led to, and every block that a list shows.
func (s *Store) findState(v *View, dir string) (err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	if err := s.findJournal(v); err != nil {
		return err
	}
	shown, err := s.shownLoads(v)
	if err != nil {
		return err
	}
	missing := 0
	for e, err := range badgerdir.Salvage(dir, seal.End, s.log) {
		if s.isClosing() {
			return ErrClosed
		}
		if err != nil {
			return err
		}
		if !e.Proven || !isShown(shown, e.Key, e.Version) || !seal.Holds(e.Key, e.Value) {
			continue
		}
		found, err := s.holdsVersion(e.Key, e.Version)
		if err != nil {
			return err
		}
		if !found {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("%w: %d blocks of lists are only in %s", ErrDamaged, missing, filepath.Base(dir))
	}
	return nil
}

// shownLoads are the loads that the content of a list is made of.
func (s *Store) shownLoads(v *View) (map[block.LoadID]bool, error) {
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	shown := map[block.LoadID]bool{}
	for _, l := range v.lists {
		for load, err := range contentLoads(txn, l) {
			if err != nil {
				return nil, err
			}
			shown[load.id] = true
		}
	}
	return shown, nil
}

// isShown reports that a key is of a block that a list shows, or of the proof of one.
func isShown(shown map[block.LoadID]bool, key []byte, version uint64) bool {
	return len(key) > keys.ListIDBytes && (key[0] == keys.KindBlock || key[0] == keys.KindCommit) && shown[block.LoadID{List: keys.ListID(key), Prepared: version}]
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
	w := journal.NewWalk(journal.Mark{Journal: v.journal, Tip: v.position()})
	for e, err := range journal.Entries(txn, 1) {
		if s.isClosing() {
			return ErrClosed
		}
		if err == nil {
			_, err = w.Follow(e)
		}
		if err != nil {
			return err
		}
	}
	if gaps := w.End(); len(gaps) > 0 {
		return fmt.Errorf("%w: revisions %d to %d are gone", ErrDamaged, gaps[0].From, gaps[0].To)
	}
	return w.Contradiction
}

// storiesInLogs is more stories than the logs of their database can hold: one takes 80 bytes there at least.
const storiesInLogs = 6 * stories.MemTableBytes / 80

// findStories looks up the newest stories that the journal names, about that many.
func (s *Store) findStories(v *View, most int) (err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	if s.stories.Badger == nil {
		return ErrStoriesDamaged // reported already: which are missing is not known
	}
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	missing, fates := 0, s.stories.Fates()
	for e, err := range journal.Backward(txn, v.revision) {
		if err != nil {
			return err
		}
		rev, err := e.Decode()
		if err != nil {
			return err
		}
		for _, event := range rev.GetEvents() {
			if hash := event.GetStoryHash(); len(hash) > 0 && fates.Of(e.Revision, hash).Lost {
				missing++
			}
		}
		if s.isClosing() {
			return ErrClosed
		}
		if fates.Stories >= most {
			break
		}
	}
	if missing > 0 {
		return fmt.Errorf("%w: %d stories that the journal names are missing", ErrStoriesDamaged, missing)
	}
	return nil
}
