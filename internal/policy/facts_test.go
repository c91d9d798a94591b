package policy

import (
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

func regions(t *testing.T, codes ...string) phone.RegionSet {
	t.Helper()
	var all phone.RegionSet
	for _, c := range codes {
		set, err := phone.Jurisdiction(c)
		if err != nil {
			t.Fatal(err)
		}
		all = all.Union(set)
	}
	return all
}

func TestListSpeaksForItsJurisdiction(t *testing.T) {
	us, ca, fr := regions(t, "US"), regions(t, "CA"), regions(t, "FR")
	for _, c := range []struct {
		name         string
		jurisdiction phone.RegionSet
		number       phone.RegionSet
		want         bool
	}{
		{"its country", us, us, true},
		{"another country", us, ca, false},
		{"one of two countries", us.Union(ca), ca, true},
		{"a number of several regions", us, us.Union(fr), true},
		{"a number of no region", us, phone.RegionSet{}, false},
		{"no jurisdiction", phone.RegionSet{}, fr, true},
		{"no jurisdiction, number of no region", phone.RegionSet{}, phone.RegionSet{}, true},
	} {
		l := &List{Jurisdiction: c.jurisdiction}
		if got := l.SpeaksFor(c.number); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFactsResetKeepsRoom(t *testing.T) {
	f := &Facts{Scope: "acme", Records: make([]Record, 1, 8), Lists: make([]Membership, 1, 8), Damaged: true}
	f.Reset()
	if f.Scope != "" || f.Damaged || len(f.Records) != 0 || len(f.Lists) != 0 {
		t.Errorf("after reset: %+v, want nothing", f)
	}
	if cap(f.Records) != 8 || cap(f.Lists) != 8 {
		t.Errorf("room for %d records and %d lists, want 8 and 8", cap(f.Records), cap(f.Lists))
	}
}
