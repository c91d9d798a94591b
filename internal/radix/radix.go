// Package radix sorts numbers by their digits, several times faster than by
// comparison: a load is sorted on its way through the client and the store.
package radix

import (
	"math/bits"
	"slices"
)

const (
	digitBits = 11 // a digit's counters fit the first-level cache
	digits    = 1 << digitBits
	mask      = digits - 1

	// few numbers are sorted by comparison: counting digits would cost more.
	few = 512
)

// Sort sorts a ascending. Numbers that are not sorted already take a scratch as
// long as a: one of an earlier call, which may be nil. Sort returns it for the next.
func Sort(a, scratch []uint64) []uint64 {
	if slices.IsSorted(a) {
		return scratch
	}
	if len(a) <= few {
		slices.Sort(a)
		return scratch
	}
	scratch = slices.Grow(scratch[:0], len(a))
	least := slices.Min(a)
	from, to := a, scratch[:len(a)]
	for shift := 0; shift < bits.Len64(slices.Max(a)-least); shift += digitBits {
		pass(from, to, least, shift)
		from, to = to, from
	}
	if &from[0] != &a[0] {
		copy(a, from)
	}
	return scratch
}

// pass moves the numbers in the order of one digit of their distance from least.
// Those with the same digit keep their order.
func pass(from, to []uint64, least uint64, shift int) {
	var next [digits]int
	for _, n := range from {
		next[(n-least)>>shift&mask]++
	}
	at := 0
	for i, count := range next {
		next[i] = at
		at += count
	}
	for _, n := range from {
		d := (n - least) >> shift & mask
		to[next[d]] = n
		next[d]++
	}
}
