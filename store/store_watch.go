package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/disk"
)

const (
	watchEvery = time.Second
	// watchAgain is when what looks like damage is looked at again: the database may be exchanging its own files.
	watchAgain = 100 * time.Millisecond
)

// watch looks after the files of an open store: another process may delete, replace or cut them, or write
// into them. The store would continue with files that have no name, and acknowledge what the next start does not find.
type watch struct {
	s    *Store
	gone chan struct{} // closed when files of a database are harmed: nothing waits for it any more
	quit chan struct{}
	done sync.WaitGroup

	tables, stories *badgerdir.Watch // of the databases; stories is nil where there are none

	mu    sync.Mutex                               // of a look
	loads map[block.LoadID]map[block.LoadID]uint64 // by what a list shows: the files of its loads, with their lengths
}

func newWatch(s *Store) *watch {
	return &watch{
		s: s, gone: make(chan struct{}), quit: make(chan struct{}),
		loads: map[block.LoadID]map[block.LoadID]uint64{},
	}
}

// intact checks that the tables are as they were: see badgerdir.Watch.Intact. A store that does not serve has no watch.
// Errors: ErrDamaged, which is noted; ErrSystem when nothing can be known at the moment.
func (w *watch) intact() error {
	if w == nil {
		return nil
	}
	err := w.tables.Intact()
	if err != nil && !errors.Is(err, ErrSystem) {
		err = fmt.Errorf("%w: in %s: %w", ErrDamaged, badgerDir, err)
		w.s.noteDamage(err)
	}
	return err
}

func (w *watch) start() {
	w.done.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			w.look()
			select {
			case <-w.gone:
				return
			case <-w.quit:
				w.look()
				return
			case <-tick.C:
			}
		}
	})
}

// stop looks a last time, and reports whether the databases can be closed.
func (w *watch) stop() bool {
	close(w.quit)
	w.done.Wait()
	return !w.isGone()
}

func (w *watch) isGone() bool {
	select {
	case <-w.gone:
		return true
	default:
		return false
	}
}

// look notes what is not as it should be.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isGone() {
		return
	}
	found := w.check()
	if found != (harm{}) {
		time.Sleep(watchAgain)
		found = w.check()
	}
	if err := errors.Join(found.beside, found.database); err != nil {
		w.s.noteDamage(err)
	}
	if found.stories != nil {
		w.s.noteStories(found.stories)
	}
	if found.database != nil || found.stories != nil {
		close(w.gone)
	}
}

// harm is what is wrong with the files of the databases, and with those that verdicts rest on beside them.
type harm struct{ beside, database, stories error }

func (w *watch) check() (found harm) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &found.database)
	found.beside = errors.Join(disk.CheckName(w.s.lock), w.s.mark.CheckName(), w.blockFiles())
	found.database = checkFiles(badgerDir, w.tables, ErrDamaged)
	if w.stories != nil {
		found.stories = checkFiles(storiesDir, w.stories, ErrStoriesDamaged)
	}
	return found
}

func checkFiles(name string, database *badgerdir.Watch, damage error) error {
	if err := database.Check(); err != nil {
		return fmt.Errorf("%w: in %s: %w", damage, name, err)
	}
	return nil
}

// blockFiles checks the files of the loads that lists show.
func (w *watch) blockFiles() error {
	v := w.s.View()
	for _, l := range v.lists {
		shown := block.LoadID{List: l.ID, Prepared: l.ContentRevision}
		if w.loads[shown] == nil {
			w.loads[shown] = w.filesOf(v, l)
		}
		for id, bytes := range w.loads[shown] {
			if err := w.s.files.Check(id, bytes); errors.Is(err, ErrDamaged) {
				return fmt.Errorf("list %s: %w", l.Name, err)
			}
		}
	}
	maps.DeleteFunc(w.loads, func(shown block.LoadID, _ map[block.LoadID]uint64) bool {
		return !slices.ContainsFunc(v.lists, func(l *List) bool { return shown == block.LoadID{List: l.ID, Prepared: l.ContentRevision} })
	})
	return nil
}

// filesOf are the files of the loads that a list's content is made of, with their lengths; nil when they are not known.
func (w *watch) filesOf(v *View, l *List) (files map[block.LoadID]uint64) {
	txn := w.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	files = map[block.LoadID]uint64{}
	for load, err := range contentLoads(txn, l) {
		if err != nil {
			return nil
		}
		if load.entry.GetCommits() == 0 {
			continue
		}
		last, err := readCommit(txn, load.id.List, load.id.Prepared, load.entry.GetCommits()-1)
		if err != nil {
			return nil
		}
		files[load.id] = last.GetFileBytes()
	}
	return files
}

// commitAt commits a transaction. It does not wait for a database whose files are gone, which would never finish what it
// cannot write.
func (s *Store) commitAt(txn *badger.Txn, revision uint64) error {
	done := make(chan error, 1)
	if err := txn.CommitAt(revision, func(err error) { done <- err }); err != nil {
		return err
	}
	return s.unlessGone(done)
}

// unlessGone waits for the end of a write, unless files of a database are gone: then it returns what was found.
func (s *Store) unlessGone(done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-s.watch.gone:
		return cmp.Or(s.health.stopped(), ErrDamaged)
	}
}
