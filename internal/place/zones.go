package place

import (
	"cmp"
	_ "embed" // the tables
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

//go:generate go run ./internal/gen

//go:embed zones.txt
var zonesText string

// Clocks names the clocks that a number's person may have; numbers with the same ones have the same Clocks. Zero: not known.
type Clocks uint16

// table is the time zones of numbers, by their first digits.
type table struct {
	places []policy.Place // by Clocks
	// lead has what the first leadDigits digits decide: Clocks, or from deeper on a place in ranges.
	lead   [10_000]uint16
	ranges [][]span
}

// span is numbers up to another span's first, filled up with zeros to phone.MaxDigits digits.
type span struct {
	first  uint64
	clocks Clocks
}

const (
	leadDigits = 4
	deeper     = 1 << 15
)

// zones is the table. It is made once, which takes a few milliseconds.
var zones = sync.OnceValue(func() *table { return newTable(zonesText) })

// ClocksOf is the clocks of a number.
func ClocksOf(n phone.Number) Clocks { return zones().clocks(uint64(n)) }

// Place is where a person with these clocks is. It is shared: never changed.
func (c Clocks) Place() policy.Place { return zones().places[c] }

// Of is where the person of a number is, as far as the number says.
func Of(n phone.Number) policy.Place {
	t := zones()
	return t.places[t.clocks(uint64(n))]
}

func (t *table) clocks(u uint64) Clocks {
	var lead uint64
	if u-1e10 < 1e10 { // most numbers of +1: a constant divides faster
		lead = u / 1e7
	} else {
		lead = u / pow10[max(digits(u)-leadDigits, 0)]
	}
	c := t.lead[lead%uint64(len(t.lead))]
	if c < deeper {
		return Clocks(c)
	}
	return within(t.ranges[c-deeper], fill(u))
}

// within is the clocks of the last span that begins at a number or before.
func within(spans []span, filled uint64) Clocks {
	i, found := slices.BinarySearchFunc(spans, filled, func(s span, f uint64) int { return cmp.Compare(s.first, f) })
	if !found {
		i--
	}
	return spans[i].clocks
}

var pow10 = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// digits is how many digits u has.
func digits(u uint64) int {
	n := bits.Len64(u) * 1233 >> 12
	if u >= pow10[n] {
		n++
	}
	return n
}

// fill fills digits up with zeros.
func fill(u uint64) uint64 { return u * pow10[phone.MaxDigits-digits(u)] }

// newTable reads zones.txt.
func newTable(text string) *table {
	t := &table{places: make([]policy.Place, 1)}
	prefixes := make(map[string]Clocks)
	byZones := make(map[string]Clocks)
	usage := usages(text)
	for names, list := range lines(text) {
		place := policy.Place{Zones: distinct(strings.Split(names, ","), usage)}
		key := namesOf(place.Zones)
		if _, ok := byZones[key]; !ok {
			byZones[key] = Clocks(len(t.places))
			t.places = append(t.places, place)
		}
		for p := range strings.FieldsSeq(list) {
			prefixes[p] = byZones[key]
		}
	}
	below := make(map[string][]string) // by the first digits
	for p := range prefixes {
		if len(p) > leadDigits {
			below[p[:leadDigits]] = append(below[p[:leadDigits]], p)
		}
	}
	for i := range t.lead {
		lead := strconv.Itoa(i)
		t.lead[i] = t.leadOf(lead, below[lead], prefixes)
	}
	return t
}

// leadOf is the entry of numbers that begin with these digits; below are the longer prefixes of them.
func (t *table) leadOf(lead string, below []string, prefixes map[string]Clocks) uint16 {
	if len(below) == 0 {
		return uint16(longest(prefixes, lead))
	}
	spans := []span{{clocks: longest(prefixes, lead)}}
	for _, p := range below {
		spans = append(spans, edges(p, prefixes)...)
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	t.ranges = append(t.ranges, slices.CompactFunc(spans, func(a, b span) bool { return a.first == b.first }))
	return uint16(deeper + len(t.ranges) - 1)
}

// edges are where the numbers of a prefix begin, and where they are over.
func edges(prefix string, prefixes map[string]Clocks) (both []span) {
	u, _ := strconv.ParseUint(prefix, 10, 64)
	for _, edge := range []uint64{u, u + 1} {
		filled := edge * pow10[phone.MaxDigits-len(prefix)]
		both = append(both, span{filled, longest(prefixes, strconv.FormatUint(filled, 10))})
	}
	return both
}

// longest is the clocks of the longest prefix of digits.
func longest(prefixes map[string]Clocks, digits string) Clocks {
	for ; digits != ""; digits = digits[:len(digits)-1] {
		if c, ok := prefixes[digits]; ok {
			return c
		}
	}
	return 0
}

// lines yields what stands before and after the colon of each line.
func lines(text string) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for line := range strings.Lines(text) {
			before, after, ok := strings.Cut(strings.TrimSpace(line), ": ")
			if ok && !strings.HasPrefix(line, "#") && !yield(before, after) {
				return
			}
		}
	}
}

// usages counts the prefixes that have a zone alone.
func usages(text string) map[string]int {
	count := make(map[string]int)
	for names, list := range lines(text) {
		count[names] += len(strings.Fields(list))
	}
	return count
}

// distinct are the zones without those whose clocks show what another one's do; of such the one that is used most stands for
// all. If one is not known, none is.
func distinct(names []string, usage map[string]int) (out []*policy.Zone) {
	slices.SortStableFunc(names, func(a, b string) int { return usage[b] - usage[a] })
	for _, name := range names {
		z, err := zone(name)
		if err != nil {
			return nil
		}
		if !slices.ContainsFunc(out, z.SameClock) {
			out = append(out, z)
		}
	}
	slices.SortFunc(out, func(a, b *policy.Zone) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

func namesOf(zones []*policy.Zone) string {
	var names []string
	for _, z := range zones {
		names = append(names, z.Name())
	}
	return strings.Join(names, ",")
}
