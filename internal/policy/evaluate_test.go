package policy

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Rules as presets have them, small. Noon on 2026-09-09 is a Wednesday.

func allDays(spans ...Span) (open [7][]Span) {
	for i := range open {
		open[i] = spans
	}
	return open
}

var (
	openAtNoon   = &Hours{Open: allDays(Span{8 * 60, 21 * 60})}
	closedAtNoon = &Hours{Open: allDays(Span{14 * 60, 20 * 60})}
	needsConsent = ConsentRule{Required: true, Counts: []Counts{{Kind: Permission, Valid: Period{Months: 12}}, {Kind: Contract}}}
	registryRule = ListRule{Kind: ListRegistry, Required: true, MaxAgeDays: 31, Overridden: []Counts{{Kind: Purchase, Valid: Period{Months: 18}}}}
	utc          = Place{Zones: []*Zone{NewZone(time.UTC)}}
)

// policyOf is a policy of one rule, for every number of the United States.
func policyOf(t *testing.T, r Rule) *Policy {
	r.Name, r.Regions = "US", regions(t, "US")
	return &Policy{Countries: []Country{{Code: "US", Regions: r.Regions, Rule: &r}}}
}

// consentAt is a consent that was obtained at a time before noon.
func consentAt(scope Scope, kind ConsentKind, ago time.Duration) Record {
	return Record{Kind: RecordConsent, Scope: scope, ReceivedAt: noon.Add(-ago), Consent: &Consent{Kind: kind}}
}

func lifting(scope Scope, ago time.Duration) Record {
	r := consentAt(scope, Permission, ago)
	r.Consent.MayLift = true
	return r
}

func optOutOf(scope Scope, ago time.Duration) Record {
	return Record{Kind: RecordOptOut, Scope: scope, ReceivedAt: noon.Add(-ago)}
}

func registry(m Membership) Membership {
	l := *m.List
	l.Kind = ListRegistry
	m.List = &l
	return m
}

const aDay = 24 * time.Hour

func TestDecideByRule(t *testing.T) {
	appointment := consentAt("acme", Permission, aDay)
	appointment.Consent.From, appointment.Consent.Until = noon.Add(-time.Hour), noon.Add(time.Hour)
	later := consentAt("acme", Permission, aDay)
	later.Consent.From, later.Consent.Until = noon.Add(time.Hour), noon.Add(90*time.Minute)
	endsSoon := consentAt("acme", Permission, aDay)
	endsSoon.ExpiresAt = noon.Add(time.Hour)
	lapsed, lapses, toCome := consentAt("acme", Permission, 366*aDay), consentAt("acme", Permission, 365*aDay-time.Minute), consentAt("acme", Permission, -1)
	lapsed.Consent.From, lapsed.Consent.Until = noon.Add(-time.Hour), noon.Add(time.Hour)
	lapses.Consent, toCome.Consent = lapsed.Consent, lapsed.Consent
	elsewhere, over := appointment, appointment
	elsewhere.Scope, over.ExpiresAt = "other", noon
	ended := consentAt("acme", Contract, 900*aDay)
	ended.ExpiresAt = noon.AddDate(0, -17, 0)
	for _, c := range []struct {
		name    string
		rule    Rule
		facts   Facts
		want    Verdict
		cause   Cause
		reasons []ReasonKind
		until   time.Duration // from noon; 0: never
		opens   time.Duration
	}{
		// Banned sectors.
		{name: "banned", rule: Rule{Banned: []Ban{{Scope: "acme"}}}, want: Block, reasons: []ReasonKind{BannedSector}},
		{name: "banned above", rule: Rule{Banned: []Ban{{}}}, want: Block, reasons: []ReasonKind{BannedSector}},
		{name: "another sector is banned", rule: Rule{Banned: []Ban{{Scope: "acme/energy"}}}, want: Allow, reasons: []ReasonKind{HoursNotChecked}},
		{name: "banned with consent", rule: Rule{Banned: []Ban{{Scope: "acme"}}, Consent: needsConsent},
			facts: Facts{Records: []Record{consentAt("acme", Permission, aDay)}}, want: Block, reasons: []ReasonKind{BannedSector}},
		{name: "banned, with a contract", rule: Rule{Banned: []Ban{{Scope: "acme", Except: []Counts{{Kind: Contract}}}}},
			facts: Facts{Records: []Record{consentAt("acme", Contract, aDay)}}, want: Allow, reasons: []ReasonKind{ConsentCounts, HoursNotChecked}},
		{name: "banned before an opt-out", rule: Rule{Banned: []Ban{{Scope: "acme"}}},
			facts: Facts{Records: []Record{optOutOf("acme", 0)}}, want: Block, reasons: []ReasonKind{BannedSector}},

		// Opt-outs, and what lifts them.
		{name: "an older permission lifts nothing", rule: Rule{OptOuts: OptOutRule{PermissionLifts: true}},
			facts: Facts{Records: []Record{lifting("acme", 2*aDay), optOutOf("acme", aDay)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "nor does one of the same time", rule: Rule{OptOuts: OptOutRule{PermissionLifts: true}},
			facts: Facts{Records: []Record{lifting("acme", aDay), optOutOf("acme", aDay)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "a later permission lifts", rule: Rule{OptOuts: OptOutRule{PermissionLifts: true}},
			facts: Facts{Records: []Record{optOutOf("acme", aDay), lifting("acme", aDay-1)}}, want: Allow, reasons: []ReasonKind{ConsentCounts, HoursNotChecked}},
		{name: "but not where the rule does not say so", facts: Facts{Records: []Record{optOutOf("acme", 2*aDay), lifting("acme", aDay)}},
			want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "nor without evidence", rule: Rule{OptOuts: OptOutRule{PermissionLifts: true}},
			facts: Facts{Records: []Record{optOutOf("acme", 2*aDay), consentAt("acme", Permission, aDay)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "nor at a wider scope than the opt-out", rule: Rule{OptOuts: OptOutRule{PermissionLifts: true}},
			facts: Facts{Records: []Record{optOutOf("acme", 2*aDay), lifting("", aDay)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "a narrower permission lifts for its scope", rule: Rule{OptOuts: OptOutRule{PermissionLifts: true}},
			facts: Facts{Scope: "acme/telecom", Records: []Record{optOutOf("acme", 2*aDay), lifting("acme/telecom", aDay)}},
			want:  Allow, reasons: []ReasonKind{ConsentCounts, HoursNotChecked}},
		{name: "and for no other", rule: Rule{OptOuts: OptOutRule{PermissionLifts: true}},
			facts: Facts{Records: []Record{optOutOf("acme", 2*aDay), lifting("acme/telecom", aDay)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "a permission lifts as long as it counts", rule: Rule{OptOuts: OptOutRule{PermissionLifts: true, Valid: Period{Days: 30}}},
			facts: Facts{Records: []Record{optOutOf("acme", 31*aDay), lifting("acme", 29*aDay)}}, want: Allow, until: aDay,
			reasons: []ReasonKind{ConsentCounts, HoursNotChecked}},
		{name: "one opt-out of two is lifted", rule: Rule{OptOuts: OptOutRule{PermissionLifts: true}},
			facts: Facts{Records: []Record{optOutOf("acme", 2*aDay), lifting("acme", aDay), optOutOf("acme", 0)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "a permission of another form lifts nothing", rule: Rule{OptOuts: OptOutRule{PermissionLifts: true, Form: Written}},
			facts: Facts{Records: []Record{optOutOf("acme", 2*aDay), lifting("acme", aDay)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "the opt-out of a part, lifted at another part by brand", rule: Rule{OptOuts: OptOutRule{Reach: ReachBrand, PermissionLifts: true}},
			facts: Facts{Scope: "acme/energy", Records: []Record{optOutOf("acme/telecom", 2*aDay), lifting("acme/energy", aDay)}},
			want:  Allow, reasons: []ReasonKind{ConsentCounts, HoursNotChecked}},
		{name: "but not by a permission that is wider than the opt-out, at its own part", rule: Rule{OptOuts: OptOutRule{Reach: ReachBrand, PermissionLifts: true}},
			facts: Facts{Scope: "acme/telecom", Records: []Record{optOutOf("acme/telecom", 2*aDay), lifting("acme", aDay)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "nor in the brand, by one for everyone", rule: Rule{OptOuts: OptOutRule{Reach: ReachEveryone, PermissionLifts: true}},
			facts: Facts{Scope: "acme/energy", Records: []Record{optOutOf("acme/telecom", 2*aDay), lifting("", aDay)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "a permission for everyone, to another brand", rule: Rule{OptOuts: OptOutRule{Reach: ReachEveryone, PermissionLifts: true}},
			facts: Facts{Scope: "other", Records: []Record{optOutOf("acme/telecom", 2*aDay), lifting("", aDay)}}, want: Allow, reasons: []ReasonKind{ConsentCounts, HoursNotChecked}},
		{name: "ends, by a clock that may be ahead", facts: Facts{Ahead: time.Hour, Records: []Record{optOutAt("acme", -30*time.Minute)}}, want: Block,
			reasons: []ReasonKind{OptedOut}, until: 30 * time.Minute},
		{name: "beside the caller, by brand", rule: Rule{OptOuts: OptOutRule{Reach: ReachBrand}},
			facts: Facts{Scope: "acme/energy", Records: []Record{optOutOf("acme/telecom", 0)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "another brand", rule: Rule{OptOuts: OptOutRule{Reach: ReachBrand}},
			facts: Facts{Records: []Record{optOutOf("other/telecom", 0)}}, want: Allow, reasons: []ReasonKind{HoursNotChecked}},
		{name: "another brand, for everyone", rule: Rule{OptOuts: OptOutRule{Reach: ReachEveryone}},
			facts: Facts{Records: []Record{optOutOf("other/telecom", 0)}}, want: Block, reasons: []ReasonKind{OptedOut}},

		// A consent that is required.
		{name: "no consent", rule: Rule{Consent: needsConsent}, want: Block, reasons: []ReasonKind{ConsentRequired}},
		{name: "a consent", rule: Rule{Consent: needsConsent}, facts: Facts{Records: []Record{consentAt("acme", Permission, 11*30*aDay)}},
			want: Allow, reasons: []ReasonKind{ConsentCounts, HoursNotChecked}, until: noon.AddDate(0, 0, -330).AddDate(1, 0, 0).Sub(noon)},
		{name: "an old consent", rule: Rule{Consent: needsConsent}, facts: Facts{Records: []Record{consentAt("acme", Permission, 13*31*aDay)}},
			want: Block, reasons: []ReasonKind{ConsentRequired}},
		{name: "a consent of a kind that does not count", rule: Rule{Consent: needsConsent},
			facts: Facts{Records: []Record{consentAt("acme", Purchase, aDay)}}, want: Block, reasons: []ReasonKind{ConsentRequired}},
		{name: "a consent for everyone", rule: Rule{Consent: needsConsent}, facts: Facts{Records: []Record{consentAt("", Contract, aDay)}},
			want: Allow, reasons: []ReasonKind{ConsentCounts, HoursNotChecked}},
		{name: "a consent for a part", rule: Rule{Consent: needsConsent}, facts: Facts{Records: []Record{consentAt("acme/telecom", Contract, aDay)}},
			want: Block, reasons: []ReasonKind{ConsentRequired}},
		{name: "an opt-out beats a consent", rule: Rule{Consent: needsConsent},
			facts: Facts{Records: []Record{optOutOf("acme", 2*aDay), consentAt("acme", Contract, aDay)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "no consent that can be read", rule: Rule{Consent: needsConsent}, facts: Facts{Damaged: true}, want: Unknown, cause: DataDamaged,
			reasons: []ReasonKind{Damage}},
		{name: "no consent, and listed", rule: Rule{Consent: needsConsent}, facts: Facts{Lists: []Membership{listed()}},
			want: Block, reasons: []ReasonKind{ConsentRequired}},
		{name: "a consent of a form that does not count", rule: Rule{Consent: ConsentRule{Required: true, Counts: []Counts{{Kind: Permission, Form: Written}}}},
			facts: Facts{Records: []Record{consentAt("acme", Permission, aDay)}}, want: Block, reasons: []ReasonKind{ConsentRequired}},
		{name: "a consent to come", rule: Rule{Consent: needsConsent}, facts: Facts{Records: []Record{consentAt("acme", Permission, -1)}},
			want: Block, reasons: []ReasonKind{ConsentRequired}},
		{name: "a consent that says when it ends", rule: Rule{Consent: needsConsent}, facts: Facts{Records: []Record{endsSoon}},
			want: Allow, reasons: []ReasonKind{ConsentCounts, HoursNotChecked}, until: time.Hour},
		{name: "a contract that ended, where it counts on",
			rule:  Rule{Consent: ConsentRule{Required: true, Counts: []Counts{{Kind: Contract, AfterEnd: Period{Months: 18}}}}},
			facts: Facts{Records: []Record{ended}}, want: Allow, reasons: []ReasonKind{ConsentCounts, HoursNotChecked},
			until: noon.AddDate(0, 1, 0).Sub(noon)},

		// Lists.
		{name: "listed", rule: Rule{Lists: []ListRule{registryRule}}, facts: Facts{Lists: []Membership{registry(listed())}}, want: Block,
			reasons: []ReasonKind{Listed}},
		{name: "clear, with a purchase", rule: Rule{Lists: []ListRule{registryRule}},
			facts: Facts{Lists: []Membership{registry(fresh(0))}, Records: []Record{consentAt("acme", Purchase, aDay)}},
			want:  Allow, reasons: []ReasonKind{ListClear, HoursNotChecked}, until: 32*aDay - 12*time.Hour},
		{name: "no list that is required", rule: Rule{Lists: []ListRule{registryRule}}, facts: Facts{Lists: []Membership{cleared()}}, want: Unknown,
			cause: NotLoaded, reasons: []ReasonKind{ListNotLoaded}},
		{name: "a list of another country is no such list", rule: Rule{Lists: []ListRule{registryRule}}, want: Unknown, cause: NotLoaded,
			facts:   Facts{Lists: []Membership{{List: &List{Kind: ListRegistry, Loaded: true, Jurisdiction: regions(t, "FR"), SnapshotDate: DateOf(noon)}, Outside: true}}},
			reasons: []ReasonKind{ListNotLoaded}},
		{name: "a list required by name, outside its jurisdiction", rule: Rule{Lists: []ListRule{{Name: "clear", Required: true}}}, want: Unknown,
			cause: NotCovered, facts: Facts{Lists: []Membership{outside(Membership{List: cleared().List})}}, reasons: []ReasonKind{ListNotCovering}},
		{name: "too old for the rule", rule: Rule{Lists: []ListRule{{Kind: ListRegistry, MaxAgeDays: 31}}},
			facts: Facts{Lists: []Membership{registry(Membership{List: &List{Loaded: true, SnapshotDate: DateOf(noon) - 32}, Covered: true})}},
			want:  Unknown, cause: StaleList, reasons: []ReasonKind{ListStale}},
		{name: "the smaller of two ages holds", rule: Rule{Lists: []ListRule{{Kind: ListRegistry, MaxAgeDays: 9}}},
			facts: Facts{Lists: []Membership{registry(fresh(31))}}, want: Allow, reasons: []ReasonKind{ListClear, HoursNotChecked}, until: 10*aDay - 12*time.Hour},
		{name: "a rule by name, before one by kind", rule: Rule{Lists: []ListRule{{Kind: ListRegistry, MaxAgeDays: 1}, {Name: "fresh", MaxAgeDays: 9}}},
			facts: Facts{Lists: []Membership{registry(fresh(0))}}, want: Allow, reasons: []ReasonKind{ListClear, HoursNotChecked}, until: 10*aDay - 12*time.Hour},
		{name: "of two rules by kind the first", rule: Rule{Lists: []ListRule{{Kind: ListRegistry, MaxAgeDays: 9}, {Kind: ListRegistry, MaxAgeDays: 1}}},
			facts: Facts{Lists: []Membership{registry(fresh(0))}}, want: Allow, reasons: []ReasonKind{ListClear, HoursNotChecked}, until: 10*aDay - 12*time.Hour},
		{name: "an entry that a consent overrides is not clear", rule: Rule{Lists: []ListRule{registryRule}},
			facts: Facts{Lists: []Membership{func() Membership { m := registry(fresh(0)); m.Listed = true; return m }()}, Records: []Record{consentAt("acme", Purchase, aDay)}},
			want:  Allow, reasons: []ReasonKind{ConsentCounts, HoursNotChecked}, until: 32*aDay - 12*time.Hour},
		{name: "too old for itself", rule: Rule{Lists: []ListRule{{Kind: ListRegistry, MaxAgeDays: 62}}},
			facts: Facts{Lists: []Membership{registry(stale())}}, want: Unknown, cause: StaleList, reasons: []ReasonKind{ListStale}},
		{name: "overridden on a list that is too old", rule: Rule{Lists: []ListRule{registryRule}}, want: Unknown, cause: StaleList,
			facts: Facts{Lists: []Membership{func() Membership { m := registry(stale()); m.Listed = true; return m }()},
				Records: []Record{consentAt("acme", Purchase, aDay)}}, reasons: []ReasonKind{ListStale}, until: noon.Add(-aDay).AddDate(0, 18, 0).Sub(noon)},
		{name: "unknown before closed", rule: Rule{Hours: closedAtNoon}, facts: Facts{Lists: []Membership{notLoaded()}}, want: Unknown, cause: NotLoaded,
			reasons: []ReasonKind{ListNotLoaded}},

		// Calling hours.
		{name: "open", rule: Rule{Hours: openAtNoon}, want: Allow, reasons: []ReasonKind{HoursOpen}, until: 9 * time.Hour},
		{name: "closed", rule: Rule{Hours: closedAtNoon}, want: NotNow, reasons: []ReasonKind{CallingHours}, until: 2 * time.Hour, opens: 2 * time.Hour},
		{name: "no clock", rule: Rule{Hours: openAtNoon}, facts: Facts{Place: Place{Subdivision: "none"}}, want: Unknown, cause: NoTimeZone,
			reasons: []ReasonKind{CallingHours}},
		{name: "an appointment", rule: Rule{Hours: closedAtNoon}, facts: Facts{Records: []Record{appointment}}, want: Allow,
			reasons: []ReasonKind{HoursOpen}, until: time.Hour},
		{name: "an appointment with another", rule: Rule{Hours: closedAtNoon}, facts: Facts{Records: []Record{elsewhere}}, want: NotNow,
			reasons: []ReasonKind{CallingHours}, until: 2 * time.Hour, opens: 2 * time.Hour},
		{name: "an appointment of a permission that is over", rule: Rule{Hours: closedAtNoon}, facts: Facts{Records: []Record{over}}, want: NotNow,
			reasons: []ReasonKind{CallingHours}, until: 2 * time.Hour, opens: 2 * time.Hour},
		{name: "of two appointments the one that holds", rule: Rule{Hours: closedAtNoon}, facts: Facts{Records: []Record{later, appointment}}, want: Allow,
			reasons: []ReasonKind{HoursOpen}, until: time.Hour},
		{name: "an appointment later", rule: Rule{Hours: closedAtNoon}, facts: Facts{Records: []Record{later}}, want: NotNow,
			reasons: []ReasonKind{CallingHours}, until: time.Hour, opens: time.Hour},

		{name: "an appointment of a permission that counts no longer", rule: Rule{Hours: closedAtNoon, Consent: needsConsent},
			facts: Facts{Records: []Record{lapsed, consentAt("acme", Contract, aDay)}}, want: NotNow, reasons: []ReasonKind{CallingHours},
			until: 2 * time.Hour, opens: 2 * time.Hour},
		{name: "of one that lapses meanwhile", rule: Rule{Hours: closedAtNoon, Consent: needsConsent},
			facts: Facts{Records: []Record{lapses, consentAt("acme", Contract, aDay)}}, want: Allow, reasons: []ReasonKind{ConsentCounts, HoursOpen},
			until: time.Minute},
		{name: "of one that is to come", rule: Rule{Hours: closedAtNoon}, facts: Facts{Records: []Record{toCome}}, want: NotNow,
			reasons: []ReasonKind{CallingHours}, until: 2 * time.Hour, opens: 2 * time.Hour},

		// Service.
		{name: "a service call without consent", rule: Rule{Consent: needsConsent, Hours: closedAtNoon, Banned: []Ban{{}}, Service: ServiceRule{Permitted: true}},
			facts: Facts{Purpose: Service}, want: Allow, reasons: []ReasonKind{ServicePermitted}},
		{name: "where the rule does not permit it", rule: Rule{Consent: needsConsent}, facts: Facts{Purpose: Service}, want: Block,
			reasons: []ReasonKind{ConsentRequired}},
		{name: "an opt-out stands against service", rule: Rule{Service: ServiceRule{Permitted: true}},
			facts: Facts{Purpose: Service, Records: []Record{optOutOf("acme", 0)}}, want: Block, reasons: []ReasonKind{OptedOut}},
		{name: "and so does an entry", rule: Rule{Service: ServiceRule{Permitted: true}},
			facts: Facts{Purpose: Service, Lists: []Membership{listed()}}, want: Block, reasons: []ReasonKind{Listed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := c.facts
			f.Regions = regions(t, "US")
			if f.Scope == "" {
				f.Scope = "acme"
			}
			if f.Place.Subdivision == "" {
				f.Place = utc
			}
			wantDecision(t, &f, policyOf(t, c.rule), c.want, c.cause, c.reasons)
			d := Decide(&f, policyOf(t, c.rule), noon)
			if got := sinceNoon(d.ValidUntil); got != c.until {
				t.Errorf("valid until noon + %v, want %v", got, c.until)
			}
			if got := sinceNoon(d.OpensAt); got != c.opens {
				t.Errorf("opens at noon + %v, want %v", got, c.opens)
			}
		})
	}
}

func sinceNoon(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return at.Sub(noon)
}

func wantDecision(t *testing.T, f *Facts, p *Policy, want Verdict, cause Cause, reasons []ReasonKind) {
	t.Helper()
	d := Decide(f, p, noon)
	var got []ReasonKind
	for _, r := range d.Reasons {
		got = append(got, r.Kind)
	}
	if d.Verdict != want || d.Cause != cause {
		t.Errorf("verdict %d cause %d, want %d %d", d.Verdict, d.Cause, want, cause)
	}
	if diff := cmp.Diff(reasons, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// A caller that names no scope has to keep every rule of the country; consents count for it only where they are for everyone.
func TestDecideWithoutScope(t *testing.T) {
	p := policyOf(t, Rule{})
	p.Countries[0].Scoped = []*Rule{{Name: "US at acme", Scope: "acme", Regions: regions(t, "US"), Consent: needsConsent}}
	us := Facts{Regions: regions(t, "US")}
	with := func(scope Scope, records ...Record) *Facts {
		f := us
		f.Scope, f.Records = scope, records
		return &f
	}
	wantDecision(t, with("other"), p, Allow, CauseNone, []ReasonKind{HoursNotChecked})
	wantDecision(t, with("acme/telecom"), p, Block, CauseNone, []ReasonKind{ConsentRequired})
	wantDecision(t, with(""), p, Block, CauseNone, []ReasonKind{ConsentRequired})
	wantDecision(t, with("", consentAt("acme", Contract, aDay)), p, Block, CauseNone, []ReasonKind{ConsentRequired})
	wantDecision(t, with("", consentAt("", Contract, aDay)), p, Allow, CauseNone, []ReasonKind{HoursNotChecked, ConsentCounts, HoursNotChecked})
	wantDecision(t, with("", consentAt("", Contract, aDay), optOutOf("acme", 0)), p, Block, CauseNone, []ReasonKind{OptedOut})
}

// Of several rules that allow, the first to change ends the answer.
func TestSeveralRulesHoldUntilOneChanges(t *testing.T) {
	p := policyOf(t, Rule{Hours: &Hours{Open: allDays(Span{0, 15 * 60})}})
	p.Countries[0].Scoped = []*Rule{{Scope: "acme", Hours: &Hours{Open: allDays(Span{0, 13 * 60})}}}
	f := &Facts{Regions: regions(t, "US"), Place: utc}
	if d := Decide(f, p, noon); d.Verdict != Allow || sinceNoon(d.ValidUntil) != time.Hour {
		t.Errorf("got %+v, want ALLOW for an hour", d)
	}
	p.Countries[0].Scoped[0].Hours = &Hours{Open: allDays(Span{0, 12 * 60}, Span{16 * 60, 17 * 60})}
	if d := Decide(f, p, noon); d.Verdict != NotNow || sinceNoon(d.ValidUntil) != 3*time.Hour || sinceNoon(d.OpensAt) != 4*time.Hour {
		t.Errorf("got %+v, want NOT_NOW for three hours", d)
	}
	p.Countries[0].Rule.Hours = &Hours{Open: allDays(Span{14 * 60, 18 * 60})}
	if d := Decide(f, p, noon); d.Verdict != NotNow || sinceNoon(d.ValidUntil) != 2*time.Hour || sinceNoon(d.OpensAt) != 4*time.Hour {
		t.Errorf("got %+v, want NOT_NOW until both are open", d)
	}
	p.Countries[0].Rule.Hours = &Hours{Open: allDays()}
	if d := Decide(f, p, noon); d.Verdict != NotNow || !d.OpensAt.IsZero() {
		t.Errorf("got %+v, want NOT_NOW and no opening, since one is never open", d)
	}
}

// The narrowest rule applies, whatever the order.
func TestNarrowestRuleApplies(t *testing.T) {
	all := regions(t, "US")
	scoped := []*Rule{
		{Name: "acme", Scope: "acme", Regions: all, Banned: []Ban{{}}},
		{Name: "acme/telecom", Scope: "acme/telecom", Regions: all},
		{Name: "acmeco", Scope: "acmeco", Regions: all, Banned: []Ban{{}}},
	}
	for range 2 {
		p := policyOf(t, Rule{})
		p.Countries[0].Scoped = scoped
		for scope, want := range map[Scope]Verdict{"acme": Block, "acme/energy": Block, "acme/telecom": Allow, "acme/telecom/x": Allow, "other": Allow} {
			if d := Decide(&Facts{Scope: scope, Regions: all}, p, noon); d.Verdict != want {
				t.Errorf("%s: verdict %d, want %d", scope, d.Verdict, want)
			}
		}
		slices.Reverse(scoped)
	}
}

// A country that the policy does not name is doubt, unless the policy says otherwise. What blocks, blocks there too.
func TestCountryWithoutRule(t *testing.T) {
	p := policyOf(t, Rule{})
	fr := regions(t, "FR")
	wantDecision(t, &Facts{Regions: fr}, p, Unknown, NoRule, []ReasonKind{CountryWithoutRule})
	wantDecision(t, &Facts{Regions: fr, Lists: []Membership{listed()}}, p, Block, CauseNone, []ReasonKind{Listed})
	wantDecision(t, &Facts{Regions: fr, Records: []Record{optOutOf("", 0)}}, p, Block, CauseNone, []ReasonKind{OptedOut})
	both := fr.Union(regions(t, "US"))
	wantDecision(t, &Facts{Regions: both}, p, Unknown, NoRule, []ReasonKind{CountryWithoutRule})
	wantDecision(t, &Facts{}, p, Unknown, NoRule, []ReasonKind{CountryWithoutRule})
	p.AllowUnnamed = true
	wantDecision(t, &Facts{Regions: fr}, p, Allow, CauseNone, []ReasonKind{HoursNotChecked, NothingSpeaks})
	p.Countries[0].Rule.Consent = needsConsent
	wantDecision(t, &Facts{Regions: both}, p, Block, CauseNone, []ReasonKind{ConsentRequired})
}

func TestAllowSaysWhatItRestsOn(t *testing.T) {
	wantDecision(t, &Facts{}, nil, Allow, CauseNone, []ReasonKind{HoursNotChecked, NothingSpeaks})
	wantDecision(t, &Facts{Lists: []Membership{outside(cleared())}}, nil, Allow, CauseNone, []ReasonKind{HoursNotChecked, NothingSpeaks})
	wantDecision(t, &Facts{Lists: []Membership{cleared(), fresh(3)}}, nil, Allow, CauseNone, []ReasonKind{ListClear, ListClear, HoursNotChecked})
	f := &Facts{Regions: regions(t, "US"), Lists: []Membership{cleared()}, Place: utc}
	p := policyOf(t, Rule{Hours: &Hours{Open: openAtNoon.Open, Source: "the law"}, Lists: []ListRule{{Name: "clear", Source: "another"}}})
	d := Decide(f, p, noon)
	if len(d.Reasons) != 2 {
		t.Fatalf("got %+v, want the hours and the list", d.Reasons)
	}
	hours, list := d.Reasons[0], d.Reasons[1]
	if hours.Kind != HoursOpen || hours.Source != "the law" || hours.Rule.Name != "US" || list.List.Name != "clear" || list.Source != "another" {
		t.Errorf("got %+v and %+v", hours, list)
	}
}

func TestPeriodEndsOnACalendarDay(t *testing.T) {
	at := func(s string) time.Time {
		got, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, c := range []struct {
		from   string
		period Period
		want   string
	}{
		{"2026-08-31T10:00:00Z", Period{Months: 6}, "2027-02-28T10:00:00Z"},
		{"2027-08-31T10:00:00Z", Period{Months: 6}, "2028-02-29T10:00:00Z"},
		{"2024-02-29T00:00:00Z", Period{Months: 12}, "2025-02-28T00:00:00Z"},
		{"2025-11-30T23:59:59Z", Period{Months: 3}, "2026-02-28T23:59:59Z"},
		{"2026-01-15T08:00:00+02:00", Period{Months: 18}, "2027-07-15T06:00:00Z"},
		{"2026-12-31T12:00:00Z", Period{Days: 31}, "2027-01-31T12:00:00Z"},
	} {
		if got := c.period.After(at(c.from)); !got.Equal(at(c.want)) {
			t.Errorf("%s and %v: %v, want %s", c.from, c.period, got, c.want)
		}
	}
}

// A list is too old at midnight, in UTC or where the called party may be, whichever comes first.
func TestListAgesByTheLaterDate(t *testing.T) {
	l := &List{Loaded: true, SnapshotDate: day(t, "2026-08-09")}
	rule := &ListRule{MaxAgeDays: 31}
	for _, c := range []struct {
		zones []*Zone
		want  string
	}{
		{nil, "2026-09-09T10:00:00Z"}, // somewhere it is the next day already
		{[]*Zone{zone(t, "America/New_York")}, "2026-09-10T00:00:00Z"},
		{[]*Zone{zone(t, "Europe/Paris")}, "2026-09-09T22:00:00Z"},
		{[]*Zone{zone(t, "America/New_York"), zone(t, "Pacific/Auckland")}, "2026-09-09T12:00:00Z"},
	} {
		if got := rule.staleFrom(l, &Place{Zones: c.zones}).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("in %v: %s, want %s", c.zones, got, c.want)
		}
	}
}
