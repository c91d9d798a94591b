package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// consentPolicy requires a consent in the United States: a permission for a year, or a contract and what is left of
// 30 days after it. A permission lifts an older opt-out.
func consentPolicy() *policy.Policy {
	rule := &policy.Rule{
		Name: "test",
		Consent: policy.ConsentRule{Required: true, Counts: []policy.Counts{
			{Kind: policy.Permission, Valid: policy.Period{Months: 12}}, {Kind: policy.Contract, AfterEnd: policy.Period{Days: 30}},
		}},
		OptOuts: policy.OptOutRule{PermissionLifts: true},
	}
	rule.Regions = fiction(415, 1).Regions()
	return &policy.Policy{Version: "test", Countries: []policy.Country{{Code: "US", Regions: rule.Regions, Rule: rule}}}
}

// underPolicy puts a policy in force, as an event of a policy would.
func underPolicy(s *Store, p *policy.Policy) {
	s.between(func() {
		v := *s.View()
		v.policy = &Policy{Version: p.Version, compiled: p}
		s.publish(&v)
	})
}

// wantByPolicy checks the verdict under consentPolicy.
func wantByPolicy(t *testing.T, v *View, n phone.Number, scope policy.Scope, now time.Time, want policy.Verdict) policy.Decision {
	t.Helper()
	_, ahead := v.Clock()
	f := &policy.Facts{Scope: scope, Ahead: ahead}
	v.Lookup(n, f)
	d := policy.Decide(f, consentPolicy(), now)
	if d.Verdict != want {
		t.Errorf("at scope %q: %+v, want verdict %d", scope, d, want)
	}
	return d
}

func permission(n phone.Number, scope policy.Scope, obtained time.Time) Consent {
	return Consent{Number: n, Scope: scope, ObtainedAt: obtained, Consent: policy.Consent{Kind: policy.Permission, Form: policy.Written}}
}

func consent(t *testing.T, s *Store, c Consent) Receipt {
	t.Helper()
	r, err := s.RecordConsent(t.Context(), c, Request{})
	if err != nil {
		t.Fatal("record consent:", err)
	}
	return r
}

// TestConsentCountsFromItsRevisionUntilItIsWithdrawn: law 4 for consents, at its scope and below.
func TestConsentCountsFromItsRevisionUntilItIsWithdrawn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	n, now := fiction(415, 1), s.Now()
	before := s.View()
	made := consent(t, s, permission(n, "acme/energy", now.Add(-time.Hour)))
	with := s.View()
	wantByPolicy(t, before, n, "acme/energy", now, policy.Block)
	wantByPolicy(t, with, n, "acme/energy/winter", now, policy.Allow)
	wantByPolicy(t, with, n, "acme", now, policy.Block)
	wantByPolicy(t, with, n, "", now, policy.Block)

	if _, err := s.WithdrawConsent(t.Context(), n, "acme", 0, Request{}); !errors.Is(err, ErrNothingToWithdraw) {
		t.Errorf("at another scope: %v", err)
	}
	if _, err := s.WithdrawConsent(t.Context(), n, "acme/energy", policy.Purchase, Request{}); !errors.Is(err, ErrNothingToWithdraw) {
		t.Errorf("of another kind: %v", err)
	}
	ended, err := s.WithdrawConsent(t.Context(), n, "acme/energy", policy.Permission, Request{Story: Story{Reason: "asked"}})
	if err != nil || ended.Ended != 1 {
		t.Fatalf("withdraw: %+v, %v", ended, err)
	}
	wantByPolicy(t, with, n, "acme/energy", now, policy.Allow) // as of its revision it still does
	wantByPolicy(t, s.View(), n, "acme/energy", now, policy.Block)

	events, more, err := s.View().History(n, policy.EventID{}, 10)
	if err != nil || more || len(events) != 2 {
		t.Fatalf("history: %+v, %v, %v", events, more, err)
	}
	if e := events[0]; e.Kind != EventConsent || e.ID != made.ID || e.Consent.Kind != policy.Permission || e.Consent.Form != policy.Written {
		t.Errorf("recorded: %+v", e)
	}
	if e := events[1]; e.Kind != EventConsentWithdrawn || !slices.Equal(e.Ended, []policy.EventID{made.ID}) || e.Story.Reason != "asked" {
		t.Errorf("withdrawn: %+v", e)
	}
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %+v", r.Problems)
	}
	s = open(t, dir)
	wantByPolicy(t, s.View(), n, "acme/energy", now, policy.Block)
}

// TestConsentExpiresAtTheExactSecond: a policy's year ends, an end that was given counts, and the earlier of them.
func TestConsentExpiresAtTheExactSecond(t *testing.T) {
	t.Parallel()
	s := openAt(t, t.TempDir(), clockAt(day(8)))
	year, given := fiction(415, 1), fiction(415, 2)
	obtained := day(8).AddDate(0, -11, 0)
	consent(t, s, permission(year, "acme", obtained))
	short := permission(given, "acme", obtained)
	short.ExpiresAt = day(20)
	consent(t, s, short)
	for n, end := range map[phone.Number]time.Time{year: obtained.AddDate(1, 0, 0), given: day(20)} {
		if d := wantByPolicy(t, s.View(), n, "acme", end.Add(-1), policy.Allow); !d.ValidUntil.Equal(end) {
			t.Errorf("valid until %v, want %v", d.ValidUntil, end)
		}
		wantByPolicy(t, s.View(), n, "acme", end, policy.Block)
	}
}

// TestConsentIsNotObtainedLaterThanItMayHaveBeen: one that does not say when it was obtained lifts no opt-out that came after it,
// by a clock that is ahead.
func TestConsentIsNotObtainedLaterThanItMayHaveBeen(t *testing.T) {
	t.Parallel()
	c := newSetClock()
	s, _ := makeClockStore(t, c)
	c.set(20 * time.Hour)
	if err := record(s, 3); err != nil {
		t.Fatal(err)
	}
	c.set(-20 * time.Hour)
	n := fiction(415, 77)
	p := permission(n, "acme", time.Time{})
	p.MayLift = true
	consent(t, s, p)
	now, ahead := s.View().Clock()
	if ahead == 0 {
		t.Fatal("the clock is not ahead")
	}
	wantByPolicy(t, s.View(), n, "acme", now, policy.Allow)
	later := now.Add(-ahead).Add(time.Hour)
	if _, err := s.RecordOptOut(t.Context(), OptOut{Number: n, Scope: "acme", ReceivedAt: later}, Request{}); err != nil {
		t.Fatal(err)
	}
	wantByPolicy(t, s.View(), n, "acme", now, policy.Block)
	events, _, err := s.View().History(n, policy.EventID{}, 10)
	if err != nil || len(events) != 2 || events[0].ReceivedAt.After(later) {
		t.Errorf("history: %+v, %v", events, err)
	}
}

// TestEndedContractCountsAsLongAsThePolicySays, also after another write to the number, which drops what has expired.
func TestEndedContractCountsAsLongAsThePolicySays(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	n := fiction(415, 1)
	consent(t, s, Consent{Number: n, Scope: "acme", ObtainedAt: day(1), ExpiresAt: day(10), Consent: policy.Consent{Kind: policy.Contract}})
	clock.set(day(12))
	consent(t, s, Consent{Number: n, Scope: "acme", ObtainedAt: day(11), Consent: policy.Consent{Kind: policy.Inquiry}})
	wantByPolicy(t, s.View(), n, "acme", day(40).Add(-1), policy.Allow)
	wantByPolicy(t, s.View(), n, "acme", day(40), policy.Block)
}

// TestWithdrawnConsentDoesNotComeBack: one that was obtained before the withdrawal is refused, at that scope and of that kind, until
// the person consents again. What was recorded by mistake may be recorded again.
func TestWithdrawnConsentDoesNotComeBack(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	dir := t.TempDir()
	s := openAt(t, dir, clock)
	n := fiction(415, 1)
	old := permission(n, "acme", day(2))
	withdraw := func(kind policy.ConsentKind, why WithdrawalReason) {
		t.Helper()
		if _, err := s.WithdrawConsent(t.Context(), n, "acme", kind, Request{Why: why}); err != nil {
			t.Fatal(err)
		}
	}
	consent(t, s, old)
	withdraw(policy.Permission, ReasonMistake)
	consent(t, s, old)
	withdraw(policy.Permission, 1)
	refused := func(c Consent) {
		t.Helper()
		if _, err := s.RecordConsent(t.Context(), c, Request{}); !errors.Is(err, ErrConsentWithdrawn) {
			t.Errorf("obtained before the withdrawal: %v, want ErrConsentWithdrawn", err)
		}
	}
	refused(old)
	refused(permission(n, "acme", day(8)))
	contract := Consent{Number: n, Scope: "acme", ObtainedAt: day(2), Consent: policy.Consent{Kind: policy.Contract}}
	consent(t, s, contract)
	consent(t, s, permission(n, "acme/energy", day(2)))
	clock.set(day(9))
	withdraw(0, 1)
	refused(contract)
	closeStore(t, s)
	s = openAt(t, dir, clock)
	refused(old)
	clock.set(day(10))
	consent(t, s, permission(n, "acme", day(10)))
	wantByPolicy(t, s.View(), n, "acme", day(11), policy.Allow)
}

// TestConsentsLeaveRoomForOptOuts: however many consents a number holds, an objection is recorded.
func TestConsentsLeaveRoomForOptOuts(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	var err error
	for i := range 2000 {
		c := permission(n, "acme", s.Now().Add(-time.Hour))
		c.Goods = strings.Repeat("g", MaxTerms-5) + fmt.Sprint(i)
		if _, err = s.RecordConsent(t.Context(), c, Request{}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrTooManyRecords) {
		t.Fatalf("endless consents: %v, want ErrTooManyRecords", err)
	}
	for i := range 100 {
		optOut(t, s, n, policy.Scope(fmt.Sprintf("acme/%0200d", i)))
	}
	optOut(t, s, n, "acme")
	wantVerdict(t, s, n, "acme", policy.Block, policy.CauseNone)
}

// TestConsentNeverUnblocksAFollower: a feed has the same rows, changes and digest with consents as without, and a comparison too.
func TestConsentNeverUnblocksAFollower(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n, other := fiction(415, 1), fiction(415, 2)
	optOut(t, s, n, "acme")
	before := s.View()
	lifting := permission(n, "acme", s.Now())
	lifting.MayLift = true
	made := consent(t, s, lifting)
	consent(t, s, permission(other, "acme", s.Now()))
	consent(t, s, permission(n, "", s.Now()))
	if _, err := s.UseConsents(t.Context(), n, "acme", []policy.EventID{made.ID}, made.ID.Revision, Request{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WithdrawConsent(t.Context(), n, "", 0, Request{}); err != nil {
		t.Fatal(err)
	}
	wantByPolicy(t, s.View(), n, "acme", s.Now().Add(time.Second), policy.Allow) // a check may rely on it
	for _, f := range []feed.Filter{{}, {Scopes: []policy.Scope{"acme"}}} {
		rows, want := feedRows(t, s.View(), f), feedRows(t, before, f)
		if len(rows) != 1 || !slices.Equal(rows, want) {
			t.Errorf("rows: %+v, want %+v", rows, want)
		}
		of, err := s.View().FeedRowsOf(other, f)
		if err != nil || len(of) != 0 {
			t.Errorf("rows of a number with a consent alone: %+v, %v", of, err)
		}
		digest, err := s.View().FeedDigest(t.Context(), f)
		if was, _ := before.FeedDigest(t.Context(), f); err != nil || digest != was {
			t.Errorf("the digest has changed: %v", err)
		}
	}
	for revision := before.Revision() + 1; revision <= s.View().Revision(); revision++ {
		if got, err := s.readFeedRevision(revision); err != nil || len(got.changes) != 0 {
			t.Errorf("revision %d is %+v to feeds, %v; want nothing", revision, got, err)
		}
	}
}

// TestUseOfAConsentIsInTheHistory, in the journal for good, and changes no state.
func TestUseOfAConsentIsInTheHistory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	n := fiction(415, 1)
	made := consent(t, s, permission(n, "acme", s.Now().Add(-time.Hour)))
	if _, err := s.UseConsents(t.Context(), n, "acme/energy", []policy.EventID{made.ID}, 1, Request{Story: Story{RecordedBy: "dialer"}}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %+v", r.Problems)
	}
	s = open(t, dir)
	events, _, err := s.View().History(n, made.ID, 10)
	if err != nil || len(events) != 1 {
		t.Fatalf("history: %+v, %v", events, err)
	}
	e := events[0]
	if e.Kind != EventConsentUsed || e.Scope != "acme/energy" || !slices.Equal(e.Used, []policy.EventID{made.ID}) || e.Checked != 1 || e.Story.RecordedBy != "dialer" {
		t.Errorf("got %+v", e)
	}
	wantByPolicy(t, s.View(), n, "acme", s.Now(), policy.Allow)
}

// TestKilledProcessKeepsConsents: acknowledged means durable.
func TestKilledProcessKeepsConsents(t *testing.T) {
	t.Parallel()
	n := fiction(415, 1)
	if dir := os.Getenv(childDir); dir != "" {
		s := open(t, dir)
		consent(t, s, permission(n, "acme", s.Now().Add(-time.Hour)))
		fmt.Println("recorded")
		select {}
	}
	dir := t.TempDir()
	cmd := childCommand(t, childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "recorded"; {
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	s := open(t, dir)
	wantByPolicy(t, s.View(), n, "acme", s.Now(), policy.Allow)
}

// TestRecordsFilterHoldsNumbersWithConsentsAlone: the filter as it is built, and as it is read again with what the journal holds since.
func TestRecordsFilterHoldsNumbersWithConsentsAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for range 3 {
		n := fiction(415, int(s.View().Revision())+1)
		consent(t, s, permission(n, "acme", s.Now().Add(-time.Hour)))
		for i := range s.View().Revision() {
			if known := fiction(415, int(i)+1); !s.View().records.Test(uint64(known)) {
				t.Fatalf("number %d of %d is not in the filter", i+1, s.View().Revision())
			}
		}
		closeStore(t, s)
		s = open(t, dir)
	}
}

// consentRow is a permission as a row of a file.
func consentRow(n phone.Number, obtained time.Time, evidence string) RecordRow {
	return RecordRow{
		OptOut:  OptOut{Number: n, Scope: "acme", ReceivedAt: obtained},
		Consent: &policy.Consent{Kind: policy.Permission, Form: policy.Written, Goods: "energy"},
		Story:   Story{Evidence: evidence},
	}
}

// lifting is rows as an officer sends them who lets them lift opt-outs.
func lifting(rows []RecordRow) []RecordRow {
	out := slices.Clone(rows)
	for i := range out {
		terms := *out[i].Consent
		terms.MayLift = out[i].Story.Evidence != ""
		out[i].Consent = &terms
	}
	return out
}

// TestImportOfConsentsThatWouldLiftOptOutsIsRefused with their count, unless an officer says so; overridden, it lifts none.
func TestImportOfConsentsThatWouldLiftOptOutsIsRefused(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	for i := range 4 {
		optOut(t, s, fiction(415, i), "acme")
	}
	clock.set(day(20))
	rows := []RecordRow{
		consentRow(fiction(415, 0), day(9), "form 1"), consentRow(fiction(415, 1), day(10), "form 2"), // they would
		consentRow(fiction(415, 2), day(9), ""),       // no evidence
		consentRow(fiction(415, 3), day(7), "form 3"), // before the objection
		consentRow(fiction(415, 9), day(9), "form 4"), // nobody objected
	}
	if r := importRows(t, s, RecordsHeader{Consents: true, DryRun: true}, rows); r.Refused || len(r.GuardFailures) != 0 {
		t.Errorf("without a policy: %+v, want no failure", r)
	}
	underPolicy(s, consentPolicy())
	r := importRows(t, s, RecordsHeader{Consents: true}, rows)
	if diff := cmp.Diff([]GuardFailure{{Guard: GuardLifts, Before: 5, After: 2}}, r.GuardFailures); diff != "" || !r.Refused {
		t.Fatalf("refused %v, guards (-want +got):\n%s", r.Refused, diff)
	}
	if got := held(t, s); len(got) != 4 {
		t.Errorf("a refused import recorded something: %d numbers have records", len(got))
	}
	if r := importRows(t, s, RecordsHeader{Consents: true, Override: true}, rows); r.Refused || r.Accepted != 5 {
		t.Errorf("overridden: %+v", r)
	}
	for i := range 4 {
		wantByPolicy(t, s.View(), fiction(415, i), "acme", s.Now(), policy.Block)
	}
	if r := importRows(t, s, RecordsHeader{Consents: true, Lift: true}, lifting(rows)); r.Refused || r.Accepted != 4 || r.Duplicates != 1 {
		t.Errorf("with lift: %+v", r)
	}
	for i, verdict := range []policy.Verdict{policy.Allow, policy.Allow, policy.Block, policy.Block} {
		wantByPolicy(t, s.View(), fiction(415, i), "acme", s.Now(), verdict)
	}
	wantByPolicy(t, s.View(), fiction(415, 9), "acme", s.Now(), policy.Allow)
}

// TestConsentsOfAFileAreRecordedOnce, in any number of revisions, and all of them are there after the store was closed.
func TestConsentsOfAFileAreRecordedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	obtained := s.Now().Add(-time.Hour)
	var rows []RecordRow
	for i := range 3000 {
		rows = append(rows, consentRow(fiction(200+i/100, i%100), obtained, fmt.Sprint("form ", i)))
	}
	rows = append(rows, rows[7])
	if r := importRows(t, s, RecordsHeader{Consents: true, DryRun: true}, rows); r.Accepted != 3000 || r.Duplicates != 1 || s.View().Revision() != 0 {
		t.Errorf("dry run: %+v", r)
	}
	r := importRows(t, s, RecordsHeader{Consents: true}, rows)
	if r.Accepted != 3000 || r.Duplicates != 1 || r.First != 1 || r.Last < 2 {
		t.Errorf("first: %+v", r)
	}
	if r := importRows(t, s, RecordsHeader{Consents: true}, rows); r.Accepted != 0 || r.Duplicates != 3001 {
		t.Errorf("again: %+v", r)
	}
	if _, err := s.WithdrawConsent(t.Context(), rows[0].Number, "acme", 0, Request{}); err != nil {
		t.Fatal(err)
	}
	for _, h := range []RecordsHeader{{Consents: true, DryRun: true}, {Consents: true}} {
		if r := importRows(t, s, h, rows); r.Accepted != 0 || r.Rejected != 1 || r.Duplicates != 3000 {
			t.Errorf("after a withdrawal: %+v", r)
		}
	}
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %+v", r.Problems)
	}
	s = open(t, dir)
	all := held(t, s)
	if len(all) != 2999 {
		t.Fatalf("%d numbers have consents, want 2999", len(all))
	}
	for i, n := range all {
		if got := n.Records[0]; got.Consent.Goods != "energy" || got.Story.Evidence != fmt.Sprint("form ", i+1) || !got.ReceivedAt.Equal(obtained) {
			t.Fatalf("record %d: %+v", i, got)
		}
	}
	events, _, err := s.View().History(all[5].Number, policy.EventID{}, 10)
	if err != nil || len(events) != 1 || events[0].Kind != EventConsent {
		t.Errorf("history: %+v, %v", events, err)
	}
}

// TestRepairKeepsConsents and withdrawals: state that is made again from the journal is the same.
func TestRepairKeepsConsents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	n, obtained := fiction(415, 1), s.Now().Add(-time.Hour)
	consent(t, s, permission(n, "acme", obtained))
	consent(t, s, permission(n, "other", obtained))
	if _, err := s.WithdrawConsent(t.Context(), n, "other", 0, Request{}); err != nil {
		t.Fatal(err)
	}
	before := held(t, s)
	closeStore(t, s)
	must(t, os.Remove(filepath.Join(dir, "badger", "MANIFEST")))
	if r, err := Repair(t.Context(), dir, false, testOptions()); err != nil || !r.Repaired {
		t.Fatalf("repair: %+v, %v", r, err)
	}
	s = open(t, dir)
	if diff := cmp.Diff(before, held(t, s)); diff != "" || len(before) != 1 {
		t.Errorf("(-before +after):\n%s", diff)
	}
	if _, err := s.RecordConsent(t.Context(), permission(n, "other", obtained), Request{}); !errors.Is(err, ErrConsentWithdrawn) {
		t.Errorf("a consent that was withdrawn before the repair: %v, want ErrConsentWithdrawn", err)
	}
}

// TestDamageBesideAConsentIsDoubt: an opt-out without an end blocks whatever damage hides. A consent without an end does not, and
// neither does an opt-out that a permission may lift: what was not found may be another opt-out.
func TestDamageBesideAConsentIsDoubt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	optOut(t, s, fiction(212, 1), "acme")
	closeStore(t, s)
	s, err := Open(dir, testOptions())
	must(t, err)
	t.Cleanup(func() { _ = s.Close() }) // it reports the damage
	permitted, both := fiction(415, 1), fiction(415, 2)
	consent(t, s, permission(permitted, "acme", s.Now().Add(-time.Hour)))
	optOut(t, s, both, "acme")
	consent(t, s, permission(both, "acme", s.Now().Add(-time.Hour)))
	v := s.View()
	table := largest(t, filepath.Join(dir, badgerDir, "*.sst"))
	must(t, os.Truncate(table, 9))
	for _, n := range []phone.Number{permitted, both} {
		s.damageSeen.Store(false) // nothing but this lookup has noticed
		f := &policy.Facts{Scope: "acme"}
		v.Lookup(n, f)
		if len(f.Records) == 0 || !f.Damaged {
			t.Errorf("%d records beside damage, doubt: %v; want records and doubt", len(f.Records), f.Damaged)
		}
	}
}
