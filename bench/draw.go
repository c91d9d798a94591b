package main

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// groupWords holds a bit for each number of a group.
const groupWords = (groupSize + 63) / 64

// drawer draws numbers from a range and writes them as lines. It is used again
// for the next range, which saves its memory.
type drawer struct {
	layout layout
	drawn  []uint64  // groupWords words a group
	digits [][4]byte // of 0 to 9999
	text   []byte    // the file
	head   [32]byte  // of the lines of a group
}

func newDrawer(l layout) *drawer {
	d := &drawer{layout: l, digits: make([][4]byte, groupSize)}
	for i := range d.digits {
		d.digits[i] = [4]byte{byte('0' + i/1000), byte('0' + i/100%10), byte('0' + i/10%10), byte('0' + i%10)}
	}
	return d
}

// file returns the lines of a share, sorted, valid until the next call.
func (d *drawer) file(s share, seed uint64) []byte {
	d.drawShare(s, seed)
	d.text = append(d.text[:0], d.layout.header...)
	if need := len(d.text) + s.count*d.layout.size(s.numberRange); cap(d.text) < need {
		d.text = append(make([]byte, 0, need), d.text...)
	}
	for g := range s.groups {
		d.write(s.numberRange, g)
	}
	return d.text
}

// drawShare draws the numbers that a share has with this seed.
func (d *drawer) drawShare(s share, seed uint64) {
	d.draw(s, rand.New(rand.NewPCG(seed, uint64(s.index))))
}

// draw sets the bits of s.count numbers.
func (d *drawer) draw(s share, rnd *rand.Rand) {
	if d.drawn == nil {
		d.drawn = make([]uint64, len(s.groups)*groupWords)
	}
	clear(d.drawn)
	capacity := uint32(s.capacity())
	for left := s.count; left > 0; {
		n := rnd.Uint32N(capacity)
		in := n % groupSize
		word, bit := &d.drawn[n/groupSize*groupWords+in/64], uint64(1)<<(in%64)
		if *word&bit == 0 {
			*word |= bit
			left--
		}
	}
}

// write appends the lines of a group.
func (d *drawer) write(r numberRange, group int) {
	head := d.layout.head(d.head[:0], r, group)
	text := d.text
	for i, word := range d.drawn[group*groupWords : (group+1)*groupWords] {
		for ; word != 0; word &= word - 1 {
			last := &d.digits[i*64+bits.TrailingZeros64(word)]
			text = append(text, head...)
			text = binary.NativeEndian.AppendUint32(text, binary.NativeEndian.Uint32(last[:]))
			text = append(text, '\n')
		}
	}
	d.text = text
}
