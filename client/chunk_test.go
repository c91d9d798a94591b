package client

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAscendingRoundTrip(t *testing.T) {
	t.Parallel()
	tests := [][]uint64{nil, {14155550100}, {3, 1, 2, 2}, {999999999999999, 7, 999999999999999}}
	for _, want := range tests {
		got, err := decodeAscending(encodeAscending(slices.Clone(want)))
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v (%v), want %v", got, err, want)
		}
	}
}

// TestChunkBytes holds the worst chunk, numbers far apart, under the contract's limit.
func TestChunkBytes(t *testing.T) {
	t.Parallel()
	numbers := make([]uint64, chunkNumbers)
	for i := range numbers {
		numbers[i] = rand.Uint64N(1e15)
	}
	if n := len(encodeAscending(numbers)); n > 512<<10 {
		t.Errorf("a chunk of %d numbers takes %d bytes, above 512 KiB", len(numbers), n)
	}
}
