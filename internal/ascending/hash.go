package ascending

import (
	"crypto/sha256"
	"hash"
)

// Hash is the SHA-256 of one run of all numbers that were added, the content_sha256 of the contract. Use NewHash.
type Hash[N ~uint64] struct {
	sum   hash.Hash
	buf   []byte
	last  N
	count uint64
}

// NewHash returns the hash of no numbers.
func NewHash[N ~uint64]() *Hash[N] { return &Hash[N]{sum: sha256.New()} }

// Add adds numbers, which continue the ascending order.
func (h *Hash[N]) Add(numbers []N) {
	if len(numbers) == 0 {
		return
	}
	h.buf = Append(h.buf[:0], h.last, numbers...)
	h.sum.Write(h.buf)
	h.last = numbers[len(numbers)-1]
	h.count += uint64(len(numbers))
}

// Count returns how many numbers were added.
func (h *Hash[N]) Count() uint64 { return h.count }

// Sum returns the 32 bytes of the hash so far.
func (h *Hash[N]) Sum() []byte { return h.sum.Sum(nil) }
