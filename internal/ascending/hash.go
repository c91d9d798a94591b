package ascending

import (
	"crypto/sha256"
	"hash"
)

// Hash is the SHA-256 of one run of all numbers that were added: what the contract calls content_sha256. Use NewHash.
type Hash[N ~uint64] struct {
	sum   hash.Hash
	buf   []byte
	last  N
	count uint64
}

// NewHash is the hash of no numbers.
func NewHash[N ~uint64]() *Hash[N] { return &Hash[N]{sum: sha256.New()} }

// Add adds numbers that ascend from those before.
func (h *Hash[N]) Add(numbers []N) {
	if len(numbers) == 0 {
		return
	}
	h.buf = Append(h.buf[:0], h.last, numbers...)
	h.sum.Write(h.buf)
	h.last = numbers[len(numbers)-1]
	h.count += uint64(len(numbers))
}

// Count is how many numbers were added.
func (h *Hash[N]) Count() uint64 { return h.count }

// Sum is the 32 bytes of the hash so far.
func (h *Hash[N]) Sum() []byte { return h.sum.Sum(nil) }
