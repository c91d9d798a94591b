package phone

// What a table entry stands for.
const (
	unionBase = 0x100  // below: one region; from here: unions[v-unionBase]
	nodeBase  = 0x8000 // from here: nodes[v-nodeBase]
)

// Regions returns the regions that the number belongs to: the one that libphonenumber names, or, where it names none,
// every region of the calling code. Toll-free numbers of +1 belong to the United States.
//
// What libphonenumber holds invalid still belongs to a region from the third national digit on, when no other region
// has a number with these digits: +1 416 is Canada whatever follows. A Number that did not come from Parse or
// FromDigits and has no calling code belongs to every region.
func (n Number) Regions() RegionSet {
	u, digits := uint64(n), 11
	p := &plans[planByLead[100]]
	if u < 1e10 || u >= 2e10 {
		digits = decimalLen(u)
		p = planOf(u, digits)
	}
	if p.regions < unionBase {
		return single(p, u)
	}
	return lookup(p, u, digits)
}

func single(p *plan, u uint64) RegionSet {
	if p.code == 0 {
		return everywhere
	}
	return RegionSet{}.With(Region(p.regions))
}

func lookup(p *plan, u uint64, digits int) RegionSet {
	if isCanada310(u) {
		u = 1_600_000_0000 // a number that is Canada's alone: the trie knows ten digits only
		digits = 11
	}
	v := p.regions
	for i := digits - int(p.digits) - 1; v >= nodeBase; i-- {
		if i < 0 {
			return everywhere
		}
		v = nodes[v-nodeBase][u/pow10[i]%10]
	}
	if v >= unionBase {
		return unions[v-unionBase]
	}
	return RegionSet{}.With(Region(v))
}
