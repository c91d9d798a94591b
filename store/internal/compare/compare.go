// Package compare works out what a load changes on a list, block by block, and counts it.
package compare

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
)

// Change is what a load does to one block.
type Change struct {
	Number   uint64 // of the block
	Old, New block.Bitmap
	Stale    bool // the block has a version later than what the list shows, of a load that never switched
}

// Differs reports whether the load changes the block.
func (c *Change) Differs() bool { return c.Old != c.New }

// Comparison is what a load would change.
type Comparison struct {
	Added, Removed, Unchanged uint64
	Outside                   uint64 // of the numbers after: those for whose regions the list does not speak
	Prefixes                  []PrefixCount
	Result                    []byte // SHA-256 of the numbers after; nil: not computed
}

// PrefixCount is how many numbers the list has in a prefix.
type PrefixCount struct {
	Prefix        string
	Before, After uint64
}

// Before is how many numbers the list has.
func (c *Comparison) Before() uint64 { return c.Unchanged + c.Removed }

// Numbers is how many numbers the list would have.
func (c *Comparison) Numbers() uint64 { return c.Unchanged + c.Added }

// IsUnchanged reports that no number changes.
func (c *Comparison) IsUnchanged() bool { return c.Added == 0 && c.Removed == 0 }

// Held are the prefixes in which the list would hold a number.
func (c *Comparison) Held() []string {
	held := []string{}
	for _, p := range c.Prefixes {
		if p.After > 0 {
			held = append(held, p.Prefix)
		}
	}
	slices.Sort(held)
	return held
}

// ByLoss orders prefixes: those that lose most come first.
func ByLoss(a, b PrefixCount) int {
	return cmp.Compare(int64(b.Before)-int64(b.After), int64(a.Before)-int64(a.After))
}

// Counter counts changes.
type Counter struct {
	Comparison

	set     phone.PrefixSet
	longest int // digits of the longest prefix
	outside outsiders
	hash    *ascending.Hash[uint64] // nil: not wanted
	numbers []uint64                // room for those of a block
}

// NewCounter counts over all numbers of a list and in each prefix. It hashes the numbers after, if that is wanted.
func NewCounter(list *policy.List, prefixes []phone.Prefix, hashed bool) *Counter {
	c := &Counter{set: phone.NewPrefixSet(prefixes), outside: outsiders{list: list}}
	c.Prefixes = make([]PrefixCount, c.set.Len())
	for i, p := range c.set.All() {
		c.Prefixes[i].Prefix = p.String()
		c.longest = max(c.longest, p.Digits())
	}
	if hashed {
		c.hash = ascending.NewHash[uint64]()
	}
	return c
}

// Add counts the next change. Changes come in the order of their blocks, and those without a difference come too.
func (c *Counter) Add(ch *Change) {
	var kept, added, removed block.Bitmap
	for i := range kept {
		kept[i] = ch.Old[i] & ch.New[i]
		added[i] = ch.New[i] &^ ch.Old[i]
		removed[i] = ch.Old[i] &^ ch.New[i]
	}
	c.Unchanged += uint64(kept.Count())
	c.Added += uint64(added.Count())
	c.Removed += uint64(removed.Count())
	c.Outside += c.outside.count(ch.Number, &ch.New)
	if c.set.Len() > 0 {
		c.countPrefixes(ch.Number, &ch.Old, func(p *PrefixCount, n uint64) { p.Before += n })
		c.countPrefixes(ch.Number, &ch.New, func(p *PrefixCount, n uint64) { p.After += n })
	}
	if c.hash != nil {
		c.numbers = ch.New.AppendNumbers(c.numbers[:0], ch.Number)
		c.hash.Add(c.numbers)
	}
}

// countPrefixes adds the numbers of a block to the longest prefix that covers them. Nearly every block is in one prefix: no
// prefix that leaves four digits open begins or ends inside it, when its first and last number agree.
func (c *Counter) countPrefixes(number uint64, bits *block.Bitmap, add func(*PrefixCount, uint64)) {
	first := c.set.Index(phone.Number(number << block.Bits))
	last := c.set.Index(phone.Number(number<<block.Bits + block.Mask))
	coarse := len(strconv.FormatUint(number<<block.Bits, 10))-c.longest >= 4
	if coarse && first == last {
		if first >= 0 {
			add(&c.Prefixes[first], uint64(bits.Count()))
		}
		return
	}
	for n := range bits.Numbers(number) {
		if i := c.set.Index(phone.Number(n)); i >= 0 {
			add(&c.Prefixes[i], 1)
		}
	}
}

// End is the comparison, once all changes were added. A prefix counts what was counted under longer ones that begin with it.
func (c *Counter) End() *Comparison {
	prefixes := make([]phone.Prefix, 0, c.set.Len())
	for _, p := range c.set.All() {
		prefixes = append(prefixes, p)
	}
	for i, p := range slices.Backward(prefixes) { // longer ones come later
		if outer := c.set.Index(phone.Number(p / 10)); outer >= 0 {
			c.Prefixes[outer].Before += c.Prefixes[i].Before
			c.Prefixes[outer].After += c.Prefixes[i].After
		}
	}
	if c.hash != nil {
		c.Result = c.hash.Sum()
	}
	return &c.Comparison
}
