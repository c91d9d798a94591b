package block

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/dncd/dncd/store/internal/fault"
)

// Of many files that were read few stay open, those read last. One that somebody is reading is closed after its reader has
// ended, and one that is read again is opened again.
func TestBlockFilesAreClosed(t *testing.T) {
	t.Parallel()
	f := Files{Dir: t.TempDir()}
	const count = 3 * maxOpen
	for i := range uint64(count) {
		must(t, os.WriteFile(f.Path(LoadID{Prepared: i}), fmt.Append(nil, i), 0o600))
	}
	read := func(b *openFile, want uint64) {
		t.Helper()
		got := make([]byte, len(fmt.Append(nil, want)))
		if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, fmt.Append(nil, want)) {
			t.Errorf("file %d: got %q and %v", want, got, err)
		}
	}
	inside, err := f.acquire(LoadID{Prepared: 0})
	must(t, err)
	var all []*openFile
	for round := range 2 {
		for i := range uint64(count) {
			b, err := f.acquire(LoadID{Prepared: i})
			must(t, err)
			read(b, i)
			f.release(b)
			if round == 0 {
				all = append(all, b)
			}
		}
	}
	if len(f.open) != maxOpen || f.used.Len() != maxOpen {
		t.Errorf("got %d and %d files open, want %d", len(f.open), f.used.Len(), maxOpen)
	}
	read(inside, 0)
	f.release(inside)
	if _, err := inside.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file whose reader has ended: got %v, want closed", err)
	}
	for i, b := range all {
		if _, err := b.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("file %d of the first round: got %v, want closed", i, err)
		}
	}
	must(t, f.Close())
	if _, err := f.acquire(LoadID{Prepared: count}); !errors.Is(err, fault.ErrDamaged) {
		t.Errorf("a file that is missing: got %v, want damage", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
