package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// compared compares an export, and returns the differences by number.
func compared(t testing.TB, s *Store, q CompareQuery, exported ...uint64) (CompareWrite, map[phone.Number]Difference) {
	t.Helper()
	c, err := s.BeginComparison()
	if err != nil {
		t.Fatal("begin comparison:", err)
	}
	defer c.Close()
	for part := range slices.Chunk(slices.Clone(exported), 1000) {
		if err := c.Put(part); err != nil {
			t.Fatal("put:", err)
		}
	}
	found, last := map[phone.Number]Difference{}, phone.Number(0)
	w, err := c.Run(context.Background(), q, func(d Difference) error {
		if d.Number <= last {
			t.Errorf("a difference follows one of a higher number, or of the same")
		}
		found[d.Number], last = d, d.Number
		return nil
	}, func(uint64) {})
	if err != nil {
		t.Fatal("compare:", err)
	}
	return w, found
}

// contentHash is the hash of numbers as of a list's content.
func contentHash(numbers []uint64) [sha256.Size]byte {
	return sha256.Sum256(ascending.Append(nil, 0, slices.Compact(slices.Sorted(slices.Values(numbers)))...))
}

func kindsOf(found map[phone.Number]Difference) map[phone.Number]DifferenceKind {
	kinds := map[phone.Number]DifferenceKind{}
	for n, d := range found {
		kinds[n] = d.Kind
	}
	return kinds
}

// TestABaseThatAcknowledgedAndMissesTen: each of the ten is reported with what blocks it, and the comparison is kept.
func TestABaseThatAcknowledgedAndMissesTen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	l := createList(t, s, "partner", Settings{Kind: policy.ListSuppression, Scope: "acme"})
	sub := mustPut(t, s, "north", func(set *SubscriberSettings) {
		set.Filter = feed.Filter{Scopes: []policy.Scope{"acme"}, Lists: []policy.EventID{l.ID}}
	})
	var all []uint64
	for i := range 60 {
		n := fiction(415, i)
		all = append(all, uint64(n))
		switch {
		case i < 30:
			optOut(t, s, n, "acme/telecom")
		case i == 30: // by three rows
			optOut(t, s, n, "acme")
			optOut(t, s, n, "")
		}
	}
	optOut(t, s, fiction(415, 70), "other") // does not concern it
	load(t, s, "partner", Replace, all[30:], Commit{})
	recordAck(t, s, "north", feed.Applied, s.View().Revision())
	exported := append(slices.Clone(all[5:25]), all[30:]...)
	exported = slices.DeleteFunc(exported, func(n uint64) bool { return n == all[30] })
	exported = append(exported, exported[0], uint64(fiction(212, 1)), uint64(fiction(415, 70)))
	w, found := compared(t, s, CompareQuery{Subscriber: sub.ID, Rejected: 3}, exported...)
	missing := append(append(slices.Clone(all[:5]), all[25:30]...), all[30])
	if len(found) != len(missing) {
		t.Errorf("got %d differences, want %d", len(found), len(missing))
	}
	for i, n := range missing {
		d := found[phone.Number(n)]
		want := Difference{Number: phone.Number(n), Kind: Missing, Scope: "acme/telecom", Since: d.Since, InForce: true}
		if i == len(missing)-1 {
			want.Scope = "acme" // the first that was recorded
		}
		if diff := cmp.Diff(want, d); diff != "" || d.Since.IsZero() {
			t.Errorf("missing number %d (-want +got): %s", i, diff)
		}
	}
	r := w.Found
	want := Compared{
		ID: w.ID, Time: w.Time, TakenAt: r.TakenAt, Epoch: sub.Epoch, Acknowledged: r.Acknowledged, UpTo: r.Acknowledged,
		Numbers: uint64(len(exported) - 1), Rejected: 3, Expected: 60, Missing: 11, Extra: 2,
		NumbersSHA256: contentHash(exported), MissingSHA256: contentHash(missing), Elapsed: r.Elapsed,
	}
	if diff := cmp.Diff(want, r); diff != "" || r.Acknowledged == 0 || r.Elapsed <= 0 || r.TakenAt.IsZero() {
		t.Error("found (-want +got):", diff)
	}
	wantNoComparison(t, dir)
	acts, _, err := s.View().Acts(ActsQuery{At: r.ID, Limit: 10})
	if err != nil || len(acts) != 1 || acts[0].Kind != ActSubscriberCompared || acts[0].Subject != "north" {
		t.Errorf("got acts %v and %v, want the comparison", acts, err)
	}
	closeStore(t, s)
	s = open(t, dir)
	if diff := cmp.Diff(&want, s.View().Subscribers().Named("north").Compared); diff != "" {
		t.Error("after a restart (-want +got):", diff)
	}
}

func wantNoComparison(t testing.TB, dir string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(dir, compareDir, "*")); len(left) > 0 {
		t.Errorf("%d comparisons are left on disk", len(left))
	}
}

// TestWhatIsInFlightIsNotMissing: after the acknowledged position, and after the export was taken.
func TestWhatIsInFlightIsNotMissing(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	sub := mustPut(t, s, "north", nothing)
	n := func(i int) phone.Number { return fiction(415, i) }
	optOut(t, s, n(1), "acme")
	clock.set(day(9))
	optOut(t, s, n(2), "acme")
	position := s.View().Revision()
	clock.set(day(10))
	optOut(t, s, n(3), "acme")
	want := func(when string, q CompareQuery, kinds map[phone.Number]DifferenceKind, exported ...uint64) {
		t.Helper()
		q.Subscriber = sub.ID
		w, found := compared(t, s, q, exported...)
		if diff := cmp.Diff(kinds, kindsOf(found)); diff != "" {
			t.Errorf("%s (-want +got): %s", when, diff)
		}
		missing := uint64(0)
		for _, k := range kinds {
			if k == Missing {
				missing++
			}
		}
		if w.Found.Missing != missing || w.Found.InFlight != uint64(len(kinds))-missing {
			t.Errorf("%s: got %d missing and %d in flight", when, w.Found.Missing, w.Found.InFlight)
		}
	}
	type kinds = map[phone.Number]DifferenceKind
	want("nothing acknowledged", CompareQuery{}, kinds{n(1): Missing, n(2): Missing, n(3): Missing})
	want("nothing acknowledged, taken on day 9", CompareQuery{TakenAt: day(9)}, kinds{n(1): Missing, n(2): Missing, n(3): InFlight})
	recordAck(t, s, "north", feed.Applied, position)
	want("now", CompareQuery{}, kinds{n(1): Missing, n(2): Missing, n(3): InFlight})
	want("taken on day 8", CompareQuery{TakenAt: day(8)}, kinds{n(1): Missing, n(2): InFlight, n(3): InFlight})
	want("taken before", CompareQuery{TakenAt: day(1)}, kinds{n(1): InFlight, n(2): InFlight, n(3): InFlight})
	want("one is there", CompareQuery{}, kinds{n(2): Missing}, uint64(n(1)), uint64(n(3)))
	must(t, withdrawn(s, n(1), "acme"))
	want("withdrawn since", CompareQuery{}, kinds{n(2): Missing, n(3): InFlight})
	optOut(t, s, n(1), "acme")
	want("and recorded again", CompareQuery{}, kinds{n(1): InFlight, n(2): Missing, n(3): InFlight})
}

func withdrawn(s *Store, n phone.Number, scope policy.Scope) error {
	_, err := s.WithdrawOptOut(context.Background(), n, scope, Request{})
	return err
}

// TestOptOutsThatEndAreExpectedUntilTheyDo: what ended before the export was taken need not be in it; what ended since had to
// be, but is no longer in force.
func TestOptOutsThatEndAreExpectedUntilTheyDo(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	sub := mustPut(t, s, "north", nothing)
	ends := map[int]time.Time{1: day(10), 2: day(20), 3: {}}
	for i, end := range ends {
		_, err := s.RecordOptOut(t.Context(), OptOut{Number: fiction(415, i), Scope: "acme", ExpiresAt: end}, Request{})
		must(t, err)
	}
	recordAck(t, s, "north", feed.Applied, s.View().Revision())
	clock.set(day(25))
	_, found := compared(t, s, CompareQuery{Subscriber: sub.ID, TakenAt: day(15)})
	got := map[int]bool{}
	for i := range ends {
		if d, is := found[fiction(415, i)]; is && d.Kind == Missing {
			got[i] = d.InForce
		}
	}
	if diff := cmp.Diff(map[int]bool{2: false, 3: true}, got); diff != "" {
		t.Error("missing, and whether in force now (-want +got):", diff)
	}
	if w, _ := compared(t, s, CompareQuery{Subscriber: sub.ID, TakenAt: day(15)}, uint64(fiction(415, 1)), uint64(fiction(415, 2)), uint64(fiction(415, 3))); w.Found.Extra != 1 {
		t.Errorf("got %d extra numbers, want the one that had ended", w.Found.Extra)
	}
}

// What ends before the last event, whose time is ahead of the clock, is expected of a base as long as checks count it.
func TestOptOutsAreExpectedWhileTheJournalIsAhead(t *testing.T) {
	t.Parallel()
	s, _, _ := boundStore(t)
	sub := mustPut(t, s, "north", nothing)
	recordAck(t, s, "north", feed.Applied, s.View().Revision())
	_, found := compared(t, s, CompareQuery{Subscriber: sub.ID})
	if d, is := found[fiction(415, 1)]; !is || d.Kind != Missing {
		t.Errorf("got %+v, %v, want the opt-out to be missing", d, is)
	}
}

// TestNumbersOfAListAreExpectedSinceTheContentThatHeldThem follows a list through a switch, an unloading and its deletion.
func TestNumbersOfAListAreExpectedSinceTheContentThatHeldThem(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	l := createList(t, s, "partner", Settings{Kind: policy.ListSuppression})
	sub := mustPut(t, s, "north", func(set *SubscriberSettings) { set.Filter.Lists = []policy.EventID{l.ID} })
	n := func(i int) uint64 { return 14155550000 + uint64(i)*1000 } // several blocks
	load(t, s, "partner", Replace, []uint64{n(1), n(2), n(3), n(3) + 1}, Commit{})
	recordAck(t, s, "north", feed.Applied, s.View().Revision())
	first := s.View().Time()
	load(t, s, "partner", Replace, []uint64{n(1), n(3), n(3) + 2, n(4)}, Commit{})
	w, found := compared(t, s, CompareQuery{Subscriber: sub.ID}, n(2))
	want := map[phone.Number]DifferenceKind{
		phone.Number(n(1)): Missing, phone.Number(n(3)): Missing, phone.Number(n(3) + 2): InFlight, phone.Number(n(4)): InFlight,
	}
	if diff := cmp.Diff(want, kindsOf(found)); diff != "" {
		t.Error("after a switch (-want +got):", diff)
	}
	if w.Found.Extra != 1 {
		t.Errorf("got %d extra numbers, want the one that left the list", w.Found.Extra)
	}
	for i, d := range found {
		if d.List == nil || d.List.Name != "partner" || d.Since.IsZero() || d.Since.After(first) != (d.Kind == InFlight) {
			t.Errorf("%d: got list %v since %v", i-14155550000, d.List, d.Since)
		}
	}
	unload(t, s, "partner")
	w, found = compared(t, s, CompareQuery{Subscriber: sub.ID})
	if len(found) != 0 || !slices.Equal(w.Found.InDoubt, []policy.EventID{l.ID}) {
		t.Errorf("of a list in doubt: got %d differences and %v in doubt, want the list named", len(found), w.Found.InDoubt)
	}
	if _, err := s.DeleteList(t.Context(), l.ID, Request{Confirmed: true}); err != nil {
		t.Fatal(err)
	}
	if w, found = compared(t, s, CompareQuery{Subscriber: sub.ID}); len(found) != 0 || len(w.Found.InDoubt) != 0 {
		t.Errorf("of a list that is gone: got %d differences and %v in doubt", len(found), w.Found.InDoubt)
	}
}

// TestOnlyWhatWasWithdrawnMayGo: not what nothing of ours ever blocked, nor what another row blocks.
func TestOnlyWhatWasWithdrawnMayGo(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	sub := mustPut(t, s, "north", atScopes("acme"))
	n := func(i int) phone.Number { return fiction(415, i) }
	for i := range 5 {
		optOut(t, s, n(i), "acme")
	}
	optOut(t, s, n(1), "acme/x")
	optOut(t, s, n(5), "other")
	for _, i := range []int{0, 1, 2} {
		must(t, withdrawn(s, n(i), "acme"))
	}
	must(t, withdrawn(s, n(5), "other")) // did not concern it
	optOut(t, s, n(2), "acme")
	var exported []uint64
	for i := range 8 {
		exported = append(exported, uint64(n(i)))
	}
	w, found := compared(t, s, CompareQuery{Subscriber: sub.ID, Removals: true}, exported...)
	if diff := cmp.Diff(map[phone.Number]DifferenceKind{n(0): Removable}, kindsOf(found)); diff != "" || w.Removable != 1 || w.Found.Extra != 4 {
		t.Errorf("%d removable and %d extra numbers, want 1 and 4 (-want +got): %s", w.Removable, w.Found.Extra, diff)
	}
	if d := found[n(0)]; d.Scope != "acme" || d.Since.IsZero() || d.InForce {
		t.Errorf("got %+v, want what was withdrawn where and when", d)
	}
	if w, found = compared(t, s, CompareQuery{Subscriber: sub.ID}, exported...); len(found) != 0 || w.Found.Extra != 4 {
		t.Errorf("without removals: got %d differences and %d extra", len(found), w.Found.Extra)
	}
}

// TestAComparisonThatFailsLeavesNothing: it records nothing, and deletes what it staged.
func TestAComparisonThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, fail := range []string{"report", "context", "disk", "gone"} {
		t.Run(fail, func(t *testing.T) {
			t.Parallel()
			dir, o, broken := t.TempDir(), testOptions(), false
			o.faults = func(at step, write func() error) error {
				if broken && at == stepCompare {
					return ErrDiskFull
				}
				return write()
			}
			s := openWith(t, dir, o)
			sub := mustPut(t, s, "north", nothing)
			optOut(t, s, fiction(415, 1), "acme")
			c, err := s.BeginComparison()
			must(t, err)
			must(t, c.Put([]uint64{uint64(fiction(415, 2))}))
			ctx, cancel := context.WithCancel(t.Context())
			report := func(Difference) error { return nil }
			switch fail {
			case "report":
				report = func(Difference) error { return errors.New("the caller left") }
			case "context":
				cancel()
			case "disk":
				broken = true
			case "gone":
				mustRemove(t, s, "north")
			}
			before := s.View().Revision()
			_, err = c.Run(ctx, CompareQuery{Subscriber: sub.ID}, report, func(uint64) {})
			if err == nil || s.View().Revision() != before {
				t.Errorf("got %v at revision %d, want an error and revision %d", err, s.View().Revision(), before)
			}
			c.Close()
			cancel()
			wantNoComparison(t, dir)
		})
	}
}

// TestStartDropsComparisons that a killed process left.
func TestStartDropsComparisons(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	c, err := s.BeginComparison()
	must(t, err)
	must(t, c.Put([]uint64{uint64(fiction(415, 2))}))
	closeStore(t, s) // as a kill would: the comparison is not closed
	if left, _ := filepath.Glob(filepath.Join(dir, compareDir, "*", "*")); len(left) == 0 {
		t.Fatal("nothing is left to be dropped")
	}
	open(t, dir)
	if _, err := os.Stat(filepath.Join(dir, compareDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that nothing is left", err)
	}
}

// TestComparisonRefusesWhatIsNoNumber of at most 15 digits.
func TestComparisonRefusesWhatIsNoNumber(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c, err := s.BeginComparison()
	must(t, err)
	defer c.Close()
	for _, n := range []uint64{0, maxE164 + 1} {
		if err := c.Put([]uint64{uint64(fiction(415, 1)), n}); !errors.Is(err, ErrNumber) {
			t.Errorf("got %v, want %v", err, ErrNumber)
		}
	}
	if c.Numbers() != 0 {
		t.Errorf("%d numbers were put", c.Numbers())
	}
}

// TestModelComparison compares exports with sets, through random writes, acknowledgements, expiries and switches of a list.
func TestModelComparison(t *testing.T) {
	t.Parallel()
	modelChecks()
	rapid.Check(t, func(rt *rapid.T) { newCompareModel(t, rt).run() })
}

// compareModel is what a store holds for a base, in sets.
type compareModel struct {
	rt    *rapid.T
	t     *testing.T
	s     *Store
	clock *testClock
	sub   *Subscriber
	list  *List

	optOuts map[modelKey][]modelOptOut
	listed  []modelContent // oldest first
	acked   uint64
}

// modelContent is what the list holds since a revision.
type modelContent struct {
	since   uint64
	numbers map[uint64]bool
}

type modelKey struct {
	number uint64
	scope  policy.Scope
}

type modelOptOut struct {
	revision uint64
	ends     time.Time
}

func newCompareModel(t *testing.T, rt *rapid.T) *compareModel {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		rt.Fatal(err)
	}
	m := &compareModel{rt: rt, t: t, clock: clockAt(day(1)), optOuts: map[modelKey][]modelOptOut{}}
	m.s = openAt(t, dir, m.clock)
	m.list = createList(t, m.s, "partner", Settings{Kind: policy.ListSuppression})
	m.sub = mustPut(t, m.s, "north", func(set *SubscriberSettings) {
		set.Filter = feed.Filter{Scopes: []policy.Scope{"acme"}, Lists: []policy.EventID{m.list.ID}}
	})
	return m
}

func (m *compareModel) number() uint64 {
	return uint64(fiction(415, rapid.IntRange(0, 11).Draw(m.rt, "number")))
}

func (m *compareModel) run() {
	for range rapid.IntRange(1, 25).Draw(m.rt, "steps") {
		switch rapid.IntRange(0, 9).Draw(m.rt, "step") {
		case 0, 1, 2:
			m.optOut()
		case 3:
			m.withdraw()
		case 4:
			m.load()
		case 5:
			m.acked = m.s.View().Revision()
			recordAck(m.t, m.s, "north", feed.Applied, m.acked)
		case 6, 7:
			m.clock.advance(time.Hour)
		default:
			m.compare()
		}
	}
	m.compare()
}

func (m *compareModel) optOut() {
	k := modelKey{m.number(), rapid.SampledFrom([]policy.Scope{"", "acme", "acme/x", "other"}).Draw(m.rt, "scope")}
	o := modelOptOut{}
	if hours := rapid.IntRange(0, 4).Draw(m.rt, "ends in hours"); hours > 0 {
		o.ends = m.clock.now().Add(time.Duration(hours) * time.Hour)
	}
	receipt, err := m.s.RecordOptOut(context.Background(), OptOut{Number: phone.Number(k.number), Scope: k.scope, ExpiresAt: o.ends}, Request{})
	if err != nil {
		m.rt.Fatal(err)
	}
	o.revision = receipt.ID.Revision
	m.dropEnded(k.number) // as the store does with each write about a number
	m.optOuts[k] = append(m.optOuts[k], o)
}

func (m *compareModel) dropEnded(number uint64) {
	for k, all := range m.optOuts {
		if k.number == number {
			m.optOuts[k] = slices.DeleteFunc(all, func(o modelOptOut) bool { return !o.inForce(m.clock.now()) })
		}
	}
}

func (m *compareModel) withdraw() {
	k := modelKey{m.number(), "acme"}
	err := withdrawn(m.s, phone.Number(k.number), k.scope)
	m.dropEndedUnless(err, k.number)
	if err == nil {
		delete(m.optOuts, k)
	} else if !errors.Is(err, ErrNothingToWithdraw) {
		m.rt.Fatal(err)
	}
}

func (m *compareModel) dropEndedUnless(err error, number uint64) {
	if err == nil {
		m.dropEnded(number)
	}
}

func (m *compareModel) load() {
	some := map[uint64]bool{}
	for range rapid.IntRange(1, 8).Draw(m.rt, "listed") {
		some[m.number()] = true
	}
	load(m.t, m.s, "partner", Replace, slices.Collect(maps.Keys(some)), Commit{})
	m.listed = append(m.listed, modelContent{m.s.View().Revision(), some})
}

// lists reports whether the list held a number at a revision. A number that left the list and came back was never gone: what
// was between two contents is not looked at.
func (m *compareModel) lists(n, at uint64) bool {
	held := false
	for _, c := range m.listed {
		if c.since <= at {
			held = c.numbers[n]
		}
	}
	return held
}

func (o modelOptOut) inForce(at time.Time) bool { return o.ends.IsZero() || at.Before(o.ends) }

// compare draws an export and a time, and compares what the store finds with the sets.
func (m *compareModel) compare() {
	exported := map[uint64]bool{}
	for range rapid.IntRange(0, 12).Draw(m.rt, "exported") {
		exported[m.number()] = true
	}
	taken := m.clock.now().Add(-time.Duration(rapid.IntRange(0, 5).Draw(m.rt, "hours ago")) * time.Hour)
	upTo, err := m.s.RevisionAt(taken)
	if err != nil {
		m.rt.Fatal(err)
	}
	if m.acked != 0 {
		upTo = min(upTo, m.acked)
	}
	want, expected := m.want(exported, taken, upTo)
	w, found := compared(m.t, m.s, CompareQuery{Subscriber: m.sub.ID, TakenAt: taken}, slices.Collect(maps.Keys(exported))...)
	if diff := cmp.Diff(want, kindsOf(found)); diff != "" || w.Found.Expected != uint64(len(expected)) {
		m.rt.Fatalf("got %d expected numbers, want %d (-want +got): %s", w.Found.Expected, len(expected), diff)
	}
	extra := 0
	for n := range exported {
		if !expected[n] && !m.blocks(n, m.clock.now()) {
			extra++
		}
	}
	if w.Found.Extra != uint64(extra) || w.Found.UpTo != upTo || w.Found.Numbers != uint64(len(exported)) {
		m.rt.Fatalf("got %+v, want %d extra of %d up to %d", w.Found, extra, len(exported), upTo)
	}
}

func (m *compareModel) want(exported map[uint64]bool, taken time.Time, upTo uint64) (kinds map[phone.Number]DifferenceKind, expected map[uint64]bool) {
	kinds, expected = map[phone.Number]DifferenceKind{}, map[uint64]bool{}
	for k, all := range m.optOuts {
		for _, o := range all {
			if k.scope != "other" && o.revision <= upTo && o.inForce(taken) {
				expected[k.number] = true
			}
		}
	}
	for i := range 12 {
		n := fiction(415, i)
		if m.lists(uint64(n), upTo) && m.lists(uint64(n), math.MaxUint64) {
			expected[uint64(n)] = true
		}
		switch {
		case exported[uint64(n)]:
		case expected[uint64(n)]:
			kinds[n] = Missing
		case m.blocks(uint64(n), m.clock.now()):
			kinds[n] = InFlight
		}
	}
	return kinds, expected
}

// blocks reports whether a row that concerns the base blocks a number.
func (m *compareModel) blocks(n uint64, at time.Time) bool {
	for k, all := range m.optOuts {
		if k.number == n && k.scope != "other" && slices.ContainsFunc(all, func(o modelOptOut) bool { return o.inForce(at) }) {
			return true
		}
	}
	return m.lists(n, math.MaxUint64)
}

// TestOneOfAHundredOfAMillionIsMissing compares a list of a million, in several buckets and out of order.
func TestOneOfAHundredOfAMillionIsMissing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := open(t, t.TempDir())
	l := createList(t, s, "partner", Settings{Kind: policy.ListSuppression})
	sub := mustPut(t, s, "north", func(set *SubscriberSettings) { set.Filter.Lists = []policy.EventID{l.ID} })
	all := make([]uint64, 1_000_000)
	for i := range all {
		all[i] = 14150000000 + uint64(i)*7
	}
	load(t, s, "partner", Replace, slices.Clone(all), Commit{})
	recordAck(t, s, "north", feed.Applied, s.View().Revision())
	var exported, missing []uint64
	for i, n := range all {
		if i%100 == 42 {
			missing = append(missing, n)
		} else {
			exported = append(exported, n)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(exported), func(i, j int) { exported[i], exported[j] = exported[j], exported[i] })
	w, found := compared(t, s, CompareQuery{Subscriber: sub.ID}, exported...)
	if w.Found.Missing != 10_000 || len(found) != 10_000 || w.Found.Expected != 1_000_000 || w.Found.Extra != 0 {
		t.Errorf("got %s, want 10,000 of 1,000,000 missing", fmt.Sprintf("%+v", w.Found))
	}
	if w.Found.MissingSHA256 != contentHash(missing) {
		t.Error("other numbers are missing")
	}
}
