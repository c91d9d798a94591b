package client

import (
	"slices"
	"sync"

	"github.com/dncd/dncd/internal/chunkhash"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// chunksAhead is how many chunks may wait for their ack: what is kept to be sent again.
const chunksAhead = 16

// chunk is kept until it is acked.
type chunk struct {
	frame *dncv1.ImportChunk
	hash  chunkhash.Hash
	first uint64 // of its entries, among those of all chunks
	count uint64
}

// pending holds the chunks that wait for their ack.
type pending struct {
	window chan struct{} // a token for each of them

	mu      sync.Mutex
	chunks  []chunk // by ascending seq
	entries uint64  // of all chunks so far
}

func newPending() *pending { return &pending{window: make(chan struct{}, chunksAhead)} }

// add takes a chunk for which the window holds a token.
func (p *pending) add(c *chunk) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.first = p.entries
	p.entries += c.count
	p.chunks = append(p.chunks, *c)
}

// find returns the chunk with that seq; nil: it is not pending.
func (p *pending) find(seq uint64) *chunk {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.chunks {
		if c.frame.GetSeq() == seq {
			return &c
		}
	}
	return nil
}

// drop forgets the chunks up to seq, which the server holds durably.
func (p *pending) drop(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.chunks) > 0 && p.chunks[0].frame.GetSeq() <= seq {
		p.chunks = p.chunks[1:]
		<-p.window
	}
}

// settle forgets one chunk, which the server holds durably.
func (p *pending) settle(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.chunks {
		if p.chunks[i].frame.GetSeq() == seq {
			p.chunks = slices.Delete(p.chunks, i, i+1)
			<-p.window
			return
		}
	}
}

func (p *pending) list() []chunk {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.chunks)
}

// done is the number of entries before the first that the server may not hold.
func (p *pending) done() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.chunks) > 0 {
		return p.chunks[0].first
	}
	return p.entries
}
