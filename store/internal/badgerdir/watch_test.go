package badgerdir

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dncd/dncd/store/internal/seal"
)

// writeTable opens a database, writes entries with sealed values and closes it, which makes a table of them.
func writeTable(t *testing.T, dir string, from, to int) {
	t.Helper()
	db, err := Open(Options(dir, slog.New(slog.DiscardHandler)), false)
	must(t, err)
	batch := db.NewWriteBatch()
	defer batch.Cancel()
	for i := from; i < to; i++ {
		key := binary.BigEndian.AppendUint64([]byte{'r'}, uint64(14155550100+i))
		must(t, batch.Set(key, seal.Value(key, fmt.Appendf(nil, "the value of entry %d, as long as a record", i))))
	}
	must(t, batch.Flush())
	must(t, db.Close())
}

// largestTable is the path of the largest table of a database.
func largestTable(t *testing.T, dir string) string {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables: %v, %v", tables, err)
	}
	return slices.MaxFunc(tables, func(a, b string) int { return cmp.Compare(size(t, a), size(t, b)) })
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

// A table that a compaction takes away after the tables were listed is no harm.
func TestCompactionWhileTablesAreLookedAtIsNoHarm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 6 { // so many that a compaction is due
		writeTable(t, dir, i, i+1)
	}
	db, err := Open(Options(dir, slog.New(slog.DiscardHandler)), false)
	must(t, err)
	defer db.Close()
	w := NewWatch(db)
	listed, err := w.tables.now()
	must(t, err)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(w.tables.path(slices.Min(listed)))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no compaction of %d tables", len(listed))
		}
	}
	if err := w.checkListed(listed, w.read); err != nil {
		t.Error(err)
	}
}

// A table whose content changed is damage before anybody reads it; one that was only touched is none.
func TestChangedTableIsReadWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTable(t, dir, 0, 1)
	path := largestTable(t, dir)
	w := new(Watch)
	must(t, w.table(path, w.read))
	must(t, os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)))
	if err := w.table(path, w.read); err != nil {
		t.Errorf("touched: %v", err)
	}
	b, err := os.ReadFile(path)
	must(t, err)
	b[0] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
	if err := w.table(path, w.read); err == nil {
		t.Error("a flipped bit was not noticed")
	}
}

// A table that no look has read yet is damage when it is cut after a read has met it.
func TestTableThatWasMetIsWatched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTable(t, dir, 0, 1)
	path := largestTable(t, dir)
	w := new(Watch)
	must(t, w.table(path, w.meet))
	must(t, w.table(path, w.meet))
	must(t, os.Truncate(path, 10))
	if err := w.table(path, w.meet); err == nil {
		t.Error("a cut table was not noticed")
	}
}
