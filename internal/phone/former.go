package phone

import (
	"slices"
	"sync"
)

// A former spelling is the digits under which an earlier version stored a number, before the French plan was treated as one.

// Former returns the former spellings of a number, which stores that an earlier version wrote may hold. It is nil for nearly all
// numbers.
func (n Number) Former() []Number {
	if n-1e10 < 1e10 { // +1
		return nil
	}
	const france, stPierre = 33 * 1e9, 508 * 1e9
	inside := n % 1e9
	switch n.CallingCode() {
	case 262, 590, 594, 596:
		return []Number{france + inside}
	case 508:
		if n < stPierre { // six digits
			inside = 508*1e6 + n%1e6
			return []Number{france + inside, stPierre + inside}
		}
		return []Number{france + inside}
	case 33:
		if inside/1e8 == 8 { // what an overseas region has under its own code too
			return []Number{262*1e9 + inside, stPierre + inside, 590*1e9 + inside, 594*1e9 + inside, 596*1e9 + inside}
		}
	}
	return nil
}

// Spellings are the number, and its former spellings.
func (n Number) Spellings() []Number { return append([]Number{n}, n.Former()...) }

// Present returns the digits under which a number is stored now. It reports whether they are others than those of n, which is a
// former spelling then.
func (n Number) Present() (present Number, isFormer bool) {
	present, err := FromDigits(uint64(n))
	if err != nil {
		return n, false
	}
	return present, present != n
}

// NextFormer returns the first number from n on that is in a range of former spellings; 0: there is none. Not all digits in
// these ranges are numbers: see Present.
func NextFormer(n Number) Number {
	for _, r := range formerRanges() {
		if n < r.end {
			return max(n, r.begin)
		}
	}
	return 0
}

// numberRange is the numbers from begin to before end.
type numberRange struct{ begin, end Number }

// formerRanges are the ranges of former spellings, ascending: the numbers behind each code of the French plan that inFrenchPlan
// moves to another one.
var formerRanges = sync.OnceValue(func() (ranges []numberRange) {
	const all = 1e9 // national numbers
	bounds := []uint64{0, all}
	for _, o := range overseas {
		bounds = append(bounds, o.lead*pow10[9-o.digits], (o.lead+1)*pow10[9-o.digits])
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	for _, code := range []uint64{33, 262, 508, 590, 594, 596} {
		for i, begin := range bounds[:len(bounds)-1] {
			here := numberRange{Number(code*all + begin), Number(code*all + bounds[i+1])}
			switch now, _ := inFrenchPlan(begin); {
			case now == here.begin:
			case len(ranges) > 0 && ranges[len(ranges)-1].end == here.begin:
				ranges[len(ranges)-1].end = here.end
			default:
				ranges = append(ranges, here)
			}
		}
	}
	return ranges
})
