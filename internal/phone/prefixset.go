package phone

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"
)

// PrefixSet is an immutable set of prefixes, in the order of their digits (1, 1415, 33). The zero PrefixSet is empty.
type PrefixSet struct {
	table *prefixTable // nil: empty
}

type prefixTable struct {
	prefixes []Prefix
	lengths  uint16 // bit i: a prefix has i digits
	shift    uint8
	slots    []slot // open addressing, at most half full
}

type slot struct {
	prefix Prefix
	index  int32
}

// NewPrefixSet returns the set of these prefixes. Repeated ones count once, and the zero Prefix not at all.
func NewPrefixSet(prefixes []Prefix) PrefixSet {
	sorted := slices.DeleteFunc(slices.Clone(prefixes), func(p Prefix) bool { return p == 0 || p.Digits() > MaxDigits })
	slices.SortFunc(sorted, byDigits)
	sorted = slices.Clip(slices.Compact(sorted))
	if len(sorted) == 0 {
		return PrefixSet{}
	}
	log := bits.Len(uint(2*len(sorted) - 1))
	t := &prefixTable{prefixes: sorted, shift: uint8(64 - log), slots: make([]slot, 1<<log)}
	for i, p := range sorted {
		t.lengths |= 1 << p.Digits()
		t.put(p, int32(i))
	}
	return PrefixSet{t}
}

func byDigits(a, b Prefix) int {
	la, lb := a.Digits(), b.Digits()
	return cmp.Or(
		cmp.Compare(uint64(a)*pow10[MaxDigits-la], uint64(b)*pow10[MaxDigits-lb]),
		cmp.Compare(la, lb))
}

func (t *prefixTable) put(p Prefix, index int32) {
	i := t.home(p)
	for t.slots[i].prefix != 0 {
		i = t.next(i)
	}
	t.slots[i] = slot{p, index}
}

func (t *prefixTable) find(p Prefix) int {
	for i := t.home(p); t.slots[i].prefix != 0; i = t.next(i) {
		if t.slots[i].prefix == p {
			return int(t.slots[i].index)
		}
	}
	return -1
}

// home is the slot where the search for a prefix starts. The multiplier is 2^64 over the golden ratio.
func (t *prefixTable) home(p Prefix) int { return int(uint64(p) * 0x9e3779b97f4a7c15 >> t.shift) }

func (t *prefixTable) next(i int) int { return (i + 1) & (len(t.slots) - 1) }

// Index returns the position in All of the longest prefix that n begins with, -1 for none.
func (s PrefixSet) Index(n Number) int {
	if s.table == nil {
		return -1
	}
	digits := n.Digits()
	for lengths := s.table.lengths; lengths != 0; {
		length := bits.Len16(lengths) - 1
		lengths &^= 1 << length
		if length > digits {
			continue
		}
		if i := s.table.find(Prefix(without(uint64(n), digits-length))); i >= 0 {
			return i
		}
	}
	return -1
}

// Match returns the longest prefix that n begins with.
func (s PrefixSet) Match(n Number) (Prefix, bool) {
	i := s.Index(n)
	if i < 0 {
		return 0, false
	}
	return s.table.prefixes[i], true
}

// Has reports whether p itself is in the set.
func (s PrefixSet) Has(p Prefix) bool { return s.table != nil && p != 0 && s.table.find(p) >= 0 }

// Len returns how many prefixes are in the set.
func (s PrefixSet) Len() int {
	if s.table == nil {
		return 0
	}
	return len(s.table.prefixes)
}

// All yields each prefix with its position, in order.
func (s PrefixSet) All() iter.Seq2[int, Prefix] {
	return func(yield func(int, Prefix) bool) {
		for i := range s.Len() {
			if !yield(i, s.table.prefixes[i]) {
				return
			}
		}
	}
}

// Strings returns the prefixes' digits, in order.
func (s PrefixSet) Strings() []string {
	out := make([]string, 0, s.Len())
	for _, p := range s.All() {
		out = append(out, p.String())
	}
	return out
}

// Equal reports whether both hold the same prefixes.
func (s PrefixSet) Equal(o PrefixSet) bool {
	if s.Len() != o.Len() {
		return false
	}
	for i, p := range s.All() {
		if o.table.prefixes[i] != p {
			return false
		}
	}
	return true
}
