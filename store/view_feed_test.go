package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// feedRows collects the rows of opt-outs of a filter.
func feedRows(t testing.TB, v *View, f feed.Filter) []feed.Row {
	t.Helper()
	rows := []feed.Row{}
	for r, err := range v.FeedRows(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

// TestFeedRowsHaveTheLatestEnd: a row for each scope of a number, with the latest end of what it holds there.
func TestFeedRowsHaveTheLatestEnd(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	n, other := fiction(415, 1), fiction(415, 2)
	record := func(n phone.Number, scope policy.Scope, ends time.Time) {
		t.Helper()
		if _, err := s.RecordOptOut(t.Context(), OptOut{Number: n, Scope: scope, ExpiresAt: ends}, Request{}); err != nil {
			t.Fatal(err)
		}
	}
	record(n, "acme", day(20))
	record(n, "acme", day(30))
	record(n, "acme", day(25))
	record(n, "acme/telecom", day(9))
	record(n, "other", time.Time{})
	record(other, "acme", day(40))
	record(other, "acme", time.Time{})
	record(other, "acme/energy", time.Time{})
	if _, err := s.WithdrawOptOut(t.Context(), other, "acme/energy", Request{}); err != nil {
		t.Fatal(err)
	}
	acme := feed.Filter{Scopes: []policy.Scope{"acme"}}
	want := []feed.Row{
		{Number: n, Scope: "acme", Until: day(30)}, {Number: n, Scope: "acme/telecom", Until: day(9)}, {Number: other, Scope: "acme"},
	}
	if diff := cmp.Diff(want, feedRows(t, s.View(), acme)); diff != "" {
		t.Error("at acme (-want +got):", diff)
	}
	for _, when := range []int{9, 10} { // the row ends on day 9, and is told of for a day more
		clock.set(day(when))
		record(other, "third", time.Time{}) // the view is of a later time now
		if when == 10 {
			want = slices.Delete(want, 1, 2)
		}
		if diff := cmp.Diff(want, feedRows(t, s.View(), acme)); diff != "" {
			t.Errorf("on day %d (-want +got): %s", when, diff)
		}
	}
	if got := len(feedRows(t, s.View(), feed.Filter{})); got != 4 {
		t.Errorf("at every scope: got %d rows, want 4", got)
	}
	rows, err := s.View().FeedRowsOf(n, acme)
	if diff := cmp.Diff(want[:1], rows); diff != "" || err != nil {
		t.Errorf("of one number (-want +got): %v, %v", diff, err)
	}
}

// TestFeedDigestIsThatOfAllRows compares the digest with one over lines that are sorted in memory.
func TestFeedDigestIsThatOfAllRows(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	random := rand.New(rand.NewPCG(3, 4))
	some := func(n int) []uint64 {
		numbers := map[uint64]bool{}
		for len(numbers) < n {
			numbers[[]uint64{3319900_0000, 14155550100, 442079460000}[random.IntN(3)]+random.Uint64N(1000)] = true
		}
		return slices.Sorted(maps.Keys(numbers))
	}
	lists := []*List{createList(t, s, "one", Settings{Kind: policy.ListSuppression, Scope: "acme"}), createList(t, s, "two", Settings{Kind: policy.ListSuppression})}
	f := feed.Filter{Scopes: []policy.Scope{"acme"}, Lists: []policy.EventID{lists[0].ID, lists[1].ID}}
	var rows []feed.Row
	for _, l := range lists {
		numbers := some(700)
		load(t, s, l.Name, Replace, numbers, Commit{})
		for _, n := range numbers {
			rows = append(rows, feed.Row{Number: phone.Number(n), Scope: l.Scope, Source: feed.Source{List: l.ID}})
		}
	}
	for _, n := range some(500) {
		optOut(t, s, phone.Number(n), "acme")
		rows = append(rows, feed.Row{Number: phone.Number(n), Scope: "acme"})
	}
	optOut(t, s, fiction(415, 1), "other")
	slices.SortFunc(rows, feed.Row.Compare)
	var text []byte
	for _, r := range rows {
		text = r.AppendText(text)
	}
	want := feed.Digest{Count: uint64(len(rows)), SHA256: sha256.Sum256(text)}
	if got, err := s.View().FeedDigest(t.Context(), f); got != want || err != nil {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.View().FeedDigest(gone, f); err == nil {
		t.Error("for a caller that left: got a digest, want an error")
	}
}

// TestFeedHoldsWhatItsListsHold: a number on a list of the filter, and on one that is not of it.
func TestFeedHoldsWhatItsListsHold(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	mine, other := createList(t, s, "mine", Settings{Kind: policy.ListSuppression}), createList(t, s, "other", Settings{Kind: policy.ListSuppression})
	n := fiction(415, 1)
	load(t, s, "other", Replace, []uint64{uint64(n)}, Commit{})
	load(t, s, "mine", Replace, []uint64{uint64(fiction(415, 2))}, Commit{})
	for list, want := range map[policy.EventID]bool{mine.ID: false, other.ID: true} {
		got, err := s.View().FeedHolds(n, feed.Filter{Lists: []policy.EventID{list}})
		if got != want || err != nil {
			t.Errorf("list %v: got %v, %v, want %v", list, got, err, want)
		}
	}
	s.noteDamage(fmt.Errorf("%w: for the test", ErrDamaged))
	if _, err := s.View().FeedHolds(n, feed.Filter{Lists: []policy.EventID{mine.ID}}); err == nil {
		t.Error("in a damaged store: got an answer, want an error")
	}
}

// TestFeedKeepsRowsOfAClockThatJumped: a base that got a snapshot, or files, while the clock was ahead by less than the store notices
// still has what checks count once the clock is corrected.
func TestFeedKeepsRowsOfAClockThatJumped(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	n := fiction(415, 1)
	_, err := s.RecordOptOut(t.Context(), OptOut{Number: n, Scope: "acme", ExpiresAt: day(8).Add(3 * time.Hour)}, Request{})
	must(t, err)
	before := s.View().Revision()
	_, err = s.RecordOptOut(t.Context(), OptOut{Number: n, Scope: "other"}, Request{}) // touches the number
	must(t, err)
	clock.advance(20 * time.Hour)
	optOut(t, s, fiction(415, 2), "acme")
	rows, err := s.View().FeedRowsOf(n, feed.Filter{Scopes: []policy.Scope{"acme"}})
	since := &FeedAt{View: s.View(), s: s, After: FeedCursor{Revision: before}, touched: []touchedRow{{n, "acme"}}}
	for row, err := range since.Rows(t.Context()) {
		if err != nil || row.Removed {
			t.Errorf("since a cursor: got a row that is removed %v, %v, want it there", row.Removed, err)
		}
	}
	clock.advance(-20 * time.Hour)
	wantVerdict(t, s, n, "acme", policy.Block, policy.CauseNone)
	if len(rows) != 1 || err != nil {
		t.Errorf("got %d rows, %v, want the one that checks count", len(rows), err)
	}
}

// TestFeedKeepsRowsWhileTheJournalIsAhead: what ends before the last event, whose time is ahead of the clock, counts for bases as it
// does for checks.
func TestFeedKeepsRowsWhileTheJournalIsAhead(t *testing.T) {
	t.Parallel()
	s, _, _ := boundStore(t)
	n := fiction(415, 1)
	wantVerdict(t, s, n, "acme", policy.Block, policy.CauseNone)
	holds := func(r feed.Row) bool { return r.Number == n }
	if rows := feedRows(t, s.View(), feed.Filter{}); !slices.ContainsFunc(rows, holds) {
		t.Error("a snapshot lacks an opt-out that checks count")
	}
	if rows, err := s.View().FeedRowsOf(n, feed.Filter{}); len(rows) != 1 || err != nil {
		t.Errorf("of the number: got %d rows, %v, want 1", len(rows), err)
	}
	since := &FeedAt{View: s.View(), s: s, After: FeedCursor{Revision: 1}, touched: []touchedRow{{n, "acme"}}}
	for row, err := range since.Rows(t.Context()) {
		if err != nil || row.Removed {
			t.Errorf("since a cursor: got a row that is removed %v, %v, want it there", row.Removed, err)
		}
	}
}
