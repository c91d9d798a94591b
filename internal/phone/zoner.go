package phone

// Zoner returns the zones of numbers. It is faster when consecutive numbers share a range, as in a sorted
// list. The zero value is ready. It is not for concurrent use.
type Zoner struct {
	zone       Zone
	from, size uint64 // all of these are in the zone
}

// Zone is n.Zone().
func (z *Zoner) Zone(n Number) Zone {
	if u := uint64(n); u-z.from >= z.size {
		z.zone, z.from, z.size = zoneRange(u)
	}
	return z.zone
}

// Holds reports whether all numbers up to last, from the last number asked for, are in its zone.
func (z *Zoner) Holds(last Number) bool { return uint64(last)-z.from < z.size }

// zoneRange is the zone of a number, and a range of numbers around it with the same zone: those with the same deciding
// digits and the same length.
func zoneRange(u uint64) (zone Zone, from, size uint64) {
	digits := decimalLen(u)
	p := planOf(u, digits)
	if p.code == 0 || isCanada310(u) {
		return Number(u).Zone(), u, 1
	}
	v, left := p.regions, digits-int(p.digits)
	for v >= nodeBase {
		if left--; left < 0 {
			return allRegions, u, 1
		}
		v = nodes[v-nodeBase][without(u, left)%10]
	}
	return Zone(v), u / pow10[left] * pow10[left], pow10[left]
}
