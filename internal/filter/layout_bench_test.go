package filter

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/bits-and-blooms/bloom/v3"
)

// benchN is how many numbers the benchmarks hold. The layout was chosen at
// 100 million: go test -bench Layouts -filter.n=100000000 ./internal/filter
var benchN = flag.Uint64("filter.n", 1_000_000, "numbers in the benchmarks' filters")

// layout is a candidate in the comparison behind docs/design/002-filter-layout.md.
type layout interface {
	add(n uint64)
	test(n uint64) bool
	bytes() uint64
}

// plainLayout is one bloom/v3 filter, as the library is used out of the box.
type plainLayout struct{ f *bloom.BloomFilter }

func newPlain(n uint64) layout { return plainLayout{bloom.NewWithEstimates(uint(n), 0.001)} }

func (l plainLayout) add(n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	l.f.Add(b[:])
}

func (l plainLayout) test(n uint64) bool {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return l.f.Test(b[:])
}

func (l plainLayout) bytes() uint64 { return uint64(l.f.Cap()) / 8 }

// partLayout is a bloom/v3 filter a partition of 4 KiB, keyed by bytes.
type partLayout struct{ parts []*bloom.BloomFilter }

func newParts(n uint64) layout {
	m, k := bloom.EstimateParameters(uint(n), 0.001)
	l := partLayout{make([]*bloom.BloomFilter, m/(4<<13)+1)}
	for i := range l.parts {
		l.parts[i] = bloom.New(4<<13, k)
	}
	return l
}

func (l partLayout) part(n uint64) plainLayout {
	i, _ := lineOf(n, uint64(len(l.parts)))
	return plainLayout{l.parts[i]}
}
func (l partLayout) add(n uint64)       { l.part(n).add(n) }
func (l partLayout) test(n uint64) bool { return l.part(n).test(n) }
func (l partLayout) bytes() uint64      { return uint64(len(l.parts)) * 4 << 10 }

// lineBytesLayout is a bloom/v3 filter a cache line, keyed by bytes.
type lineBytesLayout struct {
	words []uint64
	lines uint64
}

func newLineBytes(n uint64) layout {
	return lineBytesLayout{make([]uint64, n*16/512*8+8), n*16/512 + 1}
}

func (l lineBytesLayout) at(n uint64) []uint64 {
	i, _ := lineOf(n, l.lines)
	i *= 8
	return l.words[i : i+8 : i+8]
}

func (l lineBytesLayout) add(n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	bloom.FromWithM(l.at(n), 512, 8).Add(b[:])
}

func (l lineBytesLayout) test(n uint64) bool {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return bloom.FromWithM(l.at(n), 512, 8).Test(b[:])
}
func (l lineBytesLayout) bytes() uint64 { return uint64(len(l.words)) * 8 }

// lineLocsLayout is the same with our hash and bloom's TestLocations.
type lineLocsLayout struct{ lineBytesLayout }

func newLineLocs(n uint64) layout { return lineLocsLayout{newLineBytes(n).(lineBytesLayout)} }

func (l lineLocsLayout) add(n uint64) {
	_, pos := lineOf(n, l.lines)
	b := bloom.FromWithM(l.at(n), lineBits, maxK).BitSet()
	for _, loc := range locations(0, pos) {
		b.Set(uint(loc))
	}
}

func (l lineLocsLayout) test(n uint64) bool {
	i, pos := lineOf(n, l.lines)
	var locs [maxK]uint64
	for j := range locs {
		locs[j] = pos & posMask
		pos >>= posBits
	}
	return bloom.FromWithM(l.words[i*8:i*8+8:i*8+8], lineBits, maxK).TestLocations(locs[:])
}

// partLocsLayout is a bloom/v3 filter a partition, with all the locations of a
// number in one of its cache lines.
type partLocsLayout struct {
	parts []*bloom.BloomFilter
	lines uint64 // in all
	shift uint   // lines a partition, as a power of two
}

func newPartLocs(n uint64, shift uint) partLocsLayout {
	parts := n*16/lineBits>>shift + 1
	l := partLocsLayout{make([]*bloom.BloomFilter, parts), parts << shift, shift}
	for i := range l.parts {
		l.parts[i] = bloom.New(lineBits<<shift, maxK)
	}
	return l
}

func (l partLocsLayout) at(n uint64) (f *bloom.BloomFilter, base, pos uint64) {
	i, pos := lineOf(n, l.lines)
	return l.parts[i>>l.shift], i & (1<<l.shift - 1) * lineBits, pos
}

func (l partLocsLayout) add(n uint64) {
	f, base, pos := l.at(n)
	for _, loc := range locations(base, pos) {
		f.BitSet().Set(uint(loc))
	}
}

func (l partLocsLayout) test(n uint64) bool {
	f, base, pos := l.at(n)
	var locs [maxK]uint64
	for j := range locs {
		locs[j] = base + pos&posMask
		pos >>= posBits
	}
	return f.TestLocations(locs[:])
}
func (l partLocsLayout) bytes() uint64 { return uint64(len(l.parts)) * 64 << l.shift }

// partBitsLayout asks the partition's bit set instead: no division by m.
type partBitsLayout struct{ partLocsLayout }

func (l partBitsLayout) test(n uint64) bool {
	f, base, pos := l.at(n)
	b := f.BitSet()
	for range maxK {
		if !b.Test(uint(base + pos&posMask)) {
			return false
		}
		pos >>= posBits
	}
	return true
}

// setLayout is the layout that was chosen, as the package has it.
type setLayout struct{ s *Set }

func newSetLayout(n uint64) layout { return setLayout{New(n, 0.001)} }

func (l setLayout) add(n uint64)       { l.s.put(placeOf(n, l.s.parts), l.s.limit()) }
func (l setLayout) test(n uint64) bool { return l.s.Test(n) }
func (l setLayout) bytes() uint64      { return l.s.Bytes() }

// ownLayout is the chosen one with lines of our own instead of bloom/v3's.
type ownLayout struct{ setLayout }

func newOwn(n uint64) layout { return ownLayout{newSetLayout(n).(setLayout)} }

func (l ownLayout) test(n uint64) bool {
	at := placeOf(n, l.s.parts)
	for lv := &l.s.first; lv != nil; lv = lv.next.Load() {
		if p := lv.parts[at.part].Load(); p != nil && ownTest(&p[at.line%partLines], at.pos) {
			return true
		}
	}
	return false
}

func ownTest(line *[lineWords]uint64, pos uint64) bool {
	for range maxK {
		if line[pos>>6%lineWords]>>(pos%64)&1 == 0 {
			return false
		}
		pos >>= posBits
	}
	return true
}

// lineOf is placeOf for layouts without partitions.
func lineOf(n, lines uint64) (line, pos uint64) {
	x, pos := mix(n)
	line, _ = bits.Mul64(x, lines)
	return line, pos
}

func locations(base, pos uint64) (locs [maxK]uint64) {
	for j := range locs {
		locs[j] = base + pos&posMask
		pos >>= posBits
	}
	return locs
}

func layouts(n uint64) []struct {
	name string
	l    layout
} {
	return []struct {
		name string
		l    layout
	}{
		{"plain", newPlain(n)},
		{"parts", newParts(n)},
		{"line-bytes", newLineBytes(n)},
		{"line-locs", newLineLocs(n)},
		{"part4-locs", newPartLocs(n, 6)},
		{"part4-bits", partBitsLayout{newPartLocs(n, 6)}},
		{"part16-bits", partBitsLayout{newPartLocs(n, 8)}},
		{"set", newSetLayout(n)},
		{"own", newOwn(n)},
	}
}

// BenchmarkLayouts compares the candidates, each holding -filter.n numbers. One
// op is one Test of an absent number: "waiting" for the answer of the one before,
// or "overlapping" with it as the processor likes.
func BenchmarkLayouts(b *testing.B) {
	n := *benchN
	ls := layouts(n)
	for _, c := range ls {
		fillLayout(c.l, n)
	}
	const perRound = 500_000
	rounds := contest{}
	fprs := make([]float64, len(ls))
	for b.Loop() {
		base := rand.Uint64N(1 << 48)
		for i, c := range ls {
			rounds.time(c.name+" waiting", perRound, func() { fprs[i] = askAbsent(c.l, base, perRound, true) })
			rounds.time(c.name+" overlapping", perRound, func() { askAbsent(c.l, base+perRound*8, perRound, false) })
		}
	}
	for i, c := range ls {
		rounds.note(c.name+" waiting", fmt.Sprintf("fpr %.5f  %.2f bytes/number", fprs[i], float64(c.l.bytes())/float64(n)))
	}
	rounds.log(b)
}

// fillLayout adds the numbers 4 i + 1. Tests ask for multiples of 4.
func fillLayout(l layout, n uint64) {
	for i := range n {
		l.add(i<<2 | 1)
	}
	runtime.GC()
}

// askAbsent returns the share of yes.
func askAbsent(l layout, base, rounds uint64, wait bool) float64 {
	var yes, dep uint64
	for i := range rounds {
		if l.test((base + i*7 + dep) << 2) {
			yes++
		}
		if wait {
			dep = yes
		}
	}
	return float64(yes) / float64(rounds)
}
