package phone

// What a table entry stands for.
const (
	unionBase = 0x100  // below: one region; from here: unions[v-unionBase]
	nodeBase  = 0x8000 // from here: nodes[v-nodeBase]
)

// Regions returns the regions that the number belongs to: the one that libphonenumber names, and any other that has the
// number among its fixed lines. If it names none, the number belongs to every region of the calling code. Toll-free
// numbers of +1 belong to the United States.
//
// A number that libphonenumber considers invalid still belongs to a region from the third national digit on, if no
// other region has a number with these digits: +1 416 is Canada whatever follows. A Number that did not come from Parse
// or FromDigits and has no calling code belongs to every region.
func (n Number) Regions() RegionSet { return n.Zone().Regions() }

// Zone is a small integer that stands for a set of regions: numbers of one Zone have the same Regions. It may change
// with each update of the tables.
type Zone uint16

// Zones is more than any Zone.
const Zones = int(allRegions) + 1

// allRegions stands for every region and the world.
const allRegions = Zone(unionBase + len(unions))

// Zone returns the zone of the number.
func (n Number) Zone() Zone {
	u := uint64(n)
	if u >= 1e10 && u < 2e10 {
		return areaCode(u)
	}
	digits := decimalLen(u)
	p := planOf(u, digits)
	switch {
	case p.code == 0:
		return allRegions
	case p.regions < nodeBase:
		return Zone(p.regions)
	}
	return lookup(p, u, digits)
}

// Regions returns the regions that the zone stands for.
func (z Zone) Regions() RegionSet {
	switch {
	case z == allRegions:
		return everywhere
	case z >= unionBase:
		return unions[z-unionBase]
	}
	return singles[z]
}

// areaCode is a fast lookup for +1, where the area code nearly always decides.
func areaCode(u uint64) Zone {
	v := areaCodes[u/1e7%1000]
	if v >= nodeBase {
		return lookup(&plans[planByLead[100]], u, 11)
	}
	return Zone(v)
}

// areaCodes holds, for each area code of +1, the entry that its three digits lead to.
var areaCodes = func() (entries [1000]uint16) {
	for area := range entries {
		v := plans[planByLead[100]].regions
		for _, digit := range [3]int{area / 100, area / 10 % 10, area % 10} {
			if v >= nodeBase {
				v = nodes[v-nodeBase][digit]
			}
		}
		entries[area] = v
	}
	return entries
}()

func lookup(p *plan, u uint64, digits int) Zone {
	if isCanada310(u) {
		return Zone(canada)
	}
	v := p.regions
	for i := digits - int(p.digits) - 1; v >= nodeBase; i-- {
		if i < 0 {
			return allRegions
		}
		v = nodes[v-nodeBase][without(u, i)%10]
	}
	return Zone(v)
}

// singles holds the set of each single region: copying it is faster than setting a bit in a new set.
var singles = func() (sets [unionBase]RegionSet) {
	for r := range sets {
		sets[r] = sets[r].With(Region(r))
	}
	return sets
}()
