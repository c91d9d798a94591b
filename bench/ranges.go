package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/nyaruka/phonenumbers"
)

const (
	// registryDensity is how many numbers of an area code the US registry
	// holds on average: 258.5 million over some 350 area codes.
	registryDensity = 740_000
	// groupSize is how many numbers share all but their last four digits.
	groupSize = 10_000
)

// numberRange is the numbers that begin with the same digits and have seven
// more, in groups by the first three of the seven.
type numberRange struct {
	label  string // the digits they begin with, as the layout writes them
	groups []int  // the three digits of each group, rising
}

// capacity is how many numbers the range has.
func (r numberRange) capacity() int { return len(r.groups) * groupSize }

// areaCodes returns the geographic area codes of the US in order. Left out are
// exchanges that are no subscriber's (N11) and 555, where fiction lives.
func areaCodes() []numberRange {
	var exchanges []int
	for e := 200; e < 1000; e++ {
		if e%100 != 11 && e != 555 {
			exchanges = append(exchanges, e)
		}
	}
	var list []numberRange
	for code := 200; code < 1000; code++ {
		n, err := phonenumbers.Parse(fmt.Sprintf("+1%d2345678", code), "")
		if err != nil || phonenumbers.GetRegionCodeForNumber(n) != "US" ||
			phonenumbers.GetNumberType(n) != phonenumbers.FIXED_LINE_OR_MOBILE {
			continue
		}
		list = append(list, numberRange{strconv.Itoa(code), exchanges})
	}
	return list
}

// countries returns a mobile range of each country outside +1 whose numbers
// are long enough, in order of their digits.
func countries() []numberRange {
	groups := make([]int, 1000)
	for i := range groups {
		groups[i] = i
	}
	var list []numberRange
	for region := range phonenumbers.GetSupportedRegions() {
		n := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE)
		if n == nil || n.GetCountryCode() == 1 || n.GetNationalNumber() < 1e7 {
			continue
		}
		digits := phonenumbers.Format(n, phonenumbers.E164)[1:]
		list = append(list, numberRange{digits[:len(digits)-7], groups})
	}
	byLabel := func(a, b numberRange) int { return cmp.Compare(a.label, b.label) }
	slices.SortFunc(list, byLabel)
	// Countries that share a calling code may share the range as well.
	return slices.CompactFunc(list, func(a, b numberRange) bool { return a.label == b.label })
}

// share is how many numbers are drawn from a range.
type share struct {
	numberRange
	index int
	count int
}

// divide fills one range after the other to the registry's density, or as
// densely as it takes for all ranges to hold the numbers.
func divide(numbers int, ranges []numberRange) ([]share, error) {
	density := max(registryDensity, (numbers+len(ranges)-1)/len(ranges))
	if most := len(ranges) * ranges[0].capacity() / 2; numbers < 1 || numbers > most {
		return nil, fmt.Errorf("--numbers: from 1 to %d", most)
	}
	var list []share
	for i, r := range ranges {
		if numbers == 0 {
			break
		}
		count := min(density, numbers)
		list = append(list, share{r, i, count})
		numbers -= count
	}
	return list, nil
}
