package store

import (
	"context"
	"slices"
	"testing"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
)

// feedSince reads a feed since a cursor with its rows.
func feedSince(t *testing.T, s *Store, q FeedQuery) (*FeedAt, []FeedRow) {
	t.Helper()
	f, err := s.FeedSince(context.Background(), q)
	must(t, err)
	var rows []FeedRow
	for row, err := range f.Rows(context.Background()) {
		must(t, err)
		rows = append(rows, row)
	}
	return f, rows
}

// A list in doubt may block any number: a row that is gone frees none meanwhile. A list that was never loaded is not in doubt.
func TestFeedFreesNothingWhileAListIsInDoubt(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx, n := context.Background(), fiction(415, 1)
	held := createList(t, s, "held", Settings{Kind: policy.ListSuppression})
	empty := createList(t, s, "empty", Settings{Kind: policy.ListSuppression})
	load(t, s, "held", Replace, []uint64{uint64(n)}, Commit{})
	optOut(t, s, n, "acme")
	q := FeedQuery{Filter: feed.Filter{Lists: []policy.EventID{held.ID, empty.ID}}, After: FeedCursor{Revision: s.View().Revision()}}
	_, err := s.WithdrawOptOut(ctx, n, "acme", Request{})
	must(t, err)
	unload(t, s, "held")
	f, rows := feedSince(t, s, q)
	if got, want := f.InDoubt(), []policy.EventID{held.ID}; !slices.Equal(got, want) {
		t.Errorf("in doubt: %v, want %v", got, want)
	}
	if len(rows) != 1 || !rows[0].Removed || !rows[0].StillBlocked {
		t.Errorf("the row that was withdrawn: %d rows, want one that is gone from a number that may still be blocked", len(rows))
	}
	load(t, s, "held", Replace, []uint64{uint64(fiction(415, 2))}, Commit{})
	if f, rows := feedSince(t, s, q); len(f.InDoubt()) != 0 || rows[0].StillBlocked {
		t.Errorf("after the list was loaded again: in doubt %v, still blocked %v, want neither", f.InDoubt(), rows[0].StillBlocked)
	}
}

// What came to a list and went again between two positions is in no difference of the two.
func TestFeedSaysWhenADifferenceIsNotEnough(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	l := createList(t, s, "dnc", Settings{Kind: policy.ListSuppression})
	load(t, s, "dnc", Replace, registryNumbers(10), Commit{})
	q := FeedQuery{Filter: feed.Filter{Lists: []policy.EventID{l.ID}}, After: FeedCursor{Revision: s.View().Revision()}}
	want := func(what string, want bool) {
		t.Helper()
		if f, _ := feedSince(t, s, q); f.OnlyFromAfter() != want {
			t.Errorf("%s: got %v, want %v", what, !want, want)
		}
	}
	want("nothing changed", false)
	load(t, s, "dnc", Replace, registryNumbers(20), Commit{})
	want("changed once", false)
	_, err := s.Revert(context.Background(), header("dnc", Revert), silent)
	must(t, err)
	want("changed and changed back", true)
	q.After.Revision = s.View().Revision()
	_, err = s.DeleteList(context.Background(), l.ID, Request{Confirmed: true})
	must(t, err)
	want("deleted", true)
}
