package policydoc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// noon is a Friday, in the days of known.
var noon = time.Date(2026, 12, 4, 12, 0, 0, 0, time.UTC)

func regions(code string) phone.RegionSet {
	s, err := phone.Jurisdiction(code)
	if err != nil {
		panic(err)
	}
	return s
}

// lists are those that facts may hold: by name, kind and jurisdiction.
var lists = []policy.List{
	{Name: "donotcall", Kind: policy.ListRegistry, Jurisdiction: regions("US"), Loaded: true},
	{Name: "tps", Kind: policy.ListRegistry, Jurisdiction: regions("FR"), Loaded: true},
	{Name: "reunion", Kind: policy.ListRegistry, Jurisdiction: regions("RE"), Loaded: true},
	{Name: "other", Kind: policy.ListRegistry, Jurisdiction: regions("CA"), Loaded: true},
	{Name: "firm", Kind: policy.ListSuppression, Loaded: true},
}

var zones = []*policy.Zone{policy.NewZone(time.FixedZone("", 0)), policy.NewZone(time.FixedZone("", 3600)), policy.NewZone(time.FixedZone("", 36000))}

// dice draw facts, many for each pair of policies.
type dice struct{ *rand.Rand }

func one[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// odds is true once in n times.
func (d dice) odds(n int) bool { return d.IntN(n) == 0 }

// time is some days around noon, also at the ends of the periods that rules have.
func (d dice) time() time.Time {
	days := one(d, 0, 0, 0, 1, 2, 3, -1, -7, -8, -29, -32, -40, -85, -100, -300, -360, -370, -380, -1000, -1200)
	return noon.AddDate(0, 0, days).Add(time.Duration(d.IntN(25)-12) * time.Hour)
}

func (d dice) scope() policy.Scope {
	if d.odds(4) {
		return ""
	}
	return one(d, scopes...)
}

func (d dice) record() policy.Record {
	r := policy.Record{Kind: policy.RecordOptOut, Scope: d.scope(), ReceivedAt: d.time()}
	if d.odds(3) {
		r.ExpiresAt = d.time()
	}
	if d.odds(3) {
		return r
	}
	r.Kind = policy.RecordConsent
	r.Consent = &policy.Consent{Kind: policy.ConsentKind(1 + d.IntN(4)), Form: policy.ConsentForm(d.IntN(3))}
	r.Consent.MayLift = r.Consent.Kind == policy.Permission && d.odds(2)
	if d.odds(6) {
		r.Consent.From = d.time()
		r.Consent.Until = r.Consent.From.Add(time.Hour)
	}
	return r
}

func (d dice) facts(codes []string) *policy.Facts {
	f := &policy.Facts{Scope: d.scope(), Purpose: policy.Purpose(d.IntN(2))}
	for range 1 + d.IntN(5)/4 {
		r, err := phone.ParseRegion(one(d, append([]string{"RE", "PR", "GB"}, codes...)...))
		if err != nil {
			panic(err)
		}
		f.Regions = f.Regions.With(r)
	}
	if !d.odds(8) {
		f.Place.Zones = zones[:1+d.IntN(3)]
	}
	f.Place.Subdivision = one(d, "", "", "FR-1", "FR-2", "US-1")
	for range d.IntN(4) {
		f.Records = append(f.Records, d.record())
	}
	for i := range lists {
		if d.odds(2) {
			continue
		}
		l := lists[i]
		l.SnapshotDate = policy.DateOf(noon) - policy.Date(one(d, 0, 0, 0, 27, 29, 31, 40))
		l.Loaded = !d.odds(8)
		l.MaxAgeDays = one(d, 0, 28, 31)
		f.Lists = append(f.Lists, policy.Membership{
			List: &l, Listed: d.odds(4), Outside: !l.SpeaksFor(f.Regions), Covered: !d.odds(8),
		})
	}
	return f
}

// change draws a document that differs from d in little.
func change(t *rapid.T, d *Document) *Document {
	o := &Document{AllowUnnamed: d.AllowUnnamed, Countries: slices.Clone(d.Countries)}
	for range 1 + rapid.IntRange(0, 3).Draw(t, "changes")/3 {
		switch what := rapid.IntRange(0, 9).Draw(t, "change"); {
		case what == 0:
			o.AllowUnnamed = !o.AllowUnnamed
		case what == 1 || len(o.Countries) == 0:
			code := rapid.SampledFrom([]string{"GB", "PR", "RE"}).Draw(t, "new country")
			if clash := map[string]string{"PR": "US", "RE": "FR"}[code]; o.Country(code) == nil && (clash == "" || o.Country(clash) == nil) {
				o.Countries = append(o.Countries, drawCountry(t, code))
			}
		case what == 2:
			i := rapid.IntRange(0, len(o.Countries)-1).Draw(t, "removed")
			o.Countries = slices.Delete(o.Countries, i, i+1)
		default:
			c := &o.Countries[rapid.IntRange(0, len(o.Countries)-1).Draw(t, "country")]
			c.Scopes = slices.Clone(c.Scopes)
			s := &c.Sections
			if len(c.Scopes) > 0 && rapid.Bool().Draw(t, "in a scope") {
				s = &c.Scopes[rapid.IntRange(0, len(c.Scopes)-1).Draw(t, "scope")].Sections
			}
			name := rapid.SampledFrom(sectionNames).Draw(t, "section")
			if tweak := tweakSection[name]; tweak != nil && s.section(name) != nil && rapid.IntRange(0, 3).Draw(t, "tweak") > 0 {
				tweak(t, s)
			} else {
				drawSection[name](t, s, c.Code)
			}
		}
	}
	return o
}

// A change that is not listed permits nothing: over random facts no answer goes from not callable to ALLOW.
func TestWhatIsNotListedLoosensNothing(t *testing.T) {
	t.Parallel()
	var c comparison
	rapid.Check(t, func(t *rapid.T) {
		before := drawDocument(t)
		if rapid.Bool().Draw(t, "one country") {
			before.Countries = []Country{{Code: "FR", Sections: drawSections(t, "FR", 1)}}
		}
		after := change(t, before)
		old, now := before.Compile("1", known), after.Compile("2", known)
		if rapid.IntRange(0, 9).Draw(t, "no policy before") == 0 {
			old = nil
		}
		c.compare(t, old, now, 3000, union(codes(before), codes(after)), func() string {
			return fmt.Sprintf("before:\n%s\nafter:\n%s", before.Write(), after.Write())
		})
	})
	c.wantAll(t)
}

// Within one section too, with nothing beside it that would be listed, so that each rule of loosening stands alone.
func TestWhatIsNotListedInASectionLoosensNothing(t *testing.T) {
	t.Parallel()
	for _, name := range sectionNames {
		if name == "deadlines" { // checks do not read them
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c comparison
			rapid.Check(t, func(t *rapid.T) {
				for range 15 {
					before, after := drawSectionPair(t, name)
					c.compare(t, before.Compile("1", known), after.Compile("2", known), 300, []string{"FR", "FR", "FR", "FR", "GP"}, func() string {
						return fmt.Sprintf("before:\n%s\nafter:\n%s", before.Write(), after.Write())
					})
				}
			})
			c.wantAll(t)
		})
	}
}

// drawSectionPair draws two policies that differ in one section of France, or of callers at a scope there.
func drawSectionPair(t *rapid.T, name string) (before, after *Document) {
	var same, other Sections
	drawSection[name](t, &same, "FR")
	if beside := rapid.SampledFrom(sectionNames).Draw(t, "beside"); name == "service" || rapid.IntRange(0, 3).Draw(t, "with another") == 0 {
		if beside != name {
			drawSection[beside](t, &same, "FR")
		}
	}
	other = same
	if tweak := tweakSection[name]; tweak != nil && rapid.IntRange(0, 4).Draw(t, "tweak") > 0 {
		tweak(t, &other)
	} else {
		drawSection[name](t, &other, "FR")
	}
	return placed(rapid.IntRange(0, 9).Draw(t, "where"), same, other)
}

// placed puts two versions of sections into two policies: most often as the rules of France.
func placed(where int, same, other Sections) (before, after *Document) {
	of := func(code string, s Sections, scoped ...Scoped) *Document {
		return &Document{Countries: []Country{{Code: code, Sections: s, Scopes: scoped}}}
	}
	acme := Scoped{Scope: "acme", Sections: same}
	switch where {
	case 0:
		return of("FR", Sections{}, acme), of("FR", Sections{}, Scoped{Scope: "acme", Sections: other})
	case 1: // a scope gets rules of its own
		return of("FR", same), of("FR", same, Scoped{Scope: "acme", Sections: other})
	case 2: // or has them no longer
		return of("FR", same, Scoped{Scope: "acme", Sections: other}), of("FR", same)
	case 3: // a scope within a scope
		return of("FR", Sections{}, acme, Scoped{Scope: "acme/energy", Sections: same}),
			of("FR", Sections{}, acme, Scoped{Scope: "acme/energy", Sections: other})
	case 4: // a part of the country
		return of("FR", same), of("GP", same)
	}
	return of("FR", same), of("FR", other)
}

// comparison counts what became of answers under another policy.
type comparison struct{ looser, tighter, allowed int }

// compare decides about a number of random facts under both policies.
func (c *comparison) compare(t *rapid.T, old, now *policy.Policy, facts int, codes []string, both func() string) {
	listed := Loosens(old, now)
	if len(listed) > 0 {
		facts /= 20 // they only count
	}
	d := dice{rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "facts"), 0))}
	for range facts {
		f, at := d.facts(codes), d.time()
		was := policy.Decide(f, old, at).Verdict
		is := policy.Decide(f, now, at).Verdict
		switch {
		case is == policy.Allow && was != policy.Allow:
			c.looser++
			if len(listed) == 0 {
				t.Fatalf("verdict %d became ALLOW, and the change is not listed as loosening\n%s\nfacts: %+v\nat %v", was, both(), f, at)
			}
		case was == policy.Allow && is != policy.Allow:
			c.tighter++
		case is == policy.Allow:
			c.allowed++
		}
	}
}

// wantAll wants that the facts told the policies apart.
func (c *comparison) wantAll(t *testing.T) {
	t.Helper()
	t.Logf("%d answers became ALLOW, %d no longer are, %d stayed so", c.looser, c.tighter, c.allowed)
	if !t.Failed() && (c.looser == 0 || c.tighter == 0 || c.allowed == 0) {
		t.Error("the facts do not tell the policies apart")
	}
}

// A policy loosens nothing against itself.
func TestNoChangeLoosensNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		if got := Loosens(d.Compile("1", known), d.Compile("2", known)); len(got) > 0 {
			t.Fatalf("%+v\n%s", got, d.Write())
		}
	})
}

func TestLoosens(t *testing.T) {
	t.Parallel()
	const base = `consent: {required: true, counts: [{kind: permission, valid: 12 months}]}
opt_outs: {reach: brand}
lists: [{kind: registry, required: true, max_age_days: 31, overridden_by: [{kind: purchase, valid: 18 months}]}, {list: tps, max_age_days: 28}]
hours: {mon-fri: ["9:00-12:00", "14:00-18:00"], holidays: closed}
banned: [{scope: acme/energy}]
service: {permitted: false}`
	with := func(section, line string) string {
		var out []string
		for _, l := range strings.Split(base, "\n") {
			if strings.HasPrefix(l, section+":") {
				l = line
			}
			out = append(out, l)
		}
		return country("FR", out...)
	}
	compile := func(text string) *policy.Policy {
		d, err := Parse([]byte(text), known)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return d.Compile("", known)
	}
	old := compile(with("none", ""))
	for _, c := range []struct {
		name, after string
		want        []string
	}{
		{"nothing", with("none", ""), nil},
		{"no consent", with("consent", ""), []string{"FR: consent: no consent is required any more"}},
		{"valid longer", with("consent", "consent: {required: true, counts: [{kind: permission, valid: 13 months}]}"), []string{"FR: consent: more consents count, or for longer"}},
		{"valid without end", with("consent", "consent: {required: true, counts: [{kind: permission}]}"), []string{"FR: consent: more consents count, or for longer"}},
		{"more kinds", with("consent", "consent: {required: true, counts: [{kind: permission, valid: 1 year}, {kind: contract}]}"), []string{"FR: consent: more consents count, or for longer"}},
		{"valid shorter, in one form", with("consent", "consent: {required: true, counts: [{kind: permission, form: written, valid: 300 days}]}"), nil},
		{"reach narrowed", with("opt_outs", "opt_outs: {reach: scope}"), []string{"FR: opt_outs: opt-outs count for fewer scopes"}},
		{"reach widened", with("opt_outs", "opt_outs: {reach: everyone}"), nil},
		{"permission lifts", with("opt_outs", "opt_outs: {reach: everyone, permission_lifts: true}"), []string{"FR: opt_outs: a permission lifts an opt-out"}},
		{"override by another kind", with("lists", "lists: [{kind: registry, required: true, max_age_days: 31, overridden_by: [{kind: inquiry}]}, {list: tps, max_age_days: 28}]"),
			[]string{"FR: lists: lists of kind registry: more consents override an entry, or for longer"}},
		{"a larger age", with("lists", "lists: [{kind: registry, required: true, max_age_days: 32}, {list: tps, max_age_days: 28}]"), []string{"FR: lists: lists of kind registry: may be older"}},
		{"not required", with("lists", "lists: [{kind: registry, max_age_days: 31}, {list: tps, max_age_days: 28}]"), []string{"FR: lists: lists of kind registry: not required any more"}},
		{"no rules for lists", with("lists", ""), []string{
			"FR: lists: lists of kind registry: the rule for it ends",
			"FR: lists: lists of kind registry: not required any more",
			"FR: lists: lists of kind registry: may be older",
			"FR: lists: list tps: the rule for it ends",
			"FR: lists: list tps: may be older",
		}},
		{"another list of the kind counts", with("lists", "lists: [{kind: registry, required: true, max_age_days: 28}]"), []string{
			"FR: lists: list tps: the rule for it ends", // as a litigator list
			"FR: lists: list tps: may be older",
			"FR: lists: lists of kind registry: other lists are enough",
		}},
		{"a younger age, no override", with("lists", "lists: [{kind: registry, required: true, max_age_days: 30}, {list: tps, required: true, max_age_days: 28}]"), nil},
		{"no hours", with("hours", "hours: not checked"), []string{"FR: hours: calling hours are not checked any more"}},
		{"wider hours", with("hours", `hours: {mon-fri: ["9:00-12:01"], holidays: closed}`), []string{"FR: hours: calls are permitted at more times"}},
		{"another day", with("hours", `hours: {sat: ["9:00-10:00"], holidays: closed}`), []string{"FR: hours: calls are permitted at more times"}},
		{"holidays ignored", with("hours", `hours: {mon-fri: ["9:00-10:00"]}`), []string{"FR: hours: calls are permitted on public holidays"}},
		{"regional ones ignored", with("hours", `hours: {mon-fri: ["9:00-10:00"], holidays: closed, regional_holidays: ignored}`), []string{"FR: hours: calls are permitted on regional holidays"}},
		{"narrower hours, in two parts", with("hours", `hours: {mon-thu: ["9:00-10:00", "10:00-12:00"], holidays: closed}`), nil},
		{"ban removed", with("banned", ""), []string{"FR: banned: the ban of acme/energy ends, is narrower, or has more exceptions"}},
		{"ban narrowed", with("banned", "banned: [{scope: acme/energy/winter}]"), []string{"FR: banned: the ban of acme/energy ends, is narrower, or has more exceptions"}},
		{"exceptions", with("banned", "banned: [{scope: acme/energy, except: [{kind: contract}]}]"), []string{"FR: banned: the ban of acme/energy ends, is narrower, or has more exceptions"}},
		{"ban widened", with("banned", "banned: [{scope: acme}]"), nil},
		{"service permitted", with("service", "service: {permitted: true}"), []string{"FR: service: calls for service are permitted without consent, at any hour"}},
		{"one scope", strings.Replace(with("none", ""), "\n    service:", "\n    scopes: {acme: {consent: {required: false}}}\n    service:", 1), []string{"FR at acme: consent: no consent is required any more"}},
		{"a country more", with("none", "") + "  DE: {consent: {required: true, counts: [{kind: permission}]}}\n", []string{"DE: named: calls are permitted within its rules"}},
		{"default allow", strings.Replace(with("none", ""), "unknown", "allow", 1), []string{"countries not named: default: calls to countries that are not named are permitted"}},
		{"no longer named", "format: 1\ndefault: unknown\n", nil},
	} {
		var got []string
		for _, change := range Loosens(old, compile(c.after)) {
			got = append(got, change.Where()+": "+change.What)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	gone := Loosens(old, compile("format: 1\ndefault: allow\n"))
	if len(gone) < 7 || !slices.ContainsFunc(gone, func(c Change) bool { return c.Where() == "FR" && strings.HasPrefix(c.What, "no longer named") }) {
		t.Errorf("a country that is no longer named, by default allowed: %s", fmt.Sprint(gone))
	}
	if got := Loosens(nil, old); len(got) != 1 || got[0].Section != "lists" {
		t.Errorf("the first policy: %+v, want its overridden lists", got)
	}
}

// A period that counts as no longer ends no later, from whatever day it counts.
func TestNoLongerEndsNoLater(t *testing.T) {
	t.Parallel()
	var periods []policy.Period
	for _, months := range []int{0, 1, 2, 12} {
		for _, days := range []int{0, 1, 27, 28, 29, 30, 31, 32, 59, 62} {
			periods = append(periods, policy.Period{Months: months, Days: days})
		}
	}
	for _, a := range periods {
		for _, b := range periods {
			for day := 0; noLonger(a, b) && day < 4*366; day++ {
				if from := noon.AddDate(0, 0, day); a.After(from).After(b.After(from)) {
					t.Fatalf("%+v ends later than %+v from %v", a, b, from)
				}
			}
		}
	}
}
