package client

import (
	"encoding/binary"
	"errors"

	"github.com/dncd/dncd/internal/radix"
)

// chunkNumbers is how many numbers a chunk holds at most. Sorted, their differences
// add up to less than 10^15, so that they take some 5 bytes each at the very worst
// and stay below the contract's 512 KiB.
const chunkNumbers = 64 << 10

// errStopped says that the caller's loop ended.
var errStopped = errors.New("stopped by the caller")

// encodeAscending sorts numbers and codes them as the contract's `ascending`:
// unsigned varints, the first number and then differences. Their order in a chunk
// means nothing, and sorting costs less than the eight bytes a number it saves.
func encodeAscending(numbers []uint64) []byte {
	radix.Sort(numbers, nil)
	coded := make([]byte, 0, 2*len(numbers)+8)
	last := uint64(0)
	for _, n := range numbers {
		coded = binary.AppendUvarint(coded, n-last)
		last = n
	}
	return coded
}

// decodeAscending is the other way round.
func decodeAscending(coded []byte) ([]uint64, error) {
	numbers := make([]uint64, 0, len(coded))
	last := uint64(0)
	for len(coded) > 0 {
		step, n := binary.Uvarint(coded)
		if n <= 0 || last+step < last {
			return nil, broken("the server sent numbers that do not decode")
		}
		last += step
		numbers = append(numbers, last)
		coded = coded[n:]
	}
	return numbers, nil
}
