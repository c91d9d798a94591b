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

func TestListApplies(t *testing.T) {
	us, ca, fr := regions(t, "US"), regions(t, "CA"), regions(t, "FR")
	for _, c := range []struct {
		name         string
		jurisdiction phone.RegionSet
		scope        Scope
		number       phone.RegionSet
		caller       Scope
		want         bool
	}{
		{"its country", us, "", us, "acme", true},
		{"another country", us, "", ca, "acme", false},
		{"one of two countries", us.Union(ca), "", ca, "acme", true},
		{"a number of several regions", us, "", us.Union(fr), "acme", true},
		{"no jurisdiction", phone.RegionSet{}, "", fr, "acme", true},
		{"no jurisdiction, number of no region", phone.RegionSet{}, "", phone.RegionSet{}, "", true},
		{"the caller's scope", us, "acme", us, "acme", true},
		{"above the caller", us, "acme", us, "acme/telecom", true},
		{"below the caller", us, "acme/telecom", us, "acme", false},
		{"beside the caller", us, "acme", us, "acmeco", false},
		{"a caller without scope", us, "acme/telecom", us, "", true},
		{"a caller without scope, another country", us, "acme", ca, "", false},
	} {
		l := &List{Jurisdiction: c.jurisdiction, Scope: c.scope}
		if got := l.Applies(c.number, c.caller); got != c.want {
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
