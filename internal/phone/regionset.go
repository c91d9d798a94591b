package phone

import (
	"iter"
	"math/bits"
	"strings"
)

// RegionSet is a set of regions: a value, compared with ==, empty when zero.
type RegionSet [4]uint64

// With returns s and r.
func (s RegionSet) With(r Region) RegionSet {
	if r != 0 {
		s[r/64] |= 1 << (r % 64)
	}
	return s
}

// Union returns the regions of s and of o.
func (s RegionSet) Union(o RegionSet) RegionSet {
	return RegionSet{s[0] | o[0], s[1] | o[1], s[2] | o[2], s[3] | o[3]}
}

// Without returns the regions of s that are not in o.
func (s RegionSet) Without(o RegionSet) RegionSet {
	return RegionSet{s[0] &^ o[0], s[1] &^ o[1], s[2] &^ o[2], s[3] &^ o[3]}
}

// Has reports whether r is in s.
func (s RegionSet) Has(r Region) bool { return s[r/64]>>(r%64)&1 == 1 }

// Intersects reports whether a region is in both.
func (s RegionSet) Intersects(o RegionSet) bool {
	return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] != 0
}

// IsEmpty reports whether no region is in s.
func (s RegionSet) IsEmpty() bool { return s == RegionSet{} }

// Len returns how many regions are in s.
func (s RegionSet) Len() int {
	return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) + bits.OnesCount64(s[2]) + bits.OnesCount64(s[3])
}

// All yields the regions in the order of their codes, World last.
func (s RegionSet) All() iter.Seq[Region] {
	return func(yield func(Region) bool) {
		for i, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(Region(64*i + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// Strings returns the codes, in order.
func (s RegionSet) Strings() []string {
	codes := make([]string, 0, s.Len())
	for r := range s.All() {
		codes = append(codes, r.String())
	}
	return codes
}

// String returns the codes separated by commas: "GP,RE".
func (s RegionSet) String() string { return strings.Join(s.Strings(), ",") }
