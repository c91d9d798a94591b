package store

import (
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
)

// underHours is a view with a policy that has calling hours in the United States, by day, and in no other country.
func underHours(t *testing.T, s *Store) *View {
	t.Helper()
	us, err := phone.Jurisdiction("US")
	if err != nil {
		t.Fatal(err)
	}
	var hours policy.Hours
	for d := range hours.Open {
		hours.Open[d] = []policy.Span{{From: 8 * 60, To: 21 * 60}}
	}
	v := *s.View()
	v.policy = &Policy{compiled: &policy.Policy{AllowUnnamed: true, Countries: []policy.Country{
		{Code: "US", Regions: us, Rule: &policy.Rule{Name: "US", Regions: us, Hours: &hours}},
	}}}
	return &v
}

// fromEverywhere are numbers of many clocks, some of them twice.
var fromEverywhere = []phone.Number{
	1_212_555_0100, 1_312_555_0100, 1_303_555_0100, 1_602_555_0100, 1_415_555_0100, 1_907_555_0100, 1_808_555_0100, 1_787_555_0100,
	1_671_555_0100, 1_800_555_0100, 1_416_555_0100, 1_709_555_0100, 33_199_001_234, 447_700_900_123, 1_212_555_0101, 1_808_555_0101,
}

// Numbers that are looked up together keep clocks of their own: hours differ by the clock of each.
func TestNumbersOfABatchHaveClocksOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	v := underHours(t, s)
	var many Findings
	for hour := range 24 {
		now := time.Date(2026, 11, 30, hour, 30, 0, 0, time.UTC)
		wantManyAsLookup(t, v, fromEverywhere, "acme", now, &many)
	}
	now := time.Date(2026, 11, 30, 13, 30, 0, 0, time.UTC) // 08:30 in New York
	v.LookupMany(fromEverywhere[:8], Call{}, &many)
	for i, want := range []policy.Verdict{
		policy.Allow, policy.NotNow, policy.NotNow, policy.NotNow, policy.NotNow, policy.NotNow, policy.NotNow, policy.Allow,
	} {
		if got := policy.Decide(&many.Facts[many.At[i]], v.Policy(), now).Verdict; got != want {
			t.Errorf("%s: %v, want %v", fromEverywhere[i].E164(), got, want)
		}
	}
}

// Without a policy no rule tells countries apart: numbers of all of them share what is known.
func TestNumbersOfManyCountriesShareFactsWithoutAPolicy(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	var many Findings
	s.View().LookupMany(fromEverywhere, Call{Scope: "acme"}, &many)
	if got := len(many.Facts); got != 1 {
		t.Errorf("%d facts, want 1", got)
	}
	underHours(t, s).LookupMany(fromEverywhere, Call{Scope: "acme"}, &many)
	if got := len(many.Facts); got < 3 {
		t.Errorf("%d facts under a policy, want those of each country and clock", got)
	}
}

// The clock of the place that the caller names counts, in place of that of the number.
func TestNamedPlaceReplacesTheNumbersOwn(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	v := underHours(t, s)
	honolulu, err := place.Parse("Pacific/Honolulu")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 13, 30, 0, 0, time.UTC)
	f := policy.Facts{Place: *honolulu}
	v.Lookup(1_212_555_0100, &f)
	var many Findings
	v.LookupMany([]phone.Number{1_212_555_0100}, Call{Place: *honolulu, Purpose: policy.Marketing}, &many)
	for _, f := range []*policy.Facts{&f, &many.Facts[many.At[0]]} {
		d := policy.Decide(f, v.Policy(), now)
		if want := time.Date(2026, 11, 30, 18, 0, 0, 0, time.UTC); d.Verdict != policy.NotNow || !d.OpensAt.Equal(want) {
			t.Errorf("%v until %v, want NOT_NOW until %v", d.Verdict, d.OpensAt, want)
		}
	}
}

// Without a rule that asks, no number's clock is looked up.
func TestNoClockWithoutARuleThatAsks(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, v := range []*View{s.View(), underHours(t, s)} {
		var f policy.Facts
		v.Lookup(33_199_001_234, &f)
		if len(f.Place.Zones) > 0 {
			t.Error("a French number has clocks, and no rule of its country has hours")
		}
	}
}
