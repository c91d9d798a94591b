package badgerdir

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"

	"github.com/dncd/dncd/store/internal/fault"
)

// tableList knows which tables an open database has, from its MANIFEST. Badger's own list reads each table while it holds a
// lock. If that meets damage, the lock is never released, and the next one that needs it waits forever.
type tableList struct {
	opt badger.Options

	mu  sync.Mutex
	at  fs.FileInfo // the MANIFEST, as it was when ids were read
	ids []uint64
}

func newTableList(db *badger.DB) *tableList { return &tableList{opt: db.Opts()} }

// now are the tables' ids. Errors: the MANIFEST is not there or damaged; fault.ErrSystem when it cannot be read at the
// moment.
func (l *tableList) now() ([]uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	info, err := os.Stat(filepath.Join(l.opt.Dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the MANIFEST was deleted while the store was open")
	}
	if err == nil && l.at != nil && isSame(l.at, info) {
		return l.ids, nil
	}
	manifest, err := readManifest(l.opt)
	if err != nil {
		return nil, fault.AsDamage(err)
	}
	l.at, l.ids = info, slices.Collect(maps.Keys(manifest.Tables))
	return l.ids, nil
}

// has reports whether a table is still one of the database's. Errors: those of now.
func (l *tableList) has(id uint64) (bool, error) {
	ids, err := l.now()
	return slices.Contains(ids, id), err
}

func (l *tableList) path(id uint64) string { return table.NewFilename(id, l.opt.Dir) }

// isSame reports that a file is the one that it was, and was not written to since.
func isSame(was, is fs.FileInfo) bool {
	return os.SameFile(was, is) && was.Size() == is.Size() && was.ModTime().Equal(is.ModTime())
}
