package main

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/nyaruka/phonenumbers"
)

const (
	world     = "001" // libphonenumber's region of calling codes that belong to no country
	nanp      = 1     // the calling code that 25 countries share
	maxDigits = 15    // of an E.164 number, calling code included

	// decideAt is the number of national digits from which a prefix under which libphonenumber knows one
	// region belongs to it, numbers that it holds invalid included. An area code of +1 has as many.
	decideAt = 3
	// maxDepth bounds the trie. A prefix of that many digits that is still shared belongs to all regions that share it.
	maxDepth = 7
)

// plan is the numbering plan of one calling code.
type plan struct {
	code    int
	regions []string // in libphonenumber's order
	lengths uint32   // bit i: a national number may have i digits
	refused uint32   // bit d: no national number begins with digit d, and a trunk prefix does
	zero    uint32   // bit d: no national number begins with 0 and d, though some begin with 0
	root    trie
}

// trie finds regions by the first national digits: a leaf has regions, a node has ten children.
type trie struct {
	regions  []string
	children []trie
}

func loadPlans() ([]plan, error) {
	metadata, err := phonenumbers.MetadataCollection()
	if err != nil {
		return nil, fmt.Errorf("load metadata: %w", err)
	}
	byCode := map[int][]*phonenumbers.PhoneMetadata{}
	for _, m := range metadata.GetMetadata() {
		code := int(m.GetCountryCode())
		byCode[code] = append(byCode[code], m)
	}
	var plans []plan
	for _, code := range slices.Sorted(maps.Keys(byCode)) {
		order := phonenumbers.GetRegionCodesForCountryCode(code)
		territories := byCode[code]
		slices.SortFunc(territories, func(a, b *phonenumbers.PhoneMetadata) int {
			return slices.Index(order, a.GetId()) - slices.Index(order, b.GetId())
		})
		p, err := newPlan(code, territories)
		if err != nil {
			return nil, fmt.Errorf("calling code %d: %w", code, err)
		}
		plans = append(plans, p)
	}
	return plans, nil
}

func newPlan(code int, territories []*phonenumbers.PhoneMetadata) (plan, error) {
	p := plan{code: code}
	for _, m := range territories {
		p.regions = append(p.regions, m.GetId())
	}
	p.lengths = lengthsOf(code, territories)
	b, err := newBuilder(code, p.lengths, territories)
	if err != nil {
		return plan{}, err
	}
	p.refused, p.zero = b.trunk(territories[0].GetNationalPrefix())
	p.root = trie{regions: p.regions}
	if len(p.regions) > 1 {
		p.root = b.build(b.auto.start(), 0, nil)
	}
	return p, nil
}

// lengthsOf is the union over the regions of a calling code. The seven digits of Canada's 310 numbers are left
// out: package phone knows them, since as a length of +1 they would let every number without area code pass.
func lengthsOf(code int, territories []*phonenumbers.PhoneMetadata) uint32 {
	if code == nanp {
		return 1 << 10
	}
	var lengths uint32
	for _, m := range territories {
		for _, l := range m.GetGeneralDesc().GetPossibleLength() {
			if int(l)+len(fmt.Sprint(code)) <= maxDigits {
				lengths |= 1 << l
			}
		}
	}
	return lengths
}

// territory holds the numbers of one region's patterns in the automaton.
type territory struct {
	region                  string
	leading, general, fixed int // leading: -1 for none
	types                   []int
	tollFree                int
}

// builder makes the trie of one calling code by asking, for each prefix, which regions libphonenumber names for
// the numbers that begin with it.
type builder struct {
	code        int
	lengths     uint32
	auto        automaton
	territories []territory
	reached     map[string]uint64
}

func newBuilder(code int, lengths uint32, metadata []*phonenumbers.PhoneMetadata) (*builder, error) {
	b := &builder{code: code, lengths: lengths, reached: map[string]uint64{}}
	for _, m := range metadata {
		t, err := b.territory(m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.GetId(), err)
		}
		b.territories = append(b.territories, t)
	}
	return b, nil
}

func (b *builder) territory(m *phonenumbers.PhoneMetadata) (territory, error) {
	t := territory{region: m.GetId(), leading: -1}
	var err error
	add := func(d *phonenumbers.PhoneNumberDesc) int {
		if err != nil {
			return 0
		}
		var i int
		i, err = b.auto.add(d.GetNationalNumberPattern(), d.GetPossibleLength())
		return i
	}
	if digits := m.GetLeadingDigits(); digits != "" {
		if t.leading, err = b.auto.add("(?:"+digits+`)\d*`, nil); err != nil {
			return t, err
		}
	}
	t.general, t.fixed, t.tollFree = add(m.GetGeneralDesc()), add(m.GetFixedLine()), add(m.GetTollFree())
	t.types = []int{t.fixed, t.tollFree}
	for _, d := range []*phonenumbers.PhoneNumberDesc{
		m.GetMobile(), m.GetPremiumRate(), m.GetSharedCost(), m.GetVoip(), m.GetPersonalNumber(), m.GetPager(),
		m.GetUan(), m.GetVoicemail(),
	} {
		t.types = append(t.types, add(d))
	}
	return t, err
}

// trunk returns the digits that a national number cannot begin with although people write them there: zero, and the
// trunk prefix when it is one digit; and, where some number begins with a zero, those that cannot follow it.
func (b *builder) trunk(prefix string) (refused, afterZero uint32) {
	if len(prefix) == 1 && !b.begins(int(prefix[0]-'0')) {
		refused |= 1 << (prefix[0] - '0')
	}
	if !b.begins(0) {
		return refused | 1, 0
	}
	for d := range 10 {
		if !b.begins(0, d) {
			afterZero |= 1 << d
		}
	}
	return refused, afterZero
}

// begins reports whether a national number of some region begins with these digits.
func (b *builder) begins(digits ...int) bool {
	s := b.auto.start()
	for _, d := range digits {
		s = b.auto.step(s, d)
	}
	return slices.ContainsFunc(b.territories, func(t territory) bool { return len(s[t.general]) > 0 })
}

// named returns, as bits in the order of territories, the region that libphonenumber names for exactly these
// digits; and, outside +1, each other one that counts them among its fixed lines, which are where they say.
func (b *builder) named(s state, digits int) uint64 {
	var set uint64
	for i, t := range b.territories {
		match := func(p int) bool { return b.auto.matches(s, p, digits) }
		switch {
		case set == 0 && t.leading >= 0:
			if match(t.leading) {
				set |= 1 << i
			}
		case set == 0 && match(t.general) && slices.ContainsFunc(t.types, match):
			set |= 1 << i
		}
		if b.code != nanp && match(t.general) && match(t.fixed) {
			set |= 1 << i
		}
	}
	return set
}

// reach is the union of named over all numbers of a valid length that begin with the digits of s.
func (b *builder) reach(s state, depth int) uint64 {
	if s.dead() || b.lengths>>depth == 0 {
		return 0
	}
	key := fmt.Sprint(depth, s.key())
	if set, ok := b.reached[key]; ok {
		return set
	}
	var set uint64
	if b.lengths>>depth&1 == 1 {
		set = b.named(s, depth)
	}
	for d := range 10 {
		set |= b.reach(b.auto.step(s, d), depth+1)
	}
	b.reached[key] = set
	return set
}

// build returns the trie below s. Regions in base belong to every number below, valid or not.
func (b *builder) build(s state, depth int, base []string) trie {
	set := b.reach(s, depth)
	if depth == decideAt && b.tollFree(s) {
		base = []string{"US"}
	}
	one := bits.OnesCount64(set) == 1
	if set == 0 || depth >= decideAt && one || depth == maxDepth {
		return b.leaf(set, base)
	}
	t := trie{children: make([]trie, 10)}
	for d := range t.children {
		t.children[d] = b.build(b.auto.step(s, d), depth+1, base)
	}
	return t.collapse()
}

// tollFree reports an area code of +1 that is toll-free: such a number counts as US.
func (b *builder) tollFree(s state) bool {
	return b.code == nanp && len(s[b.territories[0].tollFree]) > 0
}

func (b *builder) leaf(set uint64, base []string) trie {
	regions := slices.Clone(base)
	for i, t := range b.territories {
		if (set>>i&1 == 1 || set == 0 && base == nil) && !slices.Contains(regions, t.region) {
			regions = append(regions, t.region)
		}
	}
	return trie{regions: regions}
}

// collapse makes a leaf of a node whose children all are the same leaf.
func (t trie) collapse() trie {
	first := t.children[0]
	for _, c := range t.children {
		if c.children != nil || !slices.Equal(c.regions, first.regions) {
			return t
		}
	}
	return first
}
