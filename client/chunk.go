package client

import (
	"errors"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/radix"
)

// chunkNumbers is how many numbers a chunk holds at most. Sorted, their differences
// add up to less than 10^15, so that they take some 5 bytes each at the very worst
// and stay below the contract's 512 KiB.
const chunkNumbers = 64 << 10

// errStopped says that the caller's loop ended.
var errStopped = errors.New("stopped by the caller")

// encodeAscending sorts numbers and codes them as the contract's `ascending`. Their order in a chunk has no meaning, and
// sorting costs less than the eight bytes a number that it saves.
func encodeAscending(numbers []uint64) []byte {
	radix.Sort(numbers, nil)
	return ascending.Append(make([]byte, 0, 2*len(numbers)+8), 0, numbers...)
}

// decodeAscending is the inverse of encodeAscending.
func decodeAscending(run []byte) ([]uint64, error) {
	numbers, err := ascending.Decode(make([]uint64, 0, len(run)), run)
	if err != nil {
		return nil, broken("the server sent numbers that do not decode")
	}
	return numbers, nil
}
