package policydoc

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
)

// oracle answers by one preset as a person reads the page of rules and docs/verdicts.md: by the calendar and the wall clock, and
// with nothing of package policy but the facts.
type oracle struct {
	code     string
	required []term // one of these consents is needed
	list     string // that must be there: its name, or the kind registry
	days     int
	override []term
	open     func(local time.Time) bool // nil: any time
}

// term is a kind of consent that counts for some months from when it was obtained (0: for ever), or from its end.
type term struct {
	kind          policy.ConsentKind
	form          policy.ConsentForm
	months, after int
}

var oracles = []oracle{
	{code: "US", list: "us-ftc", days: 31, override: []term{{policy.Permission, policy.Written, 0, 0}, {policy.Purchase, 0, 18, 0}, {policy.Inquiry, 0, 3, 0}},
		open: func(t time.Time) bool { return t.Hour() >= 8 && t.Hour() < 21 }},
	{code: "CA", list: "registry", days: 31, override: []term{{policy.Purchase, 0, 18, 0}, {policy.Inquiry, 0, 6, 0}, {policy.Contract, 0, 0, 18}},
		open: func(t time.Time) bool {
			if t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
				return t.Hour() >= 10 && t.Hour() < 18
			}
			return t.Hour() >= 9 && t.Hour()*60+t.Minute() < 21*60+30
		}},
	{code: "GB", list: "registry", days: 28, override: []term{{policy.Permission, 0, 0, 0}}},
	{code: "FR", required: []term{{policy.Permission, 0, 12, 0}, {policy.Contract, 0, 0, 0}}, open: func(t time.Time) bool {
		return t.Weekday() != time.Saturday && t.Weekday() != time.Sunday && !frenchHoliday(t) &&
			(t.Hour() >= 10 && t.Hour() < 13 || t.Hour() >= 14 && t.Hour() < 20)
	}},
}

// frenchHoliday is true on the national holidays, and on those of Alsace.
func frenchHoliday(t time.Time) bool {
	y := t.Year()
	a, b, c := y%19, y/100, y%100 // Easter, by Meeus
	h := (19*a + b - b/4 - (b-(b+8)/25+1)/3 + 15) % 30
	l := (32 + 2*(b%4) + 2*(c/4) - h - c%4) % 7
	m := (a + 11*h + 22*l) / 451
	easter := time.Date(y, time.Month((h+l-7*m+114)/31), (h+l-7*m+114)%31+1, 0, 0, 0, 0, time.UTC)
	day := time.Date(y, t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	after := int(day.Sub(easter).Hours()) / 24
	return slices.Contains([]int{-2, 1, 39, 50}, after) ||
		slices.Contains([]string{"01-01", "05-01", "05-08", "07-14", "08-15", "11-01", "11-11", "12-25", "12-26"}, t.Format("01-02"))
}

// monthsAfter is the same day and time a number of months later, or the last day of that month where it lacks the day.
func monthsAfter(t time.Time, months int) time.Time {
	t = t.UTC()
	later := t.AddDate(0, months, 0)
	for later.Day() != t.Day() && later.Day() < 4 { // it ran over into the next month
		later = later.AddDate(0, 0, -1)
	}
	return later
}

func (o *oracle) counts(f *policy.Facts, terms []term, now time.Time) bool {
	for _, r := range f.Records {
		if r.Kind != policy.RecordConsent || r.ReceivedAt.After(now) || r.Scope != "" && r.Scope != f.Scope {
			continue
		}
		for _, c := range terms {
			ends := r.ExpiresAt
			if !ends.IsZero() {
				ends = monthsAfter(ends, c.after)
			}
			over := !ends.IsZero() && !now.Before(ends) || c.months > 0 && !now.Before(monthsAfter(r.ReceivedAt, c.months))
			if r.Consent.Kind == c.kind && (c.form == 0 || c.form == r.Consent.Form) && !over {
				return true
			}
		}
	}
	return false
}

func (o *oracle) isOpen(f *policy.Facts, now time.Time) bool {
	for _, z := range f.Place.Zones {
		if !o.open(now.In(z.Location())) {
			return false
		}
	}
	return true
}

// tooOld reports whether a list is too old by a date: that of UTC or that of the called party, whichever is later.
func (o *oracle) tooOld(f *policy.Facts, l *policy.List, days int, now time.Time) bool {
	last := l.SnapshotDate.Time().AddDate(0, 0, days).Format(time.DateOnly)
	dates := []string{now.UTC().Format(time.DateOnly)}
	if len(f.Place.Zones) == 0 { // somewhere it may be as late as on Kiribati
		dates = append(dates, now.UTC().Add(14*time.Hour).Format(time.DateOnly))
	}
	for _, z := range f.Place.Zones {
		dates = append(dates, now.In(z.Location()).Format(time.DateOnly))
	}
	return days > 0 && slices.Max(dates) > last
}

func (o *oracle) verdict(f *policy.Facts, now time.Time) policy.Verdict {
	for _, r := range f.Records {
		if r.Kind == policy.RecordOptOut && (r.Scope == "" || r.Scope == f.Scope) && (r.ExpiresAt.IsZero() || now.Before(r.ExpiresAt)) {
			return policy.Block
		}
	}
	if o.required != nil && !o.counts(f, o.required, now) {
		return policy.Block
	}
	doubt, there := false, o.list == ""
	for _, m := range f.Lists {
		named := m.List.Name == o.list || o.list == "registry" && m.List.Kind == policy.ListRegistry
		if m.Listed && !(named && o.counts(f, o.override, now)) {
			return policy.Block
		}
		days := 0
		if m.List.Kind == policy.ListRegistry {
			days = o.days
		}
		there = there || named
		doubt = doubt || !m.List.Loaded || o.tooOld(f, m.List, days, now)
	}
	switch {
	case doubt || !there || o.open != nil && len(f.Place.Zones) == 0:
		return policy.Unknown
	case o.open != nil && !o.isOpen(f, now):
		return policy.NotNow
	}
	return policy.Allow
}

// moments are times at which something changes somewhere: clocks, days, hours, holidays, months.
func (d dice) moment() time.Time {
	at := time.Date(2026+d.IntN(3), time.Month(1+d.IntN(12)), 1+d.IntN(31), d.IntN(24), one(d, 0, 30), 0, 0, time.UTC)
	if d.odds(3) {
		at = one(d, time.Date(2027, 3, 14, 7, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC), time.Date(2027, 3, 28, 1, 0, 0, 0, time.UTC),
			time.Date(2026, 12, 25, 23, 0, 0, 0, time.UTC), time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC), time.Date(2027, 3, 26, 9, 0, 0, 0, time.UTC))
		at = at.Add(time.Duration(d.IntN(48)-24) * 30 * time.Minute)
	}
	return at.Add(one(d, 0, 0, 1, -1, time.Second, -time.Second, time.Hour))
}

func (d dice) presetFacts(o *oracle, zones []*policy.Zone, now time.Time) *policy.Facts {
	regions, err := phone.Jurisdiction(o.code)
	if err != nil {
		panic(err)
	}
	f := &policy.Facts{Scope: "acme", Regions: regions}
	for _, i := range d.Perm(len(zones))[:min(d.IntN(8), len(zones))] {
		f.Place.Zones = append(f.Place.Zones, zones[i])
	}
	near := func(t time.Time) time.Time {
		return t.Add(one(d, 0, 1, -1, time.Second, -time.Second, 48*time.Hour, -48*time.Hour))
	}
	for range d.IntN(3) {
		r := policy.Record{Kind: policy.RecordConsent, Scope: one[policy.Scope](d, "", "acme", "acme", "other"), Consent: &policy.Consent{
			Kind: policy.ConsentKind(1 + d.IntN(4)), Form: policy.ConsentForm(d.IntN(3)),
		}}
		r.ReceivedAt = near(now.AddDate(0, -one(d, 0, 1, 3, 6, 12, 18), one(d, 0, 0, 1, -1)))
		if d.odds(3) {
			r.ExpiresAt = near(now.AddDate(0, -one(d, 0, 0, 18), 0))
		}
		f.Records = append(f.Records, r)
	}
	if d.odds(4) {
		f.Records = append(f.Records, policy.Record{Kind: policy.RecordOptOut, Scope: one[policy.Scope](d, "acme", "other"), ReceivedAt: now.AddDate(-1, 0, 0), ExpiresAt: near(now)})
	}
	for _, name := range []string{"us-ftc", "state", "partner"} {
		if name != "us-ftc" && !d.odds(3) || d.odds(8) {
			continue
		}
		l := &policy.List{Name: name, Kind: policy.ListRegistry, Jurisdiction: regions, Loaded: !d.odds(10)}
		if name == "partner" {
			l.Kind, l.Jurisdiction = policy.ListSuppression, phone.RegionSet{}
		}
		l.SnapshotDate = policy.DateOf(now) - policy.Date(one(d, 0, 1, 27, 28, 29, 30, 31, 32))
		f.Lists = append(f.Lists, policy.Membership{List: l, Covered: true, Listed: l.Loaded && d.odds(3)})
	}
	return f
}

// The presets answer as the oracle does, at moments that are chosen for what changes at them. Until valid_until the answer stays, and
// opens_at is the first moment that is open.
func TestPresetsAgreeWithAnOracle(t *testing.T) {
	t.Parallel()
	const facts = 20_000
	d := dice{rand.New(rand.NewPCG(8, 0))}
	p := preset(t, "US", "CA", "GB", "FR").Compile("1", place.Holidays)
	zones := map[string][]*policy.Zone{}
	for code, names := range map[string][]string{
		"US": {"America/New_York", "America/Denver", "Pacific/Honolulu"}, "CA": {"America/Toronto", "America/St_Johns"}, "GB": {"Europe/London"}, "FR": {"Europe/Paris"},
	} {
		for _, name := range names {
			location, err := place.Location(name)
			if err != nil {
				t.Fatal(err)
			}
			zones[code] = append(zones[code], policy.NewZone(location))
		}
	}
	seen := map[policy.Verdict]int{}
	for range facts {
		o, now := one(d, oracles...), d.moment()
		f := d.presetFacts(&o, zones[o.code], now)
		got := policy.Decide(f, p, now)
		verdict, until, opens := got.Verdict, got.ValidUntil, got.OpensAt
		seen[verdict]++
		if want := o.verdict(f, now); verdict != want {
			t.Fatalf("%s at %v: got %d, want %d: %+v", o.code, now, verdict, want, f)
		}
		later := now.Add(time.Duration(d.Int64N(int64(40 * 24 * time.Hour))))
		if !until.IsZero() && (!later.Before(until) || d.odds(2)) {
			later = until.Add(-1)
		}
		consented := !slices.ContainsFunc(f.Records, func(r policy.Record) bool { return r.ReceivedAt.After(now) })
		if want := o.verdict(f, later); consented && want != verdict {
			t.Fatalf("%s at %v: %d until %v, but %d at %v: %+v", o.code, now, verdict, until, want, later, f)
		}
		if verdict == policy.NotNow && (!o.isOpen(f, opens) || o.isOpen(f, opens.Add(-1))) {
			t.Fatalf("%s at %v: opens at %v: %+v", o.code, now, opens, f.Place)
		}
	}
	for v := policy.Allow; v <= policy.Unknown; v++ {
		if seen[v] < facts/50 {
			t.Errorf("verdict %d came %d times of %d: the facts do not try it", v, seen[v], facts)
		}
	}
}
