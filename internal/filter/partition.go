package filter

import "github.com/bits-and-blooms/bloom/v3"

// layoutID names the sizes below in a file. A change to any of them needs another id.
const layoutID = 1

const (
	lineWords = 8 // a cache line of 64 bytes: one miss answers a Test
	lineBits  = lineWords * 64
	posBits   = 9 // log2(lineBits)
	posMask   = lineBits - 1
	maxK      = 64 / posBits

	partLines = 64
	partBytes = partLines * lineWords * 8 // 4 KiB, a page: what a live Add copies
)

// partition is a row of bloom/v3 filters, each one cache line long. It is changed only while a single goroutine knows
// it.
type partition [partLines][lineWords]uint64

// filter is the Bloom filter of a line. It stays on the stack.
func (p *partition) filter(line uint32, k uint) *bloom.BloomFilter {
	return bloom.FromWithM(p[line%partLines][:], lineBits, k)
}

// test reports whether all bits of a place are set. A nil partition holds none. It tests the bits one by one, since
// TestLocations divides by m.
func (p *partition) test(at place, k uint) bool {
	if p == nil {
		return false
	}
	b := p.filter(at.line, k).BitSet()
	for range k {
		if !b.Test(uint(at.pos & posMask)) {
			return false
		}
		at.pos >>= posBits
	}
	return true
}

// set sets all bits of a place and reports whether that changed any. It sets them in the words of the bit set itself,
// whose Set is not inlined.
func (p *partition) set(at place, k uint) bool {
	line, pos := &p[at.line%partLines], at.pos
	var fresh uint64
	for range k {
		word := &line[pos>>6%lineWords]
		before := *word
		*word |= 1 << (pos % 64)
		fresh |= *word ^ before
		pos >>= posBits
	}
	return fresh != 0
}
