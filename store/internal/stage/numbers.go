package stage

import (
	"encoding/binary"
	"slices"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/internal/radix"
	"github.com/dncd/dncd/store/internal/fault"
)

// Chunk is a part of an import's entries.
type Chunk struct {
	Seq      uint64         // 1, 2, 3 ...
	Hash     chunkhash.Hash // of all that the caller was given, refused entries too; zero: not known
	Numbers  []uint64       // E.164 digits, checked by the caller; may be put in another order
	Removed  []uint64       // of a delta: numbers to remove, likewise
	Rejected uint64         // entries of the chunk that the caller refused
}

// Numbers is the codec of chunks of numbers. The payload is hash, sequence, rejects, count, and the numbers ascending as
// varint differences.
type Numbers struct {
	decoded []uint64 // last
	scratch []uint64 // to sort chunks that come unsorted
}

// NewNumbers is a codec for one log.
func NewNumbers() Codec[Chunk] { return new(Numbers) }

// Key implements Codec.
func (n *Numbers) Key(c Chunk) (seq uint64, hash chunkhash.Hash) { return c.Seq, c.Hash }

// Append implements Codec. It sorts the numbers.
func (n *Numbers) Append(b []byte, c Chunk) ([]byte, Head, error) {
	n.scratch = radix.Sort(c.Numbers, n.scratch)
	b = slices.Grow(b, chunkhash.Size+30+3*len(c.Numbers))
	b = append(b, c.Hash[:]...)
	b = binary.AppendUvarint(b, c.Seq)
	b = binary.AppendUvarint(b, c.Rejected)
	b = binary.AppendUvarint(b, uint64(len(c.Numbers)))
	return ascending.Append(b, 0, c.Numbers...), headOf(c), nil
}

// headOf is what a log counts of a chunk whose numbers are ascending.
func headOf(c Chunk) Head {
	h := Head{Seq: c.Seq, Hash: c.Hash, Entries: uint64(len(c.Numbers)), Rejected: c.Rejected}
	if n := len(c.Numbers); n > 0 {
		h.Lowest, h.Highest = c.Numbers[0], c.Numbers[n-1]
	}
	return h
}

// Head implements Codec.
func (n *Numbers) Head(payload []byte) (Head, error) {
	c, err := n.Decode(payload)
	return headOf(c), err
}

// Decode implements Codec.
func (n *Numbers) Decode(payload []byte) (Chunk, error) {
	if len(payload) < chunkhash.Size {
		return Chunk{}, fault.ErrStage
	}
	c := Chunk{Hash: chunkhash.Hash(payload)}
	var count uint64
	b, err := Uvarints(payload[chunkhash.Size:], &c.Seq, &c.Rejected, &count)
	if err != nil || count > uint64(len(b)) {
		return Chunk{}, fault.ErrStage
	}
	n.decoded = slices.Grow(n.decoded[:0], int(count))
	if n.decoded, _, err = ascending.DecodeSome(n.decoded, b, count); err != nil {
		return Chunk{}, fault.ErrStage
	}
	c.Numbers = n.decoded
	return c, nil
}
