package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

const (
	watchEvery = time.Second
	// watchAgain is when what looks like damage is looked at again: the database exchanges its own files meanwhile.
	watchAgain = 100 * time.Millisecond
)

// watch looks after the files of an open store: somebody may delete them, put others in their place, cut them or write
// into them. The process would go on with files that have no name, and acknowledge what the next start does not find.
type watch struct {
	s    *Store
	gone chan struct{} // closed when files of a database are harmed: nobody waits for it any more
	quit chan struct{}
	done sync.WaitGroup

	tables, stories *tableList // of the databases; stories is nil where there are none

	seen sync.Map // by path: a file's fs.FileInfo, as it was when it was good
	met  sync.Map // by path: that of a table that no look has read yet, as it was when it was met

	mu    sync.Mutex                   // of a look
	loads map[loadID]map[loadID]uint64 // by what a list shows: the files of its loads, with their lengths
}

func newWatch(s *Store) *watch {
	return &watch{
		s: s, gone: make(chan struct{}), quit: make(chan struct{}),
		loads: map[loadID]map[loadID]uint64{},
	}
}

// know remembers the tables of a database that was just opened, which verified them, and returns their list.
func (w *watch) know(db *badger.DB) *tableList {
	l := newTableList(db)
	ids, err := l.now()
	if err != nil {
		return l // the first look finds it too
	}
	for _, id := range ids {
		if info, err := os.Stat(l.path(id)); err == nil {
			w.seen.Store(l.path(id), info)
		}
	}
	return l
}

// intact checks that the tables are as they were. A read of one that was cut or written into may find nothing, or an older
// value, where an entry was: what was not found is believed only when the tables are found intact after the read. What reads
// a store that does not serve has no watch. A table that was just made is taken as it is met: the next look reads it, which
// would take too long for a check. Errors: ErrDamaged, which is noted; ErrSystem when nothing can be known at the moment.
func (w *watch) intact() error {
	if w == nil {
		return nil
	}
	err := w.all(w.tables, w.meet)
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
	defer readEnded(debug.SetPanicOnFault(true), &found.database)
	found.beside = errors.Join(isNamed(w.s.lock), isNamed(w.s.mark.f), w.blockFiles())
	found.database = w.database(badgerDir, w.tables, ErrDamaged)
	if w.stories != nil {
		found.stories = w.database(storiesDir, w.stories, ErrStoriesDamaged)
	}
	return found
}

// database checks the files of a database: those of its tables, its MANIFEST, and its newest log.
func (w *watch) database(name string, tables *tableList, damage error) error {
	dir := filepath.Join(w.s.dir, name)
	if err := w.all(tables, w.read); err != nil && !errors.Is(err, ErrSystem) {
		return fmt.Errorf("%w: in %s: %w", damage, name, err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return err
	}
	if len(logs) == 0 {
		return fmt.Errorf("%w: in %s: the log was deleted while the store was open", damage, name)
	}
	newest := logs[len(logs)-1]
	if err := w.notReplaced(newest); err != nil {
		return fmt.Errorf("%w: in %s: %w", damage, name, err)
	}
	for _, path := range []string{newest, filepath.Join(dir, badger.ManifestFilename)} {
		if err := w.notShorter(path); err != nil {
			return fmt.Errorf("%w: in %s: %w", damage, name, err)
		}
	}
	return nil
}

// notReplaced checks that a log is the one that was made under its name: no name is used twice.
func (w *watch) notReplaced(log string) error {
	info, err := os.Stat(log)
	if before := w.seenAt(log); err == nil && before != nil && !os.SameFile(before, info) {
		return fmt.Errorf("%s was replaced while the store was open", filepath.Base(log))
	}
	return nil
}

// all checks the tables of a list.
func (w *watch) all(l *tableList, check checkFile) error {
	ids, err := l.now()
	if err != nil {
		return err
	}
	return w.listed(l, ids, check)
}

// listed checks tables that were listed. One that a compaction has taken out of the list meanwhile may be gone.
func (w *watch) listed(l *tableList, ids []uint64, check checkFile) error {
	for _, id := range ids {
		harmed := w.table(l.path(id), check)
		if harmed == nil {
			continue
		}
		if still, err := l.has(id); err != nil || still {
			return cmp.Or(err, harmed)
		}
	}
	return nil
}

// checkFile checks a file that is not as a look has read it.
type checkFile func(path string, info fs.FileInfo) error

// table checks a table, which never changes.
func (w *watch) table(path string, check checkFile) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s was deleted while the store was open", filepath.Base(path))
	}
	if err != nil || isAsIn(&w.seen, path, info) {
		return nil //nolint:nilerr // nothing is known
	}
	return check(path, info)
}

// meet notes a table that no look has read, or finds it as it was then. One that a look has read is changed.
func (w *watch) meet(path string, info fs.FileInfo) error {
	if _, read := w.seen.Load(path); !read {
		if _, met := w.met.LoadOrStore(path, info); !met || isAsIn(&w.met, path, info) {
			return nil
		}
	}
	return w.read(path, info)
}

// read reads a table whole: one that is new, or was written to since.
func (w *watch) read(path string, info fs.FileInfo) error {
	content, err := os.ReadFile(path)
	if asSystem(err) != nil {
		return nil //nolint:nilerr // nothing is known
	}
	if err == nil {
		err = checkTable(content)
	}
	if err != nil {
		return fmt.Errorf("%s was changed while the store was open: %w", filepath.Base(path), err)
	}
	w.seen.Store(path, info)
	w.met.Delete(path)
	return nil
}

// isAsIn reports that a file is as it was when it was put into files.
func isAsIn(files *sync.Map, path string, now fs.FileInfo) bool {
	then, _ := files.Load(path)
	before, _ := then.(fs.FileInfo)
	return before != nil && isSame(before, now)
}

// seenAt is how a file was when it was good; nil: it was not seen yet.
func (w *watch) seenAt(path string) fs.FileInfo {
	info, _ := w.seen.Load(path)
	before, _ := info.(fs.FileInfo)
	return before
}

// notShorter checks that a file is there, and that it was not cut.
func (w *watch) notShorter(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s was deleted while the store was open", filepath.Base(path))
	}
	if err != nil {
		return nil //nolint:nilerr // nothing is known
	}
	before := w.seenAt(path)
	if before != nil && os.SameFile(before, info) && info.Size() < before.Size() {
		return fmt.Errorf("%s was cut while the store was open", filepath.Base(path))
	}
	w.seen.Store(path, info)
	return nil
}

// blockFiles checks the files of the loads that lists show.
func (w *watch) blockFiles() error {
	v := w.s.View()
	for _, l := range v.lists {
		shown := loadID{l.ID, l.Visible}
		if w.loads[shown] == nil {
			w.loads[shown] = w.filesOf(v, l)
		}
		for id, bytes := range w.loads[shown] {
			if err := w.s.checkBlockFile(id, bytes); errors.Is(err, ErrDamaged) {
				return fmt.Errorf("list %s: %w", l.Name, err)
			}
		}
	}
	maps.DeleteFunc(w.loads, func(shown loadID, _ map[loadID]uint64) bool {
		return !slices.ContainsFunc(v.lists, func(l *List) bool { return shown == loadID{l.ID, l.Visible} })
	})
	return nil
}

// filesOf are the files of the loads that a list's content is made of, with their lengths; nil when they cannot be told.
func (w *watch) filesOf(v *View, l *List) (files map[loadID]uint64) {
	txn := w.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	files = map[loadID]uint64{}
	err := eachLoad(txn, l, func(id loadID, e *storev1.ImportEntry) error {
		if e.GetCommits() == 0 {
			return nil
		}
		last, err := readCommit(txn, id.list, id.prepared, e.GetCommits()-1)
		files[id] = last.GetFileBytes()
		return err
	})
	if err != nil {
		return nil
	}
	return files
}

// commitAt commits a transaction. It does not wait for a database whose files are gone: that never ends what it cannot
// write.
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
