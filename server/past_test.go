package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// pastAt asks for an answer from a position, a time, or both.
func pastAt(p *dncv1.Position, now time.Time, ahead *durationpb.Duration) *dncv1.ReadAt {
	past := &dncv1.Past{Position: p, ClockAhead: ahead}
	if !now.IsZero() {
		past.Now = timestamppb.New(now)
	}
	return &dncv1.ReadAt{At: &dncv1.ReadAt_Past{Past: past}}
}

func TestPastThatIsNotKnownIsRefused(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	n.clock.add(time.Hour)
	n.createList(suppression("mine"))
	position := n.optOut(french, "acme").GetPosition()
	n.clock.add(time.Hour)
	const (
		invalid = dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID
		gone    = dncv1.ErrorReason_ERROR_REASON_HISTORY_GONE
		future  = dncv1.ErrorReason_ERROR_REASON_AS_OF_IN_FUTURE
	)
	forged := proto.CloneOf(position)
	forged.Tag[0] ^= 1
	for name, c := range map[string]struct {
		at     *dncv1.ReadAt
		code   codes.Code
		reason dncv1.ErrorReason
	}{
		"nothing":                 {pastAt(nil, time.Time{}, nil), codes.InvalidArgument, invalid},
		"no revision":             {pastAt(new(dncv1.Position), time.Time{}, nil), codes.InvalidArgument, invalid},
		"ahead without time":      {pastAt(position, time.Time{}, durationpb.New(1)), codes.InvalidArgument, invalid},
		"behind":                  {pastAt(position, testDay.Add(2*time.Hour), durationpb.New(-1)), codes.InvalidArgument, invalid},
		"before its own revision": {pastAt(position, testDay, nil), codes.InvalidArgument, invalid},
		"before the journal":      {pastAt(nil, testDay.Add(time.Hour-1), nil), codes.OutOfRange, gone},
		"a time to come":          {pastAt(nil, testDay.Add(2*time.Hour+1), nil), codes.OutOfRange, future},
		"a revision to come":      {past(position.GetRevision() + 1), codes.OutOfRange, future},
		"another journal":         {pastAt(&dncv1.Position{Revision: 1, JournalId: "x"}, time.Time{}, nil), codes.FailedPrecondition, dncv1.ErrorReason_ERROR_REASON_JOURNAL_CHANGED},
		"another history":         {pastAt(forged, time.Time{}, nil), codes.FailedPrecondition, dncv1.ErrorReason_ERROR_REASON_JOURNAL_FORKED},
	} {
		t.Run(name, func(t *testing.T) {
			n := *n
			n.t = t
			n.wantAtEachRead(ctx, c.at, c.code, c.reason)
		})
	}
}

// Each read answers from the moment that it asks for, whatever happened since.
func TestPastIsAnsweredFromItsMoment(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	n.createList(suppression("mine"))
	n.replace("mine", "", 33199001234)
	first := n.optOut(french, "acme")
	n.clock.add(24 * time.Hour)
	if _, err := n.record.WithdrawOptOut(ctx, &dncv1.WithdrawOptOutRequest{Number: french, Scope: "acme", Reason: "a test"}); err != nil {
		t.Fatal(err)
	}
	n.force("mine", "", []uint64{33199001235})
	n.clock.add(24 * time.Hour)
	if got := n.checkNumber(french, "acme"); got.GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
		t.Fatalf("now: got %v, want ALLOW", got)
	}
	for name, at := range map[string]*dncv1.ReadAt{
		"position": pastAt(first.GetPosition(), time.Time{}, nil),
		"time":     pastAt(nil, testDay.Add(time.Hour), nil),
		"both":     pastAt(first.GetPosition(), testDay.Add(time.Hour), nil),
	} {
		for what, err := range n.readsAt(ctx, at) {
			if err != nil {
				t.Errorf("%s at a %s: %v", what, name, err)
			}
		}
		check, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, Scope: "acme", ReadAt: at})
		if err != nil || check.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK || check.GetReasons()[0].GetKind() != dncv1.ReasonKind_REASON_KIND_OPT_OUT ||
			check.GetPosition().GetRevision() != first.GetPosition().GetRevision() {
			t.Errorf("at a %s: got %v, %v; want BLOCK by the opt-out", name, check, err)
		}
		number, err := n.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: french, ReadAt: at})
		if err != nil || len(number.GetRecords()) != 1 || len(number.GetLists()) != 1 {
			t.Errorf("at a %s: got %v, %v; want a record and a list", name, number, err)
		}
		history, err := n.record.ListHistory(ctx, &dncv1.ListHistoryRequest{Number: french, ReadAt: at})
		if err != nil || len(history.GetEvents()) != 1 {
			t.Errorf("at a %s: got %v, %v; want the opt-out alone", name, history, err)
		}
	}
}

// loggedCheck is a check with its answer, as a caller keeps it.
type loggedCheck struct {
	number, scope string
	answer        *dncv1.CheckNumberResponse
}

// TestLoggedAnswersAreReproduced makes a year of random events and checks, with restarts, policies that change and a clock that is
// set back. Then it asks for every answer again by its position and time, after a compaction of the database.
func TestLoggedAnswersAreReproduced(t *testing.T) {
	t.Parallel()
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	n := startIn(t, dir, store.Options{MinFree: -1})
	n.createList(&dncv1.CreateListRequest{Name: "fresh", Kind: dncv1.ListKind_LIST_KIND_REGISTRY, Jurisdiction: []string{"US"}, MaxAge: durationpb.New(5 * 24 * time.Hour)})
	n.createList(suppression("partner"))
	var log []loggedCheck
	for day := range 365 {
		n.clock.add(time.Duration(r.IntN(24)) * time.Hour)
		if day%50 == 25 {
			n.clock.add(-time.Duration(r.IntN(20*24)) * time.Hour)
		}
		if day%45 == 30 {
			n.setPolicy(yearOfPolicies[day/45%len(yearOfPolicies)])
		}
		n.oneDay(r)
		for range 4 {
			log = append(log, n.logOne(r))
		}
		n.clock.add(12 * time.Hour)
		if day%60 == 59 {
			n = n.restart(dir)
		}
	}
	n = n.compact(dir)
	verdicts := map[dncv1.Verdict]int{}
	ahead, byConsent := 0, 0
	for _, c := range log {
		verdicts[c.answer.GetVerdict()]++
		if restsOnConsent(c.answer) {
			byConsent++
		}
		if c.answer.GetClockAhead() != nil {
			ahead++
		}
		n.wantAgain(testContext(t), c)
	}
	for _, v := range []dncv1.Verdict{
		dncv1.Verdict_VERDICT_ALLOW, dncv1.Verdict_VERDICT_BLOCK, dncv1.Verdict_VERDICT_UNKNOWN, dncv1.Verdict_VERDICT_NOT_NOW,
	} {
		if verdicts[v] < 20 {
			t.Errorf("only %d of %d answers are %v", verdicts[v], len(log), v)
		}
	}
	if ahead == 0 || byConsent < 10 {
		t.Errorf("%d answers were given while the clock was behind, and %d rest on a consent", ahead, byConsent)
	}
}

// yearOfPolicies are policies that a year goes through, again and again.
var yearOfPolicies = []string{
	`format: 1
default: unknown
countries:
  US:
    consent: {required: true, counts: [{kind: permission, valid: 2 months}, {kind: contract}], source: a law}
    opt_outs: {reach: brand, permission_lifts: true, source: a law}
    lists: [{kind: registry, required: true, max_age_days: 20, overridden_by: [{kind: permission, form: written}], source: a law}]
    hours: {mon-fri: ["8:00-18:00"], holidays: closed, source: a law}
`,
	`format: 1
default: allow
countries:
  US:
    lists: [{kind: registry, max_age_days: 40, overridden_by: [{kind: permission}, {kind: contract}], source: a law}]
    hours: {mon-sun: ["6:00-22:00"], holidays: ignored, source: a law}
`,
	"format: 1\ndefault: unknown\n",
}

// logOne checks a number at random. Every third check records the use of the consents that it rests on.
func (n *node) logOne(r *rand.Rand) loggedCheck {
	n.t.Helper()
	c := loggedCheck{number: someNumber(r), scope: someScope(r)}
	var err error
	req := &dncv1.CheckNumberRequest{Number: c.number, Scope: c.scope, RecordUse: r.IntN(3) == 0}
	if c.answer, err = n.check.CheckNumber(testContext(n.t), req); err != nil {
		n.t.Fatal(err)
	}
	return c
}

func restsOnConsent(answer *dncv1.CheckNumberResponse) bool {
	return answer.GetVerdict() == dncv1.Verdict_VERDICT_ALLOW && slices.ContainsFunc(answer.GetReasons(), func(r *dncv1.Reason) bool {
		return r.GetKind() == dncv1.ReasonKind_REASON_KIND_CONSENT
	})
}

// compact restarts the node until the database has merged its tables by itself. A stop after a write leaves a table behind.
func (n *node) compact(dir string) *node {
	n.t.Helper()
	const enough = 10 // Badger merges five
	for range enough {
		n.optOut(french, "acme")
		before := tablesOf(n.t, dir) // while the database starts it may merge them already
		n = n.restart(dir)
		for end := time.Now().Add(5 * time.Second); before >= 4 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if after := tablesOf(n.t, dir); after < before-1 {
				n.t.Logf("%d tables became %d", before, after)
				return n
			}
		}
	}
	n.t.Fatalf("the database has %d tables and does not merge them", tablesOf(n.t, dir))
	return nil
}

func tablesOf(t testing.TB, dir string) int {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "badger", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	return len(tables)
}

// restart closes the node's store and serves it again, at the same time of day.
func (n *node) restart(dir string) *node {
	n.t.Helper()
	n.conn.Close()
	if err := n.stop(); err != nil {
		n.t.Fatal(err)
	}
	if err := n.store.Close(); err != nil {
		n.t.Fatal(err)
	}
	n.store = nil
	now := n.clock.Now()
	again := startIn(n.t, dir, store.Options{MinFree: -1, Clock: nil})
	again.clock.add(now.Sub(testDay))
	return again
}

func someNumber(r *rand.Rand) string {
	return fmt.Sprintf("+1%d55501%02d", 212+r.IntN(3), r.IntN(4))
}

func someScope(r *rand.Rand) string {
	return []string{"", "acme", "acme/telecom", "other"}[r.IntN(4)]
}

// oneDay makes one event at random.
func (n *node) oneDay(r *rand.Rand) {
	n.t.Helper()
	ctx := testContext(n.t)
	number, scope := someNumber(r), someScope(r)
	switch r.IntN(9) {
	case 0, 1:
		req := &dncv1.RecordOptOutRequest{Number: number, Scope: scope}
		if r.IntN(2) == 0 {
			req.ExpiresAt = timestamppb.New(n.clock.Now().AddDate(0, 0, 40+r.IntN(40)))
		}
		_, _ = n.record.RecordOptOut(ctx, req) // one that has ended by the store's time is refused
	case 2:
		_, _ = n.record.WithdrawOptOut(ctx, &dncv1.WithdrawOptOutRequest{Number: number, Scope: scope, Reason: "a test"}) // often there is nothing to withdraw
	case 3:
		n.force("fresh", n.clock.Now().Format(time.DateOnly), digitsOf(r))
	case 4:
		n.force("partner", "", digitsOf(r))
	case 5, 6:
		_, err := n.record.RecordConsent(ctx, &dncv1.RecordConsentRequest{
			Number: number, Scope: scope, Kind: someKind(r), Form: dncv1.ConsentForm_CONSENT_FORM_WRITTEN, Evidence: "a form",
		})
		if err != nil {
			n.t.Fatal(err)
		}
	case 7:
		_, _ = n.record.WithdrawConsent(ctx, &dncv1.WithdrawConsentRequest{ // often there is none
			Number: number, Scope: scope, Reason: "a test", WithdrawalReason: dncv1.WithdrawalReason(1 + r.IntN(2)),
		})
	}
}

func someKind(r *rand.Rand) dncv1.ConsentKind {
	return []dncv1.ConsentKind{aPermission, dncv1.ConsentKind_CONSENT_KIND_CONTRACT}[r.IntN(2)]
}

// force loads numbers as the whole list, however much it shrinks.
func (n *node) force(list, date string, numbers []uint64) {
	n.t.Helper()
	header := &dncv1.ImportHeader{List: list, SnapshotDate: date, Guards: &dncv1.ImportGuards{Override: true}}
	_, err := n.load(upload{header: header, chunks: [][]uint64{numbers}, commit: commitOf(1, len(numbers))})
	if err != nil && n.clock.Now().Before(n.store.Now()) {
		return // a date that is to come by the store's time
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

func digitsOf(r *rand.Rand) (digits []uint64) {
	for area := range uint64(3) {
		for last := range uint64(4) {
			if r.IntN(4) == 0 {
				digits = append(digits, 12125550100+area*1e7+last)
			}
		}
	}
	return append(digits, 12155550199)
}

// wantAgain asks for a logged answer again, in each of the forms.
func (n *node) wantAgain(ctx context.Context, c loggedCheck) {
	n.t.Helper()
	at := pastAt(c.answer.GetPosition(), c.answer.GetCheckedAt().AsTime(), c.answer.GetClockAhead())
	at.GetPast().TablesVersion = c.answer.GetTablesVersion()
	again, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: c.number, Scope: c.scope, ReadAt: at})
	if err != nil {
		n.t.Fatal(err)
	}
	if diff := cmp.Diff(c.answer, again, protocmp.Transform()); diff != "" {
		n.t.Fatalf("%s at %q (-logged +again):\n%s", c.number, c.scope, diff)
	}
	batch, err := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{Numbers: []string{c.number}, Scope: c.scope, ReadAt: at})
	if err != nil || batch.GetVerdicts()[0] != c.answer.GetVerdict() || !proto.Equal(batch.GetPosition(), c.answer.GetPosition()) {
		n.t.Fatalf("in a batch: got %v, %v; want %v", batch, err, c.answer)
	}
}
