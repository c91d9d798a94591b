// Package block codes the numbers of a list in blocks, and keeps blocks in files.
//
// A block holds those of 4096 consecutive numbers that are on a list, as a sorted array of offsets or as a bitmap,
// whichever is shorter. It is read as it is stored: a lookup decodes nothing.
package block

import (
	"encoding/binary"
	"iter"
	"math/bits"

	"github.com/dncd/dncd/store/internal/fault"
)

// A number is in the block number>>Bits, at the offset number&Mask.
const (
	Bits = 12
	Size = 1 << Bits
	Mask = Size - 1

	// MaxPacked is the length of the longest form of a block.
	MaxPacked = 1 + Size/8

	bitmapLen  = Size / 64
	maxInArray = Size / 8 / 2 // above it a bitmap is shorter
)

// The first byte of a stored block.
const (
	kindArray     byte = 1
	kindBitmap    byte = 2
	kindElsewhere byte = 3 // what is stored is the place of the block in the file of its load, see Place
)

// Bitmap is a block in memory: bit i is the number block*4096+i.
type Bitmap [bitmapLen]uint64

// Set adds the number at an offset.
func (b *Bitmap) Set(offset uint64) { b[offset>>6] |= 1 << (offset & 63) }

// Count is how many numbers there are.
func (b *Bitmap) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Holds reports whether a number of the block is in it.
func (b *Bitmap) Holds(number uint64) bool {
	offset := number & (1<<Bits - 1)
	return b[offset>>6]>>(offset&63)&1 != 0
}

// Numbers yields the numbers of the block, ascending.
func (b *Bitmap) Numbers(block uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for i, w := range b {
			for ; w != 0; w &= w - 1 {
				if !yield(block<<Bits + uint64(i<<6+bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// AppendNumbers appends the numbers of the block, ascending.
func (b *Bitmap) AppendNumbers(to []uint64, block uint64) []uint64 {
	for i, w := range b {
		base := block<<Bits + uint64(i<<6)
		for ; w != 0; w &= w - 1 {
			to = append(to, base+uint64(bits.TrailingZeros64(w)))
		}
	}
	return to
}

// AppendPacked appends the stored form, unsealed. An empty block is an empty array.
func (b *Bitmap) AppendPacked(to []byte) []byte {
	if b.Count() > maxInArray {
		to = append(to, kindBitmap)
		for _, w := range b {
			to = binary.LittleEndian.AppendUint64(to, w)
		}
		return to
	}
	to = append(to, kindArray)
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			to = binary.LittleEndian.AppendUint16(to, uint16(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return to
}

// Packed is a block in its stored form, unsealed and checked; nil is an absent block.
type Packed []byte

// Parse checks the form of the block that is stored under a key. Its error is fault.ErrDamaged.
func Parse(key, payload []byte) (Packed, error) {
	ok := len(payload) > 0
	if ok {
		switch body := payload[1:]; payload[0] {
		case kindArray:
			ok = len(body)%2 == 0 && len(body) <= 2*maxInArray
		case kindBitmap:
			ok = len(payload) == MaxPacked
		default:
			ok = false
		}
	}
	if !ok {
		return nil, fault.DamagedKey(key)
	}
	return Packed(payload), nil
}

// Contains reports whether a number of the block is on the list.
func (p Packed) Contains(n uint64) bool {
	if len(p) == 0 {
		return false
	}
	offset := n & Mask
	if p[0] == kindBitmap {
		return p[1+offset>>3]&(1<<(offset&7)) != 0
	}
	lo, hi := 0, (len(p)-1)/2
	for lo < hi {
		mid := (lo + hi) / 2
		switch v := uint64(binary.LittleEndian.Uint16(p[1+2*mid:])); {
		case v == offset:
			return true
		case v < offset:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return false
}

// AddTo adds the numbers of the block to b.
func (p Packed) AddTo(b *Bitmap) {
	if len(p) == 0 {
		return
	}
	body := p[1:]
	if p[0] == kindBitmap {
		for i := range b {
			b[i] |= binary.LittleEndian.Uint64(body[8*i:])
		}
		return
	}
	for ; len(body) >= 2; body = body[2:] {
		b.Set(uint64(binary.LittleEndian.Uint16(body)) & Mask)
	}
}
