package store

import (
	"encoding/binary"
	"slices"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/internal/radix"
)

// Chunk is a part of an import's entries.
type Chunk struct {
	Seq      uint64         // 1, 2, 3 ...
	Hash     chunkhash.Hash // of all that the caller was given, refused entries too; zero: not known
	Numbers  []uint64       // E.164 digits, checked by the caller; may be put in another order
	Removed  []uint64       // of a delta: numbers that go, likewise
	Rejected uint64         // entries of the chunk that the caller refused
}

func (c Chunk) key() (uint64, chunkhash.Hash) { return c.Seq, c.Hash }

// chunkLog is the log of an import of a list.
type chunkLog = stageLog[Chunk]

// numberChunks is the codec of chunks of numbers. The payload is hash, sequence, rejects, count, and the numbers ascending
// as varint differences.
type numberChunks struct {
	numbers []uint64 // that were decoded last
	scratch []uint64 // to sort chunks that come unsorted
}

func openChunkLog(path string) (*chunkLog, error) {
	return continueStageLog(path, chunkCodec[Chunk](new(numberChunks)))
}

// appendTo implements chunkCodec. It sorts the numbers.
func (n *numberChunks) appendTo(b []byte, c Chunk) ([]byte, chunkHead, error) {
	n.scratch = radix.Sort(c.Numbers, n.scratch)
	b = slices.Grow(b, chunkhash.Size+30+3*len(c.Numbers))
	b = append(b, c.Hash[:]...)
	b = binary.AppendUvarint(b, c.Seq)
	b = binary.AppendUvarint(b, c.Rejected)
	b = binary.AppendUvarint(b, uint64(len(c.Numbers)))
	return ascending.Append(b, 0, c.Numbers...), headOf(c), nil
}

// headOf is what a log counts of a chunk whose numbers are ascending.
func headOf(c Chunk) chunkHead {
	h := chunkHead{seq: c.Seq, hash: c.Hash, entries: uint64(len(c.Numbers)), rejected: c.Rejected}
	if n := len(c.Numbers); n > 0 {
		h.lowest, h.highest = c.Numbers[0], c.Numbers[n-1]
	}
	return h
}

// head implements chunkCodec.
func (n *numberChunks) head(payload []byte) (chunkHead, error) {
	c, err := n.decode(payload)
	return headOf(c), err
}

// decode implements chunkCodec.
func (n *numberChunks) decode(payload []byte) (Chunk, error) {
	if len(payload) < chunkhash.Size {
		return Chunk{}, ErrStage
	}
	c := Chunk{Hash: chunkhash.Hash(payload)}
	var count uint64
	b, err := uvarints(payload[chunkhash.Size:], &c.Seq, &c.Rejected, &count)
	if err != nil || count > uint64(len(b)) {
		return Chunk{}, ErrStage
	}
	n.numbers = slices.Grow(n.numbers[:0], int(count))
	if n.numbers, _, err = ascending.DecodeSome(n.numbers, b, count); err != nil {
		return Chunk{}, ErrStage
	}
	c.Numbers = n.numbers
	return c, nil
}
