package policy

import (
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
)

func territory(t testing.TB, code string) phone.RegionSet {
	t.Helper()
	set, err := phone.Jurisdiction(code)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// presets is a policy like those of the presets for France and the United States, among other countries.
func presets(t testing.TB) *Policy {
	french := weekdays(Span{10 * 60, 13 * 60}, Span{14 * 60, 20 * 60})
	french.Holidays = &Holidays{Until: DateOf(noon) + 10*365, Regional: map[string][]Date{"FR-57": nil}, AnyOf: map[string][]Date{}}
	for d := DateOf(noon) - 700; d < french.Holidays.Until; d += 33 {
		french.Holidays.National = append(french.Holidays.National, d)
		french.Holidays.AnyRegion = append(french.Holidays.AnyRegion, d+7)
	}
	french.Holidays.AnyOf["Europe/Paris"] = french.Holidays.AnyRegion
	american := daily(Span{8 * 60, 21 * 60})
	p := &Policy{Version: "test"}
	for _, code := range []string{"CA", "DE", "FR", "GB", "US"} {
		c := Country{Code: code, Regions: territory(t, code), Rule: &Rule{Name: code, Regions: territory(t, code)}}
		switch code {
		case "FR":
			c.Rule.Hours = &french
			c.Rule.Consent = ConsentRule{Required: true, Counts: []Counts{{Kind: Permission, Valid: Period{Months: 12}}, {Kind: Contract}}}
			c.Rule.Banned = []Ban{{Scope: "acme/energy", Except: []Counts{{Kind: Contract}}}}
		case "US":
			c.Rule.Hours = &american
			c.Rule.Lists = []ListRule{{Kind: ListRegistry, Required: true, MaxAgeDays: 31, Overridden: []Counts{
				{Kind: Permission, Form: Written}, {Kind: Purchase, Valid: Period{Months: 18}}, {Kind: Inquiry, Valid: Period{Months: 3}}}}}
		}
		p.Countries = append(p.Countries, c)
	}
	return p
}

// presetCases are numbers as checks meet them.
func presetCases(t testing.TB) map[string]*Facts {
	consent := func(kind ConsentKind) Record {
		return Record{Kind: RecordConsent, Scope: "acme", ReceivedAt: noon.AddDate(0, -5, 0), Consent: &Consent{Kind: kind, Form: Written}}
	}
	registry := func(listed bool) []Membership {
		return []Membership{
			{List: &List{Name: "registry", Kind: ListRegistry, Loaded: true, SnapshotDate: DateOf(noon) - 3, MaxAgeDays: 31, Jurisdiction: territory(t, "US")}, Covered: true, Listed: listed},
			{List: &List{Name: "own", Kind: ListSuppression, Loaded: true}, Covered: true},
		}
	}
	us, fr := phone.RegionSet{}.With(region(t, "US")), phone.RegionSet{}.With(region(t, "FR"))
	paris := Place{Zones: zones(t, "Europe/Paris")}
	everywhere := Place{Zones: zones(t, "America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles",
		"America/Anchorage", "America/Adak", "Pacific/Honolulu", "America/Halifax", "America/St_Johns", "America/Puerto_Rico",
		"America/Regina", "Pacific/Guam", "Pacific/Pago_Pago", "Atlantic/Bermuda", "America/Grand_Turk", "America/Nassau")}
	newYork := Place{Zones: zones(t, "America/New_York")}
	return map[string]*Facts{
		"FR without consent": {Scope: "acme/telecom", Regions: fr, Place: paris},
		"FR with consent":    {Scope: "acme/telecom", Regions: fr, Place: paris, Records: []Record{consent(Permission)}},
		"FR with a contract": {Scope: "acme/energy", Regions: fr, Place: paris, Records: []Record{consent(Contract)}},
		"FR opted out":       {Scope: "acme/telecom", Regions: fr, Place: paris, Records: []Record{consent(Permission), optOutAt("acme", 0)}},
		"US clear":           {Scope: "acme/telecom", Regions: us, Place: newYork, Lists: registry(false)},
		"US listed":          {Scope: "acme/telecom", Regions: us, Place: newYork, Lists: registry(true)},
		"US overridden":      {Scope: "acme/telecom", Regions: us, Place: newYork, Lists: registry(true), Records: []Record{consent(Purchase)}},
		"US toll-free":       {Scope: "acme/telecom", Regions: us, Place: everywhere, Lists: registry(false)},
	}
}

func region(t testing.TB, code string) phone.Region {
	t.Helper()
	r, err := phone.ParseRegion(code)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// presetTimes are open and closed.
var presetTimes = map[string]time.Time{
	"at noon":     time.Date(2026, 9, 9, 16, 0, 0, 0, time.UTC),
	"at night":    time.Date(2026, 9, 9, 3, 0, 0, 0, time.UTC),
	"on a Friday": time.Date(2026, 9, 11, 19, 0, 0, 0, time.UTC),
}

func BenchmarkDecide(b *testing.B) {
	p := presets(b)
	for name, f := range presetCases(b) {
		for when, now := range presetTimes {
			b.Run(name+"/"+when, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					Decide(f, p, now)
				}
			})
		}
	}
}

// Decisions with a policy allocate nothing once the facts have room.
func TestDecideAllocatesNothing(t *testing.T) {
	p := presets(t)
	for name, f := range presetCases(t) {
		for when, now := range presetTimes {
			if n := testing.AllocsPerRun(100, func() { Decide(f, p, now) }); n > 0 {
				t.Errorf("%s %s: %v allocations", name, when, n)
			}
		}
	}
}
