package badgerdir

import (
	"fmt"
	"os"
	"testing"

	"github.com/dncd/dncd/store/internal/seal"
)

const salvagedEntries = 1000

// salvageTest is a table with the entries that can be read of it while it is whole.
type salvageTest struct {
	t       *testing.T
	content []byte
	blocks  []extent
	whole   map[string]bool
}

func newSalvageTest(t *testing.T) *salvageTest {
	t.Helper()
	dir := t.TempDir()
	writeTable(t, dir, 0, salvagedEntries)
	content, err := os.ReadFile(largestTable(t, dir))
	must(t, err)
	s := &salvageTest{t: t, content: content, blocks: wholeBlocks(content)}
	s.whole = s.read(content)
	if len(s.whole) != salvagedEntries || len(s.blocks) < 5 {
		t.Fatalf("%d entries in %d blocks: too few to tell", len(s.whole), len(s.blocks))
	}
	return s
}

// read salvages a table of that content.
func (s *salvageTest) read(content []byte) map[string]bool {
	s.t.Helper()
	table := tableSalvager{end: seal.End}
	must(s.t, table.salvage(content))
	found := map[string]bool{}
	for _, e := range table.found {
		if seal.Holds(e.Key, e.Value) {
			found[fmt.Sprintf("%x %d %x", e.Key, e.Version, e.Value)] = true
		}
	}
	return found
}

// lost is how many entries are read of the whole table and not of content.
func (s *salvageTest) lost(content []byte) int {
	s.t.Helper()
	lost, found := 0, s.read(content)
	for e := range s.whole {
		if !found[e] {
			lost++
		}
	}
	return lost
}

func (s *salvageTest) flipped(at int) []byte {
	b := append([]byte(nil), s.content...)
	b[at] ^= 0x10
	return b
}

// entriesOf counts the entries in the blocks that end before the end, and in all.
func (s *salvageTest) entriesBefore(end int) (n int) {
	s.t.Helper()
	for _, b := range s.blocks {
		if b.to <= end {
			n += s.entriesIn(b)
		}
	}
	return n
}

func (s *salvageTest) entriesIn(b extent) (n int) {
	s.t.Helper()
	var table tableSalvager
	table.readBlock(s.content[b.from:b.to])
	return len(table.found)
}

// What ends a table says where its blocks are. Without it, or with bytes behind it, nothing is lost.
func TestSalvageNeedsNoFooter(t *testing.T) {
	t.Parallel()
	s := newSalvageTest(t)
	end := len(s.content)
	index := s.blocks[len(s.blocks)-1].to
	if got := s.entriesBefore(index); got != len(s.whole) {
		t.Errorf("%d entries in whole blocks, %d salvaged", got, len(s.whole))
	}
	for name, content := range map[string][]byte{
		"a byte cut off":   s.content[:end-1],
		"a byte appended":  append(s.content[:end:end], 'x'),
		"zeros appended":   append(s.content[:end:end], make([]byte, 4096)...),
		"no index":         s.content[:index],
		"half an index":    s.content[:(index+end)/2],
		"flipped at -1":    s.flipped(end - 1),
		"flipped at -4":    s.flipped(end - 4),
		"flipped at -8":    s.flipped(end - 8),
		"flipped in index": s.flipped((index + end) / 2),
	} {
		if lost := s.lost(content); lost > 0 {
			t.Errorf("%s: %d entries of %d are lost", name, lost, len(s.whole))
		}
	}
}

// Of a table that was cut all that lies before the cut is read, and of the block that was cut what is whole.
func TestSalvageOfACutTable(t *testing.T) {
	t.Parallel()
	s := newSalvageTest(t)
	for _, b := range s.blocks[:min(len(s.blocks), 20)] {
		for _, end := range []int{b.from + 1, (b.from + b.to) / 2, b.to - 1} {
			got, want := len(s.read(s.content[:end])), s.entriesBefore(b.from)
			switch end {
			case b.to - 1: // only the length of the checksum is cut
				want += s.entriesIn(b)
			case (b.from + b.to) / 2:
				want += s.entriesIn(b) / 4
			}
			if got < want {
				t.Errorf("cut at %d, in the block from %d to %d: %d entries read, want %d", end, b.from, b.to, got, want)
			}
		}
	}
}

// A flipped bit costs the entry that it lies in; in the first key of a block it costs those that share that part.
func TestSalvageOfAFlippedBlock(t *testing.T) {
	t.Parallel()
	s := newSalvageTest(t)
	costly, flips := 0, 0
	for _, b := range s.blocks[:min(len(s.blocks), 15)] {
		for at := b.from; at < b.to; at += flipStep(at - b.from) {
			inFirstKey := at < b.from+blockEntryHead+maxLogKey
			lost := s.lost(s.flipped(at))
			if lost > s.entriesIn(b) || lost > 1 && (!inFirstKey || at < b.from+blockEntryHead) {
				t.Errorf("flip at %d of the block from %d to %d: %d entries are lost", at-b.from, b.from, b.to, lost)
			}
			if flips++; lost > 1 {
				costly++
			}
		}
	}
	t.Logf("%d of %d flips cost more than an entry", costly, flips)
}

// flipStep tries each byte of a block's first head, and some of the others.
func flipStep(at int) int {
	if at < blockEntryHead {
		return 1
	}
	return 11
}

func TestSalvageOfAFlippedBlockKeepsTheNext(t *testing.T) {
	t.Parallel()
	s := newSalvageTest(t)
	for i, b := range s.blocks[:len(s.blocks)-1] {
		content := append([]byte(nil), s.content...)
		clear(content[b.from:b.to])
		if lost, want := s.lost(content), s.entriesIn(b); lost != want {
			t.Errorf("block %d of %d zeroed: %d entries are lost, want its own %d", i, len(s.blocks), lost, want)
		}
	}
}
