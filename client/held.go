package client

import (
	"github.com/dncd/dncd/internal/chunkhash"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// held is what the server holds of a load when a stream opens.
type held struct {
	hashes   []chunkhash.Hash // of its chunks, from the first on
	rejected map[uint64]bool  // chunks with an entry that it rejected: only another ack tells which
	all      bool             // the load was committed before: hashes are none, rejected may be some
}

func newHeld(o *dncv1.ImportOpened) *held {
	h := &held{hashes: chunkhash.Split(o.GetChunkHashes()), rejected: map[uint64]bool{}, all: o.GetCommitted()}
	for _, seq := range o.GetRejectedChunks() {
		h.rejected[seq] = true
	}
	return h
}

// has reports that the server holds a chunk with the same content. One that differs makes the server drop its own and all
// behind it.
func (h *held) has(c *chunk) bool {
	seq := c.frame.GetSeq()
	if seq > uint64(len(h.hashes)) {
		return h.all
	}
	if h.hashes[seq-1] != c.hash {
		h.hashes = h.hashes[:seq-1]
		return false
	}
	return true
}

// settles reports that a chunk need not be sent: the server holds it, and all was said about it.
func (h *held) settles(c *chunk) bool { return h.has(c) && !h.rejected[c.frame.GetSeq()] }

func hashOf(c *dncv1.ImportChunk) chunkhash.Hash {
	if rows := c.GetRows(); len(rows) > 0 {
		return chunkhash.OfRows(rows)
	}
	return chunkhash.OfNumbers(c.GetAdd(), c.GetRemove())
}
