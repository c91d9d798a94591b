package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// The policies of the fixture: the first lies in a table, the second in a log.
const (
	fixtureStrict = `format: 1
default: unknown
countries:
  US:
    consent: {required: true, counts: [{kind: permission, form: written, valid: 12 months}, {kind: contract}], source: a law}
    opt_outs: {reach: brand, permission_lifts: false, source: a law}
    lists:
      - {list: registry, required: true, max_age_days: 31, overridden_by: [{kind: permission, form: written}], source: a law}
`
	fixtureLenient = `format: 1
default: allow
countries:
  US:
    opt_outs: {reach: scope, permission_lifts: true, source: a law}
    lists:
      - {list: registry, max_age_days: 31, overridden_by: [{kind: permission}, {kind: purchase, valid: 18 months}], source: a law}
`
)

// The numbers of the fixture. Those behind fixtureListed are on the registry.
const (
	fixturePermitted    = iota // a written permission, with all that can be said of one
	fixtureOral                // an oral permission
	fixtureContract            // a contract that ends
	fixtureWithdrawnOne        // a permission that was withdrawn
	fixtureMistaken            // a permission that was recorded by mistake, and again
	fixtureUsed                // a permission that two checks relied on
	fixtureLifted              // an opt-out, and a later permission
	fixtureWronged             // an opt-out that was recorded by mistake
	fixtureLate                // a permission that lies in a log
	fixtureListed              // nothing
	fixtureOverridden          // a written permission
	fixtureBought              // a purchase
	fixtureVerdicts            // how many there are
)

func fixtureNumber(i int) phone.Number { return fiction(202, i) }

// fixtureMoments are the ends of the part in tables and of the part in logs.
func fixtureMoments() [2]time.Time { return [2]time.Time{day(8).Add(time.Hour), day(9)} }

// fixtureAnswers are the verdicts for acme/energy at both moments.
func fixtureAnswers() [2][fixtureVerdicts]policy.Verdict {
	const a, b = policy.Allow, policy.Block
	return [2][fixtureVerdicts]policy.Verdict{
		{a, b, a, b, a, a, b, b, b, b, a, b},
		{a, a, a, a, a, a, a, a, a, b, a, a},
	}
}

func fixturePermission(i int) Consent {
	c := permission(fixtureNumber(i), "acme", day(7))
	c.MayLift = true
	return c
}

// fixtureFull has all that can be said of a consent.
func fixtureFull() (Consent, Story) {
	c := fixturePermission(fixturePermitted)
	c.Channel, c.ExpiresAt, c.Goods, c.ThirdParties = policy.ChannelWeb, day(300), "energy contracts", "Call & Co"
	c.From, c.Until = day(8), day(280)
	return c, Story{Desk: "web", Evidence: "form 7", Note: "read aloud", RecordedBy: "alice"}
}

func fixtureConsentRows() []RecordRow {
	var rows []RecordRow
	for i := range 20 {
		rows = append(rows, consentRow(fiction(203, i), day(6), "form of a file"))
	}
	return rows
}

func writeVerdictsFixture(t *testing.T, dir string) {
	clock := clockAt(day(8))
	s := openAt(t, dir, clock)
	mustPutDesk(t, s, "web")
	mustPut(t, s, "lyon", atScopes("acme"))
	createList(t, s, "registry", usRegistry("1202"))
	var listed []uint64
	for i := fixtureListed; i < fixtureVerdicts; i++ {
		listed = append(listed, uint64(fixtureNumber(i)))
	}
	load(t, s, "registry", Replace, listed, Commit{SnapshotDate: policy.DateOf(day(8))})
	setPolicy(t, s, fixtureStrict)
	writeFixtureConsents(t, s)
	importRows(t, s, RecordsHeader{Consents: true, Story: Story{RecordedBy: "ops"}}, fixtureConsentRows())
	optOut(t, s, fixtureNumber(fixtureWronged), "acme")
	first := optOut(t, s, fixtureNumber(fixtureLifted), "acme/energy")
	mustClaim(t, s, "lyon", feed.Applied, first.ID.Revision)
	clock.set(fixtureMoments()[0].Add(time.Minute))
	closeStore(t, s)
	s = openFixture(t, dir) // it stays open: what lies there now is what a kill leaves
	setPolicy(t, s, fixtureLenient)
	_, err := s.WithdrawOptOut(context.Background(), fixtureNumber(fixtureWronged), "acme", Request{Why: ReasonMistake, Story: Story{Reason: "another number"}})
	must(t, err)
	for _, i := range []int{fixtureLifted, fixtureLate} {
		c := fixturePermission(i)
		c.Scope, c.ObtainedAt = "acme/energy", day(9)
		consent(t, s, c)
	}
	useFixture(t, s, "acme/energy")
	last := optOut(t, s, fiction(204, 1), "acme")
	mustClaim(t, s, "lyon", feed.Received, last.ID.Revision)
	settle(t, s)
}

func writeFixtureConsents(t *testing.T, s *Store) {
	t.Helper()
	full, story := fixtureFull()
	_, err := s.RecordConsent(context.Background(), full, Request{ID: "full", Story: story})
	must(t, err)
	for _, i := range []int{fixtureWithdrawnOne, fixtureMistaken, fixtureUsed, fixtureOverridden} {
		consent(t, s, fixturePermission(i))
	}
	oral := fixturePermission(fixtureOral)
	oral.Form = policy.Oral
	consent(t, s, oral)
	consent(t, s, Consent{Number: fixtureNumber(fixtureContract), Scope: "acme", ExpiresAt: day(200), Consent: policy.Consent{Kind: policy.Contract}})
	consent(t, s, Consent{Number: fixtureNumber(fixtureBought), Scope: "acme", Consent: policy.Consent{Kind: policy.Purchase}})
	_, err = s.WithdrawConsent(context.Background(), fixtureNumber(fixtureWithdrawnOne), "acme", policy.Permission, Request{Story: Story{Reason: "asked"}})
	must(t, err)
	_, err = s.WithdrawConsent(context.Background(), fixtureNumber(fixtureMistaken), "acme", policy.Permission, Request{Why: ReasonMistake})
	must(t, err)
	consent(t, s, fixturePermission(fixtureMistaken))
	useFixture(t, s, "acme")
}

// useFixture records that a check relied on a consent.
func useFixture(t *testing.T, s *Store, scope policy.Scope) {
	t.Helper()
	n := fixtureNumber(fixtureUsed)
	facts, err := s.View().Number(n, s.Now())
	must(t, err)
	_, err = s.UseConsents(context.Background(), n, scope, []policy.EventID{facts.Records[0].ID}, s.View().Revision(), Request{Story: Story{RecordedBy: "dialer"}})
	must(t, err)
}

// wantVerdictsFixture holds a store against what writeVerdictsFixture wrote.
func wantVerdictsFixture(t *testing.T, s *Store) {
	t.Helper()
	for m, moment := range fixtureMoments() {
		v, err := s.ViewOf(Past{Now: moment})
		must(t, err)
		for i, want := range fixtureAnswers()[m] {
			if got := verdictOf(v, fixtureNumber(i), moment); got != want {
				t.Errorf("number %d at %v: verdict %d, want %d", i, moment, got, want)
			}
		}
	}
	wantFixtureTold(t, s)
	if r := importRows(t, s, RecordsHeader{Consents: true}, fixtureConsentRows()); r.Duplicates != 20 {
		t.Errorf("the file of consents again: %+v, want 20 duplicates", r)
	}
	policies, err := s.View().Policies(policy.EventID{}, 10)
	if err != nil || len(policies) != 2 || string(s.View().PolicyInForce().Document) != fixtureLenient {
		t.Errorf("policies: %+v, %v", policies, err)
	}
	sub := s.View().Subscribers().Named("lyon")
	if ack := sub.Acknowledged(feed.Applied); ack == nil {
		t.Error("no acknowledgement that feeds were applied")
	}
	applied, err := s.AppliedAt(s.View(), sub, fixtureNumber(fixtureLifted), NumberEvent{ID: fixtureEvent(t, s, fixtureLifted, EventOptOut), Scope: "acme/energy"})
	if err != nil || !applied.Equal(day(8)) {
		t.Errorf("the opt-out was applied at %v, %v; want %v", applied, err, day(8))
	}
}

func verdictOf(v *View, n phone.Number, now time.Time) policy.Verdict {
	_, ahead := v.Clock()
	f := &policy.Facts{Scope: "acme/energy", Ahead: ahead}
	v.Lookup(n, f)
	return policy.Decide(f, v.Policy(), now).Verdict
}

func fixtureEvent(t *testing.T, s *Store, number int, kind EventKind) policy.EventID {
	t.Helper()
	events, _, err := s.View().History(fixtureNumber(number), policy.EventID{}, 10)
	must(t, err)
	i := slices.IndexFunc(events, func(e HistoryEvent) bool { return e.Kind == kind })
	if i < 0 {
		t.Fatalf("number %d: no event of kind %d in %+v", number, kind, events)
	}
	return events[i].ID
}

// wantFixtureTold compares what the numbers tell: kinds of events, terms, stories and reasons.
func wantFixtureTold(t *testing.T, s *Store) {
	t.Helper()
	kinds := map[int][]EventKind{
		fixturePermitted:    {EventConsent},
		fixtureWithdrawnOne: {EventConsent, EventConsentWithdrawn},
		fixtureMistaken:     {EventConsent, EventConsentWithdrawn, EventConsent},
		fixtureUsed:         {EventConsent, EventConsentUsed, EventConsentUsed},
		fixtureLifted:       {EventOptOut, EventConsent},
		fixtureWronged:      {EventOptOut, EventOptOutWithdrawn},
	}
	for i, want := range kinds {
		events, _, err := s.View().History(fixtureNumber(i), policy.EventID{}, 10)
		var got []EventKind
		for _, e := range events {
			got = append(got, e.Kind)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("number %d: events %v, %v; want %v", i, got, err, want)
		}
		last := events[len(events)-1]
		if i == fixtureWronged && (last.Reason != ReasonMistake || last.Story.Reason != "another number") {
			t.Errorf("the opt-out that was recorded by mistake: %+v", last)
		}
		if i == fixtureUsed && (!slices.Equal(last.Used, []policy.EventID{events[0].ID}) || last.Story.RecordedBy != "dialer") {
			t.Errorf("a use: %+v", last)
		}
	}
	want, story := fixtureFull()
	facts, err := s.View().Number(want.Number, s.Now())
	must(t, err)
	got := facts.Records[0]
	if *got.Consent != want.Consent || got.Story != story || !got.ReceivedAt.Equal(want.ObtainedAt) || !got.ExpiresAt.Equal(want.ExpiresAt) || got.Channel != want.Channel {
		t.Errorf("got %+v with %+v, want %+v with %+v", got, got.Consent, want, story)
	}
	_, err = s.RecordConsent(context.Background(), fixturePermission(fixtureWithdrawnOne), Request{})
	if !isRefusal(err) {
		t.Errorf("a consent that was withdrawn comes again: %v", err)
	}
	again, err := s.RecordConsent(context.Background(), want, Request{ID: "full", Story: story})
	if err != nil || !again.Duplicate || again.ID != got.ID {
		t.Errorf("the request comes again: %+v, %v; want the receipt of %v", again, err, got.ID)
	}
}
