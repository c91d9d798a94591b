package filter

import "math/bits"

// MaxMany is how many keys a TestMany takes; it panics when there are more.
const MaxMany = 64

// TestMany is TestKey of up to MaxMany keys, in less time, as their cache misses
// overlap: bit i of the result is set when TestKey(keys[i]) is true.
func (s *Set) TestMany(keys []Key) (perhaps uint64) {
	all := ^uint64(0) >> (MaxMany - len(keys))
	if s.empty() {
		return all
	}
	var room [MaxMany]place
	places := room[:len(keys)]
	for i, k := range keys {
		places[i] = k.place(s.parts)
	}
	for l := &s.first; l != nil && perhaps != all; l = l.next.Load() {
		perhaps |= l.testMany(places, s.k)
	}
	return perhaps
}

// noLine replaces a line of a partition that is not there.
var noLine [lineWords]uint64

// testMany reports which places have all their bits set in the level. It tests one bit of each line first, so that the
// lines are fetched concurrently. It tests the others only where that bit is set, which is less than half of the absent
// numbers.
func (l *level) testMany(places []place, k uint) (found uint64) {
	var lines [MaxMany]*[lineWords]uint64
	for i, at := range places {
		lines[i%MaxMany] = l.parts[at.part].Load().line(at.line)
	}
	var perhaps uint64
	for i, at := range places {
		perhaps |= bitOf(lines[i%MaxMany], at.pos) << i
	}
	for ; perhaps != 0; perhaps &= perhaps - 1 {
		i := bits.TrailingZeros64(perhaps)
		found |= allBits(lines[i], places[i].pos>>posBits, k-1) << i
	}
	return found
}

// line is a line of a partition; of a nil one, a line that holds nothing.
func (p *partition) line(i uint32) *[lineWords]uint64 {
	if p == nil {
		return &noLine
	}
	return &p[i%partLines]
}

// bitOf is the bit of a line at the first position of pos.
func bitOf(line *[lineWords]uint64, pos uint64) uint64 {
	return line[pos>>6%lineWords] >> (pos % 64) & 1
}

// allBits is 1 when the line has all of the first k positions of pos, else 0.
func allBits(line *[lineWords]uint64, pos uint64, k uint) uint64 {
	all := uint64(1)
	for range k {
		all &= bitOf(line, pos)
		pos >>= posBits
	}
	return all
}
