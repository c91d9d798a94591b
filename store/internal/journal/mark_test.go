package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// writtenMarks writes marks of revisions 1 to n into a new directory and returns it with the last one.
func writtenMarks(t *testing.T, n int) (dir string, last Mark) {
	t.Helper()
	dir = t.TempDir()
	w, err := OpenMark(dir, 0)
	must(t, err)
	for i := range n {
		at := uint64(i) + 1
		last = Mark{Journal: ID{7, 15: 8}, Tip: Position{at, Hash{1, 31: byte(at)}}, Checkpoint: Position{at - 1, Hash{2, 31: 3}}}
		must(t, w.Write(last))
	}
	must(t, w.Close())
	return dir, last
}

// The newest mark that is whole counts, with all that it says, in whichever slot it lies; a slot that is not whole is told.
func TestMarkOfTwoSlots(t *testing.T) {
	t.Parallel()
	const slot1, slot2 = 0, markSlotBytes // odd sequence numbers lie in the second slot
	for _, c := range []struct {
		name   string
		marks  int
		harm   func(b []byte) []byte
		want   uint64 // its revision; 0: none
		halved bool
	}{
		{"the first", 1, nil, 1, false},
		{"the second", 2, nil, 2, false},
		{"the third", 3, nil, 3, false},
		{"the newer one damaged", 3, func(b []byte) []byte { b[slot2+40] ^= 1; return b }, 2, true},
		{"the older one damaged", 3, func(b []byte) []byte { b[slot1+40] ^= 1; return b }, 3, true},
		{"the newer one without its name", 4, func(b []byte) []byte { b[slot1] ^= 1; return b }, 3, true},
		{"the newer one torn", 4, func(b []byte) []byte { clear(b[slot1+60 : slot1+markBytes]); return b }, 3, true},
		{"both damaged", 4, func(b []byte) []byte { b[slot1+9] ^= 1; b[slot2+9] ^= 1; return b }, 0, false},
		{"nothing written", 0, nil, 0, false},
		{"cut behind the second slot's mark", 3, func(b []byte) []byte { return b[:slot2+markBytes] }, 3, false},
		{"cut within the second slot's mark", 3, func(b []byte) []byte { return b[:slot2+markBytes-1] }, 2, false},
		{"cut within the first slot's mark", 3, func(b []byte) []byte { return b[:markBytes-1] }, 0, false},
		{"empty", 3, func([]byte) []byte { return nil }, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, last := writtenMarks(t, c.marks)
			path := filepath.Join(dir, MarkName)
			if c.harm != nil {
				b, err := os.ReadFile(path)
				must(t, err)
				must(t, os.WriteFile(path, c.harm(b), 0o600))
			}
			got, seq, err := ReadMark(dir)
			if c.want == 0 {
				if !errors.Is(err, ErrNoMark) {
					t.Errorf("%+v, %v; want no mark", got, err)
				}
				return
			}
			if err != nil || got.Tip.Revision != c.want || seq != c.want || got.Halved != c.halved {
				t.Fatalf("%+v of sequence %d, %v; want revision %d, halved %v", got, seq, err, c.want, c.halved)
			}
			if got.Halved = false; int(c.want) == c.marks && got != last {
				t.Errorf("%+v, want %+v", got, last)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
