package policy

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/phone"
)

// Facts and policies at random, in a world that is small enough for them to meet.

var (
	someScopes  = []Scope{"", "acme", "acme/telecom", "acme/telecom/winter", "acme/energy", "other"}
	someRegions = []string{"US", "CA", "FR"}
	someZones   = []*Zone{NewZone(time.UTC), NewZone(time.FixedZone("east", 9*60*60)), NewZone(time.FixedZone("west", -5*60*60-30*60))}
)

func jurisdiction(code string) phone.RegionSet {
	set, err := phone.Jurisdiction(code)
	if err != nil {
		panic(err)
	}
	return set
}

var (
	genScope  = rapid.SampledFrom(someScopes)
	genPeriod = rapid.SampledFrom([]Period{{}, {Months: 3}, {Months: 12}, {Days: 31}})
	genTime   = rapid.Custom(func(t *rapid.T) time.Time {
		return noon.Add(time.Duration(rapid.IntRange(-20*30, 3).Draw(t, "days")) * 24 * time.Hour)
	})
)

func oneOf[T any](values ...T) *rapid.Generator[T] { return rapid.SampledFrom(values) }

var genCounts = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Counts {
	return Counts{
		Kind: oneOf(Permission, Purchase, Inquiry, Contract).Draw(t, "kind"), Form: oneOf(FormUnspecified, FormUnspecified, Written).Draw(t, "form"),
		Valid: genPeriod.Draw(t, "valid"), AfterEnd: genPeriod.Draw(t, "after end"),
	}
}), 0, 3)

var genRule = rapid.Custom(func(t *rapid.T) *Rule {
	r := &Rule{
		Consent: ConsentRule{Required: rapid.Bool().Draw(t, "required"), Counts: genCounts.Draw(t, "counts")},
		OptOuts: OptOutRule{
			Reach: oneOf(ReachScope, ReachBrand, ReachEveryone).Draw(t, "reach"), PermissionLifts: rapid.Bool().Draw(t, "lifts"),
			Form: oneOf(FormUnspecified, Written).Draw(t, "form"), Valid: genPeriod.Draw(t, "valid"),
		},
		Lists: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ListRule {
			return ListRule{
				Name: oneOf("", "", "a").Draw(t, "list"), Kind: oneOf(ListRegistry, ListSuppression).Draw(t, "kind"), Required: rapid.Bool().Draw(t, "required"),
				MaxAgeDays: oneOf(0, 31).Draw(t, "age"), Overridden: genCounts.Draw(t, "overridden"),
			}
		}), 0, 2).Draw(t, "lists"),
		Service: ServiceRule{Permitted: rapid.Bool().Draw(t, "service")},
	}
	if rapid.Bool().Draw(t, "hours") {
		r.Hours = &Hours{Open: allDays(oneOf(Span{8 * 60, 21 * 60}, Span{13 * 60, 14 * 60}, Span{0, 24 * 60}).Draw(t, "open"))}
	}
	if rapid.IntRange(0, 3).Draw(t, "bans") == 0 {
		r.Banned = []Ban{{Scope: genScope.Draw(t, "banned"), Except: genCounts.Draw(t, "except")}}
	}
	return r
})

var genPolicy = rapid.Custom(func(t *rapid.T) *Policy {
	p := &Policy{AllowUnnamed: rapid.Bool().Draw(t, "default")}
	for _, code := range someRegions {
		if rapid.IntRange(0, 3).Draw(t, code) == 0 {
			continue
		}
		c := Country{Code: code, Regions: jurisdiction(code), Rule: genRule.Draw(t, "rule")}
		c.Rule.Regions = c.Regions
		for _, scope := range rapid.SliceOfNDistinct(oneOf(someScopes[1:]...), 0, 2, rapid.ID).Draw(t, "scoped") {
			r := genRule.Draw(t, "scoped rule")
			r.Scope, r.Regions = scope, c.Regions
			c.Scoped = append(c.Scoped, r)
		}
		p.Countries = append(p.Countries, c)
	}
	return p
})

var genOptOut = rapid.Custom(func(t *rapid.T) Record {
	r := Record{Kind: RecordOptOut, Scope: genScope.Draw(t, "scope"), ReceivedAt: genTime.Draw(t, "received")}
	if rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
		r.ExpiresAt = genTime.Draw(t, "expires")
	}
	return r
})

var genConsent = rapid.Custom(func(t *rapid.T) Record {
	r := Record{Kind: RecordConsent, Scope: genScope.Draw(t, "scope"), ReceivedAt: genTime.Draw(t, "obtained")}
	r.Consent = &Consent{
		Kind: oneOf(Permission, Permission, Purchase, Inquiry, Contract).Draw(t, "kind"), Form: oneOf(FormUnspecified, Oral, Written).Draw(t, "form"),
		MayLift: rapid.Bool().Draw(t, "may lift"),
	}
	if rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
		r.ExpiresAt = genTime.Draw(t, "expires")
	}
	if rapid.IntRange(0, 5).Draw(t, "appointment") == 0 {
		r.Consent.From, r.Consent.Until = noon.Add(-time.Hour), noon.Add(time.Hour)
	}
	return r
})

var genMembership = rapid.Custom(func(t *rapid.T) Membership {
	l := &List{
		Name: oneOf("a", "b", "c").Draw(t, "name"), Kind: oneOf(ListRegistry, ListSuppression).Draw(t, "kind"), Loaded: rapid.IntRange(0, 5).Draw(t, "loaded") > 0,
		Jurisdiction: jurisdiction(oneOf(someRegions...).Draw(t, "of")), MaxAgeDays: oneOf(0, 31).Draw(t, "age"),
		SnapshotDate: DateOf(noon) - Date(rapid.IntRange(0, 40).Draw(t, "days")),
	}
	m := Membership{List: l, Covered: rapid.IntRange(0, 5).Draw(t, "covered") > 0, Damaged: rapid.IntRange(0, 9).Draw(t, "damaged") == 0}
	m.Listed = l.Loaded && rapid.IntRange(0, 3).Draw(t, "listed") == 0
	return m
})

// genFacts are facts of a number of one or two countries.
var genFacts = rapid.Custom(func(t *rapid.T) *Facts {
	f := &Facts{
		Scope: genScope.Draw(t, "caller"), Purpose: oneOf(Marketing, Marketing, Service).Draw(t, "purpose"),
		Damaged: rapid.IntRange(0, 9).Draw(t, "damaged") == 0,
		Place:   Place{Zones: rapid.SliceOfN(oneOf(someZones...), 0, 2).Draw(t, "zones")},
		Records: append(rapid.SliceOfN(genOptOut, 0, 2).Draw(t, "opt-outs"), rapid.SliceOfN(genConsent, 0, 3).Draw(t, "consents")...),
		Lists:   rapid.SliceOfN(genMembership, 0, 3).Draw(t, "lists"),
	}
	for _, code := range rapid.SliceOfN(oneOf(someRegions...), 1, 2).Draw(t, "regions") {
		f.Regions = f.Regions.Union(jurisdiction(code))
	}
	for i := range f.Lists {
		f.Lists[i].Outside = !f.Lists[i].List.SpeaksFor(f.Regions)
		f.Lists[i].Covered = f.Lists[i].Covered && !f.Lists[i].Outside
	}
	return f
})

// with is f with other records and lists, and no room shared.
func (f *Facts) with(records []Record, lists []Membership) *Facts {
	c := *f
	c.Records, c.Lists, c.reasons, c.grounds, c.rules = records, lists, nil, nil, nil
	return &c
}

// check runs a property over random facts, policies (at times none) and changes of the facts.
func check(t *testing.T, property func(*rapid.T, *Policy, *Facts)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		var p *Policy
		if rapid.IntRange(0, 5).Draw(t, "policy") > 0 {
			p = genPolicy.Draw(t, "policy")
		}
		property(t, p, genFacts.Draw(t, "facts"))
	})
}

func TestAnOptOutNeverAllows(t *testing.T) {
	check(t, func(t *rapid.T, p *Policy, f *Facts) {
		before := Decide(f, p, noon).Verdict
		after := Decide(f.with(append(slices.Clone(f.Records), genOptOut.Draw(t, "opt-out")), f.Lists), p, noon).Verdict
		if before != Allow && after == Allow {
			t.Fatalf("an opt-out turned %d into ALLOW", before)
		}
	})
}

// Unless a later permission lifts it, an opt-out in force at or above the caller blocks, whatever the policy.
func TestAnOptOutInForceBlocks(t *testing.T) {
	check(t, func(t *rapid.T, p *Policy, f *Facts) {
		r := genOptOut.Draw(t, "opt-out")
		lifted := slices.ContainsFunc(f.Records, func(c Record) bool {
			return c.Kind == RecordConsent && c.Consent.Kind == Permission && c.Consent.MayLift && c.ReceivedAt.After(r.ReceivedAt)
		})
		if !r.InForce(noon) || !r.Scope.Blocks(f.Scope) || lifted {
			t.Skip("it does not stand against the caller")
		}
		if d := Decide(f.with(append(slices.Clone(f.Records), r), f.Lists), p, noon); d.Verdict != Block {
			t.Fatalf("verdict %d, want BLOCK", d.Verdict)
		}
	})
}

func TestRemovingAConsentNeverAllows(t *testing.T) {
	check(t, func(t *rapid.T, p *Policy, f *Facts) {
		if len(f.Records) == 0 {
			t.Skip("no record")
		}
		i := rapid.IntRange(0, len(f.Records)-1).Draw(t, "removed")
		if f.Records[i].Kind != RecordConsent {
			t.Skip("no consent")
		}
		before := Decide(f, p, noon).Verdict
		if after := Decide(f.with(slices.Delete(slices.Clone(f.Records), i, i+1), f.Lists), p, noon).Verdict; before != Allow && after == Allow {
			t.Fatalf("without a consent %d became ALLOW", before)
		}
	})
}

func TestAnEntryNeverAllows(t *testing.T) {
	check(t, func(t *rapid.T, p *Policy, f *Facts) {
		if len(f.Lists) == 0 {
			t.Skip("no list")
		}
		lists := slices.Clone(f.Lists)
		i := rapid.IntRange(0, len(lists)-1).Draw(t, "list")
		lists[i].Listed = true
		before := Decide(f, p, noon).Verdict
		if after := Decide(f.with(f.Records, lists), p, noon).Verdict; before != Allow && after == Allow {
			t.Fatalf("an entry turned %d into ALLOW", before)
		}
	})
}

// Doubt about what could block never yields ALLOW. About a list that does not speak for the number it changes nothing.
func TestDoubtNeverAllows(t *testing.T) {
	check(t, func(t *rapid.T, p *Policy, f *Facts) {
		doubtful := f.with(f.Records, slices.Clone(f.Lists))
		before := Decide(f, p, noon).Verdict
		outside := false
		if kind := rapid.IntRange(0, 4).Draw(t, "doubt"); kind == 0 {
			doubtful.Damaged = true
		} else {
			if len(f.Lists) == 0 {
				t.Skip("no list")
			}
			m := &doubtful.Lists[rapid.IntRange(0, len(f.Lists)-1).Draw(t, "list")]
			if m.Listed {
				t.Skip("an entry is no doubt")
			}
			l := *m.List
			m.List = &l
			outside = m.Outside && kind > 1
			switch kind {
			case 1:
				m.Damaged = true
			case 2:
				l.Loaded = false
			case 3:
				m.Covered = false
			case 4:
				l.SnapshotDate, l.MaxAgeDays = DateOf(noon)-32, 31
			}
		}
		if after := Decide(doubtful, p, noon).Verdict; after == Allow && (!outside || before != Allow) {
			t.Fatalf("%d became ALLOW", before)
		}
	})
}

// A service call is answered ALLOW wherever a marketing call is: no purpose is stricter than none stated.
func TestMarketingIsTheStrictestPurpose(t *testing.T) {
	check(t, func(t *rapid.T, p *Policy, f *Facts) {
		marketing, service := f.with(f.Records, f.Lists), f.with(f.Records, f.Lists)
		marketing.Purpose, service.Purpose = Marketing, Service
		if m, s := Decide(marketing, p, noon).Verdict, Decide(service, p, noon).Verdict; severity[s] > severity[m] {
			t.Fatalf("marketing %d, service %d", m, s)
		}
	})
}

// A caller that names no scope is answered ALLOW only where every scope would be.
func TestNoScopeIsTheStrictestScope(t *testing.T) {
	check(t, func(t *rapid.T, p *Policy, f *Facts) {
		if len(f.Lists) > 0 {
			t.Skip("lists are those of one caller")
		}
		none, one := f.with(f.Records, nil), f.with(f.Records, nil)
		none.Scope, one.Scope = "", oneOf(someScopes[1:]...).Draw(t, "scope")
		if n, o := Decide(none, p, noon).Verdict, Decide(one, p, noon).Verdict; n == Allow && o != Allow {
			t.Fatalf("no scope is ALLOW, %q is %d", one.Scope, o)
		}
	})
}

// Until ValidUntil nothing changes but by an event, and a NotNow changes at OpensAt at the latest.
func TestAnswersHoldUntilTheySayTheyMayChange(t *testing.T) {
	check(t, func(t *rapid.T, p *Policy, f *Facts) {
		if slices.ContainsFunc(f.Records, func(r Record) bool { return r.Kind == RecordConsent && noon.Before(r.ReceivedAt) }) {
			t.Skip("no consent that is to come is recorded")
		}
		d := Decide(f, p, noon)
		verdict, until, opens := d.Verdict, d.ValidUntil, d.OpensAt
		step := rapid.Int64Range(1, int64(40*24*time.Hour)).Draw(t, "later")
		at := noon.Add(time.Duration(step))
		if !until.IsZero() && !at.Before(until) {
			at = until.Add(-1)
		}
		if got := Decide(f, p, at).Verdict; got != verdict {
			t.Fatalf("%d until %v, but %d at %v", verdict, until, got, at)
		}
		if verdict == NotNow && !opens.IsZero() && opens.Before(until) {
			t.Fatalf("opens at %v, and valid until %v", opens, until)
		}
	})
}

// Where the clock may be ahead, ALLOW is answered only where every time that may be the true one would be.
func TestAClockThatMayBeAheadAllowsNothing(t *testing.T) {
	check(t, func(t *rapid.T, p *Policy, f *Facts) {
		if slices.ContainsFunc(f.Records, func(r Record) bool { return r.Kind == RecordConsent && !r.ReceivedAt.Before(noon.Add(-40*aDay)) }) {
			t.Skip("a consent was obtained at a time that may be the true one")
		}
		ahead := time.Duration(rapid.Int64Range(1, int64(39*aDay)).Draw(t, "ahead"))
		at := noon.Add(-time.Duration(rapid.Int64Range(0, int64(ahead)).Draw(t, "of it")))
		doubtful := f.with(f.Records, f.Lists)
		doubtful.Ahead = ahead
		if got := Decide(doubtful, p, noon).Verdict; got == Allow && Decide(f, p, at).Verdict != Allow {
			t.Fatalf("ALLOW by a clock that may be %v ahead, and not at %v", ahead, at)
		}
	})
}

// A wider reach of opt-outs permits nothing, wherever a later permission that lifts was given.
func TestAWiderReachNeverAllows(t *testing.T) {
	for _, optOut := range someScopes {
		for _, permission := range someScopes {
			for _, caller := range someScopes {
				var before Verdict
				for reach := ReachScope; reach <= ReachEveryone; reach++ {
					rule := Rule{OptOuts: OptOutRule{Reach: reach, PermissionLifts: true}}
					f := Facts{Scope: caller, Records: []Record{optOutOf(optOut, 2*aDay), lifting(permission, aDay)}}
					after := decide(&f, &rule, noon).Verdict
					if reach > ReachScope && before != Allow && after == Allow {
						t.Errorf("an opt-out at %q, lifted at %q: reach %d turned %d into ALLOW for %q", optOut, permission, reach, before, caller)
					}
					before = after
				}
			}
		}
	}
}

// The order in which facts come decides nothing.
func TestOrderOfFactsDecidesNothing(t *testing.T) {
	check(t, func(t *rapid.T, p *Policy, f *Facts) {
		d := Decide(f, p, noon)
		verdict, cause, until := d.Verdict, d.Cause, d.ValidUntil
		turned := f.with(slices.Clone(f.Records), slices.Clone(f.Lists))
		slices.Reverse(turned.Records)
		slices.Reverse(turned.Lists)
		if got := Decide(turned, p, noon); got.Verdict != verdict || got.Cause != cause || !got.ValidUntil.Equal(until) {
			t.Fatalf("%d %d %v, in the other order %d %d %v", verdict, cause, until, got.Verdict, got.Cause, got.ValidUntil)
		}
	})
}
