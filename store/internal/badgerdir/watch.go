package badgerdir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/store/internal/fault"
)

// Watch looks after the files of an open database: another process may delete, replace or cut them, or write
// into them.
type Watch struct {
	dir    string
	tables *tableList
	seen   sync.Map // by path: a file's fs.FileInfo, as it was when it was good
	met    sync.Map // by path: that of a table that no Check has read yet, as it was when it was met
}

// NewWatch remembers the tables of a database that was just opened, which verified them.
func NewWatch(db *badger.DB) *Watch {
	w := &Watch{dir: db.Opts().Dir, tables: newTableList(db)}
	ids, err := w.tables.now()
	if err != nil {
		return w // the first Check finds it too
	}
	for _, id := range ids {
		if info, err := os.Stat(w.tables.path(id)); err == nil {
			w.seen.Store(w.tables.path(id), info)
		}
	}
	return w
}

// Intact checks that the tables are as they were. A read of one that was cut or written into may find nothing, or an older
// value, where an entry was. So what was not found is believed only when the tables are found intact after the read. A table
// that was just made is taken as it is met: the next Check reads it, which would take too long here. Errors:
// fault.ErrSystem when nothing can be known at the moment; any other error is damage.
func (w *Watch) Intact() error { return w.eachTable(w.meet) }

// Check checks the files of the database: its tables, its MANIFEST, and its newest log. An error is damage.
func (w *Watch) Check() error {
	if err := w.eachTable(w.read); err != nil && !errors.Is(err, fault.ErrSystem) {
		return err
	}
	logs, err := filepath.Glob(filepath.Join(w.dir, "*.mem"))
	if err != nil {
		return err
	}
	if len(logs) == 0 {
		return errors.New("the log was deleted while the store was open")
	}
	newest := logs[len(logs)-1]
	if err := w.notReplaced(newest); err != nil {
		return err
	}
	for _, path := range []string{newest, filepath.Join(w.dir, badger.ManifestFilename)} {
		if err := w.notShorter(path); err != nil {
			return err
		}
	}
	return nil
}

// notReplaced checks that a log is the one that was made under its name: no name is used twice.
func (w *Watch) notReplaced(log string) error {
	info, err := os.Stat(log)
	if before := w.seenAt(log); err == nil && before != nil && !os.SameFile(before, info) {
		return fmt.Errorf("%s was replaced while the store was open", filepath.Base(log))
	}
	return nil
}

// checkFile checks a file that is not as a Check has read it.
type checkFile func(path string, info fs.FileInfo) error

func (w *Watch) eachTable(check checkFile) error {
	ids, err := w.tables.now()
	if err != nil {
		return err
	}
	return w.checkListed(ids, check)
}

// checkListed checks tables that were listed. One that a compaction has removed from the list since may be gone.
func (w *Watch) checkListed(ids []uint64, check checkFile) error {
	for _, id := range ids {
		harmed := w.table(w.tables.path(id), check)
		if harmed == nil {
			continue
		}
		if still, err := w.tables.has(id); err != nil || still {
			return cmp.Or(err, harmed)
		}
	}
	return nil
}

// table checks a table, which never changes.
func (w *Watch) table(path string, check checkFile) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s was deleted while the store was open", filepath.Base(path))
	}
	if err != nil || isAsIn(&w.seen, path, info) {
		return nil //nolint:nilerr // nothing is known
	}
	return check(path, info)
}

// meet notes a table that no Check has read, or finds it as it was then. One that a Check has read is changed.
func (w *Watch) meet(path string, info fs.FileInfo) error {
	if _, read := w.seen.Load(path); !read {
		if _, met := w.met.LoadOrStore(path, info); !met || isAsIn(&w.met, path, info) {
			return nil
		}
	}
	return w.read(path, info)
}

// read reads a whole table: one that is new, or was written to since.
func (w *Watch) read(path string, info fs.FileInfo) error {
	content, err := os.ReadFile(path)
	if fault.AsSystem(err) != nil {
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
func (w *Watch) seenAt(path string) fs.FileInfo {
	info, _ := w.seen.Load(path)
	before, _ := info.(fs.FileInfo)
	return before
}

// notShorter checks that a file is there, and that it was not cut.
func (w *Watch) notShorter(path string) error {
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
