package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestBlockFilesAreClosed: of many files that were read few stay open, those read last; one that somebody is reading is
// closed after its reader has ended, and one that is read again is opened again.
func TestBlockFilesAreClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const count = 3 * maxBlockFiles
	path := func(i uint64) string { return filepath.Join(dir, fmt.Sprint(i)) }
	for i := range uint64(count) {
		must(t, os.WriteFile(path(i), fmt.Append(nil, i), 0o600))
	}
	var f blockFiles
	read := func(b *openBlocks, want uint64) {
		t.Helper()
		got := make([]byte, len(fmt.Append(nil, want)))
		if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, fmt.Append(nil, want)) {
			t.Errorf("file %d: got %q and %v", want, got, err)
		}
	}
	inside, err := f.take(loadID{prepared: 0}, path(0))
	must(t, err)
	var all []*openBlocks
	for round := range 2 {
		for i := range uint64(count) {
			b, err := f.take(loadID{prepared: i}, path(i))
			must(t, err)
			read(b, i)
			f.giveBack(b)
			if round == 0 {
				all = append(all, b)
			}
		}
	}
	if len(f.open) != maxBlockFiles || f.used.Len() != maxBlockFiles {
		t.Errorf("got %d and %d files open, want %d", len(f.open), f.used.Len(), maxBlockFiles)
	}
	read(inside, 0)
	f.giveBack(inside)
	if _, err := inside.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file whose reader has ended: got %v, want closed", err)
	}
	for i, b := range all {
		if _, err := b.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("file %d of the first round: got %v, want closed", i, err)
		}
	}
	must(t, f.close())
	if _, err := f.take(loadID{prepared: count}, path(count)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a file that is missing: got %v, want damage", err)
	}
}
