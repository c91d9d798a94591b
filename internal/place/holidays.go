package place

import (
	_ "embed" // the tables
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

//go:embed holidays.txt
var holidaysText string

//go:embed subdivisions.txt
var subdivisionsText string

// Holidays are the public holidays of a country, by its ISO 3166 code; false when they are not known here. They are shared:
// never changed.
func Holidays(country string) (*policy.Holidays, bool) {
	h, ok := calendars()[country]
	return h, ok
}

// subdivision is one of ISO 3166-2.
type subdivision struct {
	country string
	zones   []string
}

// subdivisions are those whose place is known here, by code.
var subdivisions = sync.OnceValue(func() map[string]subdivision {
	found := make(map[string]subdivision)
	for head, codes := range lines(subdivisionsText) {
		country, zones, _ := strings.Cut(head, " ")
		for code := range strings.FieldsSeq(codes) {
			found[country+"-"+code] = subdivision{country, strings.Split(zones, ",")}
		}
	}
	return found
})

var calendars = sync.OnceValue(func() map[string]*policy.Holidays {
	all := readHolidays(holidaysText)
	for code, s := range subdivisions() {
		if h := all[s.country]; h != nil {
			h.Regional[code] = slices.Clip(h.Regional[code])
			for _, zone := range s.zones {
				h.AnyOf[zone] = append(h.AnyOf[zone], h.Regional[code]...)
			}
		}
	}
	for _, h := range all {
		for zone, days := range h.AnyOf {
			h.AnyRegion = append(h.AnyRegion, days...)
			h.AnyOf[zone] = ascending(days)
		}
		h.AnyRegion = ascending(h.AnyRegion)
	}
	return all
})

// ascending sorts days and leaves out those that stand there twice. It is never nil.
func ascending(days []policy.Date) []policy.Date {
	slices.Sort(days)
	return append([]policy.Date{}, slices.Compact(days)...)
}

// readHolidays reads holidays.txt: lines of a country or a subdivision, a year, and days.
func readHolidays(text string) map[string]*policy.Holidays {
	all := make(map[string]*policy.Holidays)
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] == "#" {
			continue
		}
		country, _, regional := strings.Cut(words[0], "-")
		h := all[country]
		if h == nil {
			h = &policy.Holidays{Regional: make(map[string][]policy.Date), AnyOf: make(map[string][]policy.Date)}
			h.From = date(words[1], "0101")
			all[country] = h
		}
		for _, day := range words[2:] {
			if regional {
				h.Regional[words[0]] = append(h.Regional[words[0]], date(words[1], day))
			} else {
				h.National = append(h.National, date(words[1], day))
			}
		}
		h.Until = date(words[1], "1231")
	}
	return all
}

// date is a day of the tables.
func date(year, day string) policy.Date {
	t, err := time.Parse("20060102", year+day)
	if err != nil {
		panic("holidays.txt: " + err.Error())
	}
	return policy.DateOf(t)
}
