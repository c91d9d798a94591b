package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/apply"
)

// asEarlier has a store keep former spellings, as an earlier version did.
func asEarlier(at step, write func() error) error {
	if at == stepRespell {
		return nil
	}
	return write()
}

// openEarlier opens a store that keeps former spellings.
func openEarlier(t testing.TB, dir string, clock *testClock) *Store {
	t.Helper()
	o := testOptions()
	o.Clock, o.faults = clock.now, asEarlier
	return openWith(t, dir, o)
}

// respelled waits until a store has nothing under former spellings any more.
func respelled(t testing.TB, s *Store) *Store {
	t.Helper()
	everything := feed.Filter{}
	for _, l := range s.View().Lists() {
		everything.Lists = append(everything.Lists, l.ID)
	}
	for deadline := time.Now().Add(5 * time.Minute); s.FeedReady(everything) != nil; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the store does not respell its numbers")
		}
	}
	return s
}

const formerly, presently = phone.Number(33692123456), phone.Number(262692123456)

// A base that follows, a snapshot, a withdrawal and a comparison know an opt-out of an earlier version by the present digits (guarantee 11).
func TestFormerSpellingsReachBases(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openEarlier(t, dir, clock)
	sub := mustPut(t, s, "north", atScopes("acme"))
	_, err := s.RecordOptOut(context.Background(), OptOut{Number: formerly, Scope: "acme", ExpiresAt: day(30)}, Request{})
	must(t, err)
	optOut(t, s, 33199001234, "acme")
	before := s.View().Revision()
	recordAck(t, s, "north", feed.Applied, before)
	closeStore(t, s)

	s = respelled(t, openAt(t, dir, clock))
	changes, _ := readAll(t, openFeed(t, s, FeedQuery{Filter: inScopes("acme"), After: FeedCursor{Revision: before}}), 1<<20)
	want := []string{
		"5.0\tset\t+262692123456\tacme\t2026-09-30T00:00:00Z\n",
		"5.1\tremove\t+33692123456\tacme\n",
	}
	if diff := cmp.Diff(want, textsOf(changes)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	rows := []feed.Row{{Number: 33199001234, Scope: "acme"}, {Number: presently, Scope: "acme", Until: day(30)}}
	if diff := cmp.Diff(rows, feedRows(t, s.View(), inScopes("acme"))); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	clock.advance(time.Hour)
	recordAck(t, s, "north", feed.Applied, s.View().Revision())
	if _, found := compared(t, s, CompareQuery{Subscriber: sub.ID}, 33199001234, uint64(presently)); len(found) > 0 {
		t.Errorf("an export with all numbers: %d differences", len(found))
	}
	if _, found := compared(t, s, CompareQuery{Subscriber: sub.ID}, 33199001234); found[presently].Kind != Missing || len(found) != 1 {
		t.Errorf("an export without the number: got %v, want it missing", found)
	}
	r, err := s.WithdrawOptOut(context.Background(), presently, "acme", Request{})
	must(t, err)
	if r.Ended != 1 {
		t.Errorf("the withdrawal ended %d opt-outs, want 1", r.Ended)
	}
	wantVerdict(t, s, presently, "acme", policy.Allow, policy.CauseNone)
}

// earlierStory is a store of an earlier version that has something of everything about numbers under former spellings.
type earlierStory struct {
	single, row RecordRow
	first       Receipt
	revision    uint64 // its last
	records     NumberFacts
	report      *PropagationReport
}

func recordEarlier(t *testing.T, dir string, clock *testClock) earlierStory {
	t.Helper()
	s := openEarlier(t, dir, clock)
	mustPutDesk(t, s, "Lyon")
	mustPut(t, s, "north", atScopes("acme"))
	e := earlierStory{
		single: RecordRow{OptOut: OptOut{Number: formerly, Scope: "acme/loans", Channel: policy.ChannelCall, ReceivedAt: day(5)}, Story: Story{Desk: "Lyon", Evidence: "ticket 7"}},
		row:    RecordRow{OptOut: OptOut{Number: formerly, Scope: "acme", Channel: policy.ChannelEmail, ReceivedAt: day(6), ExpiresAt: day(20)}, Story: Story{Desk: "Lyon", Note: "of a file"}},
	}
	var err error
	e.first, err = s.RecordOptOut(context.Background(), e.single.OptOut, Request{Story: e.single.Story})
	must(t, err)
	clock.advance(time.Minute)
	recordAll(t, s, []RecordRow{e.row, {OptOut: OptOut{Number: 508508410024, Scope: "acme"}}})
	optOut(t, s, formerly, "ended")
	_, err = s.WithdrawOptOut(context.Background(), formerly, "ended", Request{})
	must(t, err)
	mustPut(t, s, "late", atScopes("acme")) // its log begins with the opt-outs
	for _, name := range []string{"north", "late"} {
		recordAck(t, s, name, feed.Applied, s.View().Revision())
	}
	clock.advance(time.Minute)
	e.revision = s.View().Revision()
	e.records, err = s.View().Number(presently, s.Now())
	must(t, err)
	e.report, _ = report(t, s, ReportQuery{})
	closeStore(t, s)
	return e
}

// What was recorded about a number keeps its story, times, desk and id under the present digits, and nothing of it counts twice.
func TestRespelledRecordsKeepTheirStory(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	e := recordEarlier(t, dir, clock)
	s := respelled(t, openAt(t, dir, clock))
	facts, err := s.View().Number(presently, s.Now())
	must(t, err)
	if diff := cmp.Diff(e.records, facts, cmp.AllowUnexported(policy.Record{})); diff != "" || len(facts.Records) != 2 {
		t.Errorf("records (-before +after):\n%s", diff)
	}
	events, _, err := s.View().History(presently, policy.EventID{}, 100)
	must(t, err)
	var kinds []EventKind
	for _, h := range events {
		kinds = append(kinds, h.Kind)
	}
	if want := []EventKind{EventOptOut, EventOptOut, EventOptOut, EventOptOutWithdrawn, EventOptOutRespelled, EventOptOutRespelled}; !slices.Equal(kinds, want) {
		t.Fatalf("history: got kinds %v, want %v", kinds, want)
	}
	if h := events[0]; h.ID != e.first.ID || h.Story.Evidence != "ticket 7" || h.Desk == (policy.EventID{}) || !h.ReceivedAt.Equal(day(5)) {
		t.Errorf("the first event is %v, received %v: want the objection as it was recorded", h.ID, h.ReceivedAt)
	}
	if len(events[3].Ended) != 1 || events[3].Ended[0] != events[2].ID {
		t.Errorf("the withdrawal ended %v, want %v", events[3].Ended, events[2].ID)
	}
	if h := events[4]; h.Respelled != e.first.ID || h.Former != formerly || h.Scope != "acme/loans" {
		t.Errorf("got %v of %v, want the first objection respelled", h.Respelled, h.Scope)
	}
	var paged []policy.EventID
	for after, more := (policy.EventID{}), true; more; {
		var page []HistoryEvent
		page, more, err = s.View().History(presently, after, 1)
		must(t, err)
		for _, h := range page {
			after, paged = h.ID, append(paged, h.ID)
		}
	}
	if len(paged) != len(events) {
		t.Errorf("one by one the history has %d events, want %d", len(paged), len(events))
	}
	after, _ := report(t, s, ReportQuery{})
	if after.OptOuts != e.report.OptOuts || after.Withdrawals != e.report.Withdrawals || len(after.Desks) != len(e.report.Desks) {
		t.Errorf("report: %d objections and %d withdrawals, want %d and %d", after.OptOuts, after.Withdrawals, e.report.OptOuts, e.report.Withdrawals)
	}
	if d := duplicates(recordAll(t, s, []RecordRow{{OptOut: OptOut{Number: presently, Scope: "acme", Channel: policy.ChannelEmail, ReceivedAt: day(6), ExpiresAt: day(20)}}})); !d[0] {
		t.Error("the row of a file that comes again is no duplicate")
	}
}

// A check as of a moment before is answered as it was, and whoever acknowledged the former digits is known to have had these.
func TestRespellingChangesNoPast(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	e := recordEarlier(t, dir, clock)
	s := respelled(t, openAt(t, dir, clock))
	then, err := s.ViewAt(e.revision)
	must(t, err)
	for scope, want := range map[policy.Scope]policy.Verdict{"acme": policy.Block, "acme/loans": policy.Block, "other": policy.Allow} {
		wantVerdictAt(t, "then, at "+string(scope), then, presently, scope, want)
		wantVerdictAt(t, "now, at "+string(scope), s.View(), presently, scope, want)
	}
	wantVerdictAt(t, "then", then, 508410024, "acme", policy.Block)
	wantVerdictAt(t, "now", s.View(), 508410024, "acme", policy.Block)
	if facts, err := then.Number(presently, then.Now()); err != nil || len(facts.Records) != 2 {
		t.Errorf("the number had %d records then, %v; want 2", len(facts.Records), err)
	}
	for _, name := range []string{"north", "late"} {
		known, err := s.WhoKnew(context.Background(), s.View(), s.View().Subscribers().Named(name), presently,
			[]NumberEvent{{ID: e.first.ID, Scope: "acme/loans"}, {ID: policy.EventID{Revision: e.revision + 1}, Scope: "acme/loans"}}, new(int))
		must(t, err)
		if len(known) != 2 || known[0].Stages[feed.Applied-feed.Received] == nil || known[1].Stages[feed.Applied-feed.Received] != nil {
			t.Errorf("%s: got %+v, want the objection acknowledged under its former digits, and not yet under the present ones", name, known)
		}
	}
	revision := s.View().Revision()
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() || r.Missing.Stories > 0 {
		t.Errorf("fsck: %+v", r)
	}
	s = respelled(t, openAt(t, dir, clock))
	if got := s.View().Revision(); got != revision {
		t.Errorf("opened once more it is at revision %d, want %d", got, revision)
	}
	facts, err := s.View().Number(presently, s.Now())
	if err != nil || len(facts.Records) != 2 {
		t.Errorf("%d records, %v; want 2", len(facts.Records), err)
	}
}

// Thousands are respelled in several revisions. A process that dies between two of them leaves the rest to the next one, and feeds
// say that they are not ready meanwhile, while checks go on.
func TestRespellingGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openEarlier(t, dir, clock)
	const many = 3000
	var rows []RecordRow
	for i := range many {
		rows = append(rows, RecordRow{OptOut: OptOut{Number: phone.Number(33692000000 + i*7), Scope: "acme"}, Story: Story{Desk: "x"}})
	}
	recordAll(t, s, rows)
	revision := s.View().Revision()
	closeStore(t, s)

	o, left := testOptions(), atomic.Int64{}
	left.Store(2)
	o.faults = func(at step, write func() error) error {
		if at == stepCommit && left.Add(-1) < 0 {
			return errors.New("killed")
		}
		return write()
	}
	s = openWith(t, dir, o)
	for s.State().Writable() {
		time.Sleep(time.Millisecond)
	}
	if got := s.View().Revision(); got != revision+2 {
		t.Errorf("%d revisions before the kill, want 2", got-revision)
	}
	if err := s.FeedReady(inScopes("acme")); !errors.Is(err, ErrFeedNotReady) {
		t.Errorf("half-way: got %v, want ErrFeedNotReady", err)
	}
	for _, i := range []int{0, many / 2, many - 1} {
		wantVerdict(t, s, phone.Number(262692000000+i*7), "acme", policy.Block, policy.CauseNone)
	}
	closeStore(t, s)

	s = respelled(t, openAt(t, dir, clock))
	got := feedRows(t, s.View(), inScopes("acme"))
	if len(got) != many || got[0].Number != 262692000000 || got[many-1].Number != 262692000000+(many-1)*7 {
		t.Errorf("%d rows, from %s on; want %d under the present digits", len(got), got[0].Number.E164(), many)
	}
	changes, _ := readAll(t, openFeed(t, s, FeedQuery{Filter: inScopes("acme"), After: FeedCursor{Revision: revision}}), 1<<20)
	if len(changes) != 2*many {
		t.Errorf("%d changes, want %d: each once", len(changes), 2*many)
	}
	revision = s.View().Revision()
	closeStore(t, s)
	if s = respelled(t, openAt(t, dir, clock)); s.View().Revision() != revision {
		t.Error("opened once more it writes again")
	}
}

// A number with more opt-outs than one revision takes goes over in several, and each opt-out once.
func TestRespellingOfANumberWithManyOptOuts(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openEarlier(t, dir, clock)
	const many = 600
	var rows []RecordRow
	for i := range many {
		rows = append(rows, RecordRow{OptOut: OptOut{Number: formerly, Scope: "acme", ReceivedAt: day(1).Add(time.Duration(i) * time.Second)}})
	}
	recordAll(t, s, rows)
	closeStore(t, s)
	s = respelled(t, openAt(t, dir, clock))
	facts, err := s.View().Number(presently, s.Now())
	if err != nil || len(facts.Records) != many {
		t.Errorf("%d records, %v; want %d", len(facts.Records), err, many)
	}
	if rows := feedRows(t, s.View(), inScopes("acme")); len(rows) != 1 || rows[0].Number != presently {
		t.Errorf("%d rows, want one of the present digits", len(rows))
	}
}

// Opt-outs under former digits come to a number that is full already: no base lacks them. It takes no more until some are withdrawn.
func TestRespellingFillsANumberBeyondItsBound(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openEarlier(t, dir, clock)
	most := 0
	for _, n := range []phone.Number{formerly, presently} {
		for i := range apply.MaxRecordSetBytes / 255 {
			scope := policy.Scope(fmt.Sprintf("%d/%0240d", n, i))
			if recordAll(t, s, []RecordRow{{OptOut: OptOut{Number: n, Scope: scope}}})[0].Err != nil {
				break
			}
			most++
		}
	}
	optOut(t, s, fiction(415, 1), "")
	closeStore(t, s)
	s = respelled(t, openAt(t, dir, clock))
	if rows := feedRows(t, s.View(), feed.Filter{}); len(rows) != most+1 || rows[1].Number != presently || rows[most].Number != presently {
		t.Fatalf("%d rows, want %d of the present digits and another", len(rows), most)
	}
	_, err := s.RecordOptOut(context.Background(), OptOut{Number: presently, Scope: "acme"}, Request{})
	if outcome := recordAll(t, s, []RecordRow{{OptOut: OptOut{Number: presently, Scope: "acme"}}})[0]; !errors.Is(err, ErrTooManyRecords) || !errors.Is(outcome.Err, ErrTooManyRecords) {
		t.Errorf("one more: %v, as a row %v; want ErrTooManyRecords", err, outcome.Err)
	}
	_, err = s.WithdrawOptOut(context.Background(), presently, policy.Scope(fmt.Sprintf("%d/%0240d", formerly, 1)), Request{})
	must(t, err)
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %+v", r)
	}
}

// On a full disk nothing is respelled, nothing is lost, checks go on, and feeds say so.
func TestRespellingWaitsForRoom(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openEarlier(t, dir, clock)
	optOut(t, s, formerly, "acme")
	closeStore(t, s)
	o, full := testOptions(), atomic.Bool{}
	full.Store(true)
	o.faults = func(at step, write func() error) error {
		if at == stepRespell && full.Load() {
			return ErrDiskFull
		}
		return write()
	}
	s = openWith(t, dir, o)
	time.Sleep(20 * time.Millisecond)
	wantVerdict(t, s, presently, "acme", policy.Block, policy.CauseNone)
	if err := s.FeedReady(inScopes("acme")); !errors.Is(err, ErrFeedNotReady) {
		t.Errorf("on a full disk: got %v, want ErrFeedNotReady", err)
	}
	full.Store(false)
	wantRows := []feed.Row{{Number: presently, Scope: "acme"}}
	if diff := cmp.Diff(wantRows, feedRows(t, respelled(t, s).View(), inScopes("acme"))); diff != "" {
		t.Errorf("once there is room (-want +got):\n%s", diff)
	}
}

// Rows that an earlier version staged are recorded under the present digits.
func TestStagedRowsHaveTheDigitsOfNow(t *testing.T) {
	t.Parallel()
	s := openEarlier(t, t.TempDir(), clockAt(day(8)))
	importRows(t, s, RecordsHeader{}, []RecordRow{{OptOut: OptOut{Number: formerly, Scope: "acme"}}})
	if diff := cmp.Diff([]feed.Row{{Number: presently, Scope: "acme"}}, feedRows(t, s.View(), inScopes("acme"))); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A list has the present digits after a load of the server's own, with the date and coverage that it had.
func TestRespelledList(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openEarlier(t, dir, clock)
	covers := []string{"262", "33"}
	l := createList(t, s, "bloctel", Settings{Kind: policy.ListRegistry, Jurisdiction: []string{"FR", "RE"}, Coverage: covers, MaxAgeDays: 31})
	whole := createList(t, s, "whole", Settings{Kind: policy.ListSuppression, Scope: "acme"})
	var numbers []uint64
	for i := range uint64(20_000) {
		numbers = append(numbers, 33199000000+i)
	}
	load(t, s, "bloctel", Replace, numbers[:100], Commit{SnapshotDate: policy.DateOf(day(6)), FileCoverage: covers})
	numbers = append(numbers, uint64(formerly), uint64(formerly)+1, uint64(presently)+1, 508508410024, 262801234567)
	wider := header("bloctel", Replace)
	wider.Override = true
	_, err := commit(begin(t, s, wider), numbers, Commit{SnapshotDate: policy.DateOf(day(7)), FileCoverage: covers})
	must(t, err)
	load(t, s, "whole", Replace, numbers[20_000:20_002], Commit{})
	load(t, s, "whole", Replace, numbers[:100], Commit{})
	before := s.View().Revision()
	closeStore(t, s)

	s = respelled(t, openAt(t, dir, clock))
	then, now := l, listOf(t, s, "bloctel")
	want := append(slices.Clone(numbers[:20_000]), uint64(presently), uint64(presently)+1, 508410024, 33801234567)
	slices.Sort(want)
	if got := exportList(t, s.View(), now); !slices.Equal(got, want) || now.Numbers != uint64(len(want)) {
		t.Errorf("it holds %d numbers, want %d", len(got), len(want))
	}
	if now.SnapshotDate != policy.DateOf(day(7)) || !cmp.Equal(now.Settings, then.Settings) || !slices.Equal(now.Coverage, covers) {
		t.Errorf("it is of %v and covers %v", now.SnapshotDate, now.Coverage)
	}
	if !slices.Equal(now.ContentSHA256(), hashSlice(want)) {
		t.Error("its hash is not that of its numbers")
	}
	changes, _ := readAll(t, openFeed(t, s, FeedQuery{Filter: feed.Filter{Lists: []policy.EventID{l.ID}}, After: FeedCursor{Revision: before}}), 1<<20)
	if texts := textsOf(changes); len(texts) != 3 || changes[0].Rows.Numbers != 3 || changes[1].Rows.Numbers != 4 {
		t.Errorf("changes: %q; want three numbers that come, four that go, and the list", texts)
	}
	if n := s.View().Revision(); n != before+2 || listOf(t, s, "whole").ContentRevision >= before || whole.ID == l.ID {
		t.Errorf("%d revisions were written, want 2 of one list", n-before)
	}
	since, err := s.View().ListedSince(presently, now)
	if err != nil || since.Event.Revision > before || !since.Known {
		t.Errorf("listed since %+v, %v; want since the load of the earlier version", since, err)
	}
	if former, _, err := s.View().FormerListings(presently); err != nil || len(former) != 1 || former[0].List.Name != "whole" {
		t.Errorf("%d former listings, %v; want that of the list whose next load lacked it", len(former), err)
	}
	// The load before the respelling is undone, not the respelling.
	if _, err := s.Revert(context.Background(), header("bloctel", Revert), silent); err != nil || listOf(t, s, "bloctel").Numbers != 100 {
		t.Errorf("reverted it holds %d numbers, %v; want 100", listOf(t, s, "bloctel").Numbers, err)
	}
	_, err = s.Revert(context.Background(), header("bloctel", Revert), silent)
	must(t, err)
	if got := exportList(t, s.View(), listOf(t, s, "bloctel")); !slices.Equal(got, want) {
		t.Errorf("reverted again it holds %d numbers, want %d", len(got), len(want))
	}
	// What is reverted to may hold former spellings.
	_, err = s.Revert(context.Background(), header("whole", Revert), silent)
	must(t, err)
	if got := exportList(t, s.View(), listOf(t, s, "whole")); !slices.Equal(got, digits(presently, presently+1)) {
		t.Errorf("reverted to former spellings it holds %d numbers, want the 2 present ones", len(got))
	}
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %+v", r)
	}
}

// A revert to a content of an earlier version, and a disk that is full just then: the feed of the list waits, that of others does not.
func TestFeedsWaitForARevertedList(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openEarlier(t, dir, clock)
	l := createList(t, s, "house", Settings{Kind: policy.ListSuppression})
	load(t, s, "house", Replace, digits(formerly), Commit{})
	load(t, s, "house", Replace, digits(fiction(415, 1)), Commit{})
	closeStore(t, s)
	o, full := testOptions(), atomic.Bool{}
	o.Clock, o.faults = clock.now, func(at step, write func() error) error {
		if at == stepRespell && full.Load() {
			return ErrDiskFull
		}
		return write()
	}
	s = openWith(t, dir, o)
	full.Store(true)
	_, err := s.Revert(context.Background(), header("house", Revert), silent)
	must(t, err)
	if err := s.FeedReady(feed.Filter{Lists: []policy.EventID{l.ID}}); !errors.Is(err, ErrFeedNotReady) {
		t.Errorf("the list has former spellings: got %v, want ErrFeedNotReady", err)
	}
	if err := s.FeedReady(feed.Filter{}); err != nil {
		t.Error("a feed without the list:", err)
	}
	full.Store(false)
	if got := exportList(t, respelled(t, s).View(), listOf(t, s, "house")); !slices.Equal(got, digits(presently)) {
		t.Errorf("once there is room it holds %d numbers, want the present digits of one", len(got))
	}
}

func hashSlice(numbers []uint64) []byte {
	h := hashOf(numbers)
	return h[:]
}

// BenchmarkLookForFormerSpellings is what the look costs that each start makes at a healthy store.
func BenchmarkLookForFormerSpellings(b *testing.B) {
	s := open(b, b.TempDir())
	createList(b, s, "fr", Settings{Kind: policy.ListSuppression})
	var numbers []uint64
	for i := range uint64(1_000_000) {
		numbers = append(numbers, 33100000000+i*700)
	}
	numbers = slices.DeleteFunc(numbers, func(n uint64) bool { _, isFormer := phone.Number(n).Present(); return isFormer })
	load(b, s, "fr", Replace, numbers, Commit{})
	for i := range 20_000 {
		n := phone.Number(262692000000 + i*7)
		if i%2 == 0 {
			n = phone.Number(33600000000 + i*7)
		}
		if i%500 == 0 {
			optOut(b, s, n, "")
		}
	}
	v := s.View()
	for b.Loop() {
		must(b, s.findFormer(v))
	}
	if s.FeedReady(feed.Filter{Lists: []policy.EventID{v.Lists()[0].ID}}) != nil {
		b.Error("found something")
	}
}
