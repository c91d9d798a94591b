// Package filter is a Bloom filter for telephone numbers that can be read while it grows.
//
// It promises:
//   - No false "no". Once Add or AddAll has returned, each Test of those numbers
//     is true, from any goroutine and for as long as the Set lives; a file that
//     Decode accepts says yes to all that its Set said yes to.
//   - A Set that is not there never says "no": Test on a nil or zero Set is true,
//     which means "look in the store".
//   - Test takes no lock and allocates nothing. It reads one cache line of
//     the filter, however large, besides one pointer.
//   - A damaged file is an error: never a panic, nor more memory than its size.
//
// The bits are in partitions of 4 KiB, which are chosen by hash. Each is a row of bloom/v3 filters of one cache line. A
// published partition never changes: adding copies it, sets the bits and swaps a pointer. A partition past its capacity
// gets another one behind it. docs/design/002-filter-layout.md has the measurements.
package filter

import (
	"sync"
	"sync/atomic"
)

const (
	// rebuildChain is the longest chain that is not worth a rebuild.
	rebuildChain = 2
	// maxChain bounds what a Test of a much too small Set costs. The last
	// partition of such a chain takes all that comes, and says yes too often.
	maxChain = 16
)

// Set holds numbers, approximately: Test says "surely not added" or "perhaps".
// Make one with New, Builder or Decode. A nil or zero Set holds nothing and
// says "perhaps" to everything. All methods may be called at any time from any
// goroutine. A Set must not be copied; see Clone.
type Set struct {
	shape
	first level
	mu    sync.Mutex // held by those who add
	n     atomic.Uint64
}

// level holds the n-th partition of each chain. The first is in the Set.
type level struct {
	parts  []atomic.Pointer[partition] // nil until something is added
	next   atomic.Pointer[level]
	counts []uint64 // numbers in each partition; guarded by Set.mu
}

// New returns a Set for capacity numbers. A Test of a number that was not added says "perhaps" with probability fpr,
// such as 0.001. An fpr outside 0.000001 to 0.5 is moved to the nearest limit, NaN to 0.001. The Set takes more than
// capacity, at a rising rate of "perhaps"; see NeedsRebuild. Memory grows with the numbers, 4 KiB at a time.
func New(capacity uint64, fpr float64) *Set {
	return newSet(shapeFor(capacity, fpr))
}

func newSet(sh shape) *Set {
	s := &Set{shape: sh}
	s.first.init(sh.parts)
	return s
}

func (l *level) init(parts int) {
	l.parts = make([]atomic.Pointer[partition], parts)
	l.counts = make([]uint64, parts)
}

// empty reports whether the Set is nil or zero, and so has no filter.
func (s *Set) empty() bool { return s == nil || s.parts == 0 }

// Test reports false when n was surely never added, true when it may have been
// or when s is nil or zero.
func (s *Set) Test(n uint64) bool { return s.TestKey(KeyOf(n)) }

// TestKey is Test of the number of a key.
func (s *Set) TestKey(k Key) bool {
	if s.empty() {
		return true
	}
	return s.has(k.place(s.parts))
}

func (s *Set) has(at place) bool {
	for l := &s.first; l != nil; l = l.next.Load() {
		if l.parts[at.part].Load().test(at, s.k) {
			return true
		}
	}
	return false
}

// Len returns how many numbers the Set holds, each counted once. It counts a
// number when it sets a bit, so a full Set counts short by up to its fpr.
func (s *Set) Len() uint64 {
	if s.empty() {
		return 0
	}
	return s.n.Load()
}

// Capacity returns how many numbers the Set was sized for: at least what was
// asked, rounded up to whole partitions.
func (s *Set) Capacity() uint64 {
	if s.empty() {
		return 0
	}
	return s.capacity()
}

// Fill returns Len over Capacity: 1 is as full as designed for, above it a Test
// says "perhaps" more often than asked.
func (s *Set) Fill() float64 {
	if s.empty() {
		return 0
	}
	return float64(s.Len()) / float64(s.Capacity())
}

// Bytes returns the memory that the Set takes, which is about its size on disk.
func (s *Set) Bytes() uint64 {
	var sum uint64
	s.eachLevel(func(l *level) {
		sum += uint64(len(l.parts)) * 16 // pointer and count
		for i := range l.parts {
			if l.parts[i].Load() != nil {
				sum += partBytes
			}
		}
	})
	return sum
}

// Chain returns the length of the longest chain of partitions: 1 until a
// partition is past its capacity, 0 for a nil or zero Set.
func (s *Set) Chain() int {
	chain := 0
	s.eachLevel(func(*level) { chain++ })
	return chain
}

// NeedsRebuild reports that a chain has passed two partitions: the Set holds
// about twice its capacity, and a larger one should take its place.
func (s *Set) NeedsRebuild() bool { return s.Chain() > rebuildChain }

func (s *Set) eachLevel(f func(*level)) {
	if s.empty() {
		return
	}
	for l := &s.first; l != nil; l = l.next.Load() {
		f(l)
	}
}
