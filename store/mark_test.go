package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// writtenMarks writes marks of revisions 1 to n into a new directory and returns it with the last one.
func writtenMarks(t *testing.T, n int) (dir string, last mark) {
	t.Helper()
	dir = t.TempDir()
	w, err := openMark(dir, 0)
	must(t, err)
	for i := range n {
		at := uint64(i) + 1
		last = mark{journal: JournalID{7, 15: 8}, tip: position{at, chainHash{1, 31: byte(at)}}, checkpoint: position{at - 1, chainHash{2, 31: 3}}}
		must(t, w.write(last))
	}
	must(t, w.close())
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
			path := filepath.Join(dir, markFile)
			if c.harm != nil {
				must(t, os.WriteFile(path, c.harm(bytes.Clone(readFile(t, path))), 0o600))
			}
			got, seq, err := readMark(dir)
			if c.want == 0 {
				if !errors.Is(err, errNoMark) {
					t.Errorf("%+v, %v; want no mark", got, err)
				}
				return
			}
			if err != nil || got.tip.revision != c.want || seq != c.want || got.halved != c.halved {
				t.Fatalf("%+v of sequence %d, %v; want revision %d, halved %v", got, seq, err, c.want, c.halved)
			}
			if got.halved = false; int(c.want) == c.marks && got != last {
				t.Errorf("%+v, want %+v", got, last)
			}
		})
	}
}

// Each new store has a journal of its own.
func TestJournalsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	a, b := open(t, t.TempDir()).View().JournalID(), open(t, t.TempDir()).View().JournalID()
	if a == b {
		t.Errorf("two journals of the name %s", a)
	}
}

// A store that is killed again and again, between writes, is whole each time, and verification begins where it did.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	dir := t.TempDir()
	s := open(t, dir)
	optOut(t, s, fiction(415, 0), "acme")
	closeStore(t, s)
	s = open(t, dir)
	for i := 1; i < 4; i++ {
		optOut(t, s, fiction(415, i), "acme")
		killed := filepath.Join(t.TempDir(), "data")
		must(t, os.CopyFS(killed, os.DirFS(dir)))
		m, _, err := readMark(killed)
		if must(t, err); m.checkpoint.revision != 1 || m.tip != s.tip() {
			t.Errorf("the mark: %+v; want the checkpoint of the clean stop", m)
		}
		dir, s = killed, open(t, killed)
		if s.State().Cause != nil || s.View().Revision() != uint64(i)+1 {
			t.Fatalf("killed for the %d-th time: revision %d, %v", i, s.View().Revision(), s.State().Cause)
		}
	}
}
