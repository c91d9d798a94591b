package client

import (
	"github.com/dncd/dncd/internal/chunkhash"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// stagedChunks are the chunks of an import that the server already holds when a stream opens.
type stagedChunks struct {
	hashes   []chunkhash.Hash // of the chunks, from the first on
	rejected map[uint64]bool  // chunks with an entry that the server rejected: only another ack says which
	all      bool             // the import was committed before: there are no hashes, and perhaps rejected chunks
}

func newStagedChunks(o *dncv1.ImportOpened) *stagedChunks {
	s := &stagedChunks{hashes: chunkhash.Split(o.GetChunkHashes()), rejected: map[uint64]bool{}, all: o.GetCommitted()}
	for _, seq := range o.GetRejectedChunks() {
		s.rejected[seq] = true
	}
	return s
}

// holds reports whether the server holds a chunk with the same content. A chunk that differs makes the server drop its own
// and all chunks after it.
func (s *stagedChunks) holds(c *chunk) bool {
	seq := c.frame.GetSeq()
	if seq > uint64(len(s.hashes)) {
		return s.all
	}
	if s.hashes[seq-1] != c.hash {
		s.hashes = s.hashes[:seq-1]
		return false
	}
	return true
}

// canSkip reports whether a chunk need not be sent: the server holds it, and rejected none of its entries.
func (s *stagedChunks) canSkip(c *chunk) bool { return s.holds(c) && !s.rejected[c.frame.GetSeq()] }

func hashOf(c *dncv1.ImportChunk) chunkhash.Hash {
	if rows := c.GetRows(); len(rows) > 0 {
		return chunkhash.OfRows(rows)
	}
	return chunkhash.OfNumbers(c.GetAdd(), c.GetRemove())
}
