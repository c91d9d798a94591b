package store

import (
	"context"
	"slices"
	"testing"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
)

// commitUncounted commits events as a version does that knows no feeds. Nothing else writes meanwhile.
func commitUncounted(t *testing.T, s *Store, events ...*storev1.Event) {
	t.Helper()
	g := s.newGroup()
	defer g.txn.Discard()
	for i, e := range events {
		w := &pendingEvent{event: e}
		must(t, w.encode())
		_, err := g.a.Apply(i, e)
		must(t, err)
		g.body = journal.AppendEvent(g.body, w.bytes)
	}
	g.a.Touched = nil
	must(t, g.a.End())
	e := journal.Entry{Revision: g.a.Revision, Prev: g.base.chain, Body: g.body}
	must(t, g.a.Set(journal.Key(e.Revision), e.Sealed()))
	for _, f := range s.adding {
		f.AddAll(g.a.Numbers)
	}
	v, err := g.view(e)
	must(t, err)
	must(t, s.commitAt(g.txn, e.Revision))
	must(t, s.writeMark(v.position(), s.tail.Checkpoint))
	s.publish(v)
}

func uncountedOptOut(i int, scope string) *storev1.Event {
	return &storev1.Event{Change: &storev1.Event_OptOut{OptOut: &storev1.OptOut{Number: uint64(fiction(415, i)), Scope: scope}}}
}

func uncountedWithdrawal(i int, scope string) *storev1.Event {
	return &storev1.Event{Change: &storev1.Event_OptOutWithdrawn{OptOutWithdrawn: &storev1.OptOutWithdrawn{Number: uint64(fiction(415, i)), Scope: scope}}}
}

// changesAfter are the ids of the changes that a feed has after a revision, but for rows of lists.
func changesAfter(t *testing.T, s *Store, f feed.Filter, after uint64) (ids []policy.EventID) {
	t.Helper()
	r, err := s.OpenFeed(FeedQuery{Filter: f, After: FeedCursor{Revision: after}})
	must(t, err)
	defer r.Close()
	for more := true; more; {
		b, err := r.Read(context.Background(), 1<<20)
		must(t, err)
		for _, c := range b.Changes {
			if c.ID != (policy.EventID{}) && !slices.Contains(ids, c.ID) {
				ids = append(ids, c.ID)
			}
		}
		more = b.More
	}
	return ids
}

// What an earlier version wrote to a store whose changes are counted reaches a base that is behind, and is counted.
func TestChangesOfAnEarlierBuildReachFeeds(t *testing.T) {
	t.Parallel()
	const last = 10 // of storeWithChanges
	dir := t.TempDir()
	s := storeWithChanges(t, dir)
	list := s.View().Lists()[0]
	f := feed.Filter{Scopes: []policy.Scope{"acme/telecom"}, Lists: []policy.EventID{list.ID}}
	if got := changesAfter(t, s, f, last); len(got) != 0 {
		t.Fatalf("changes %v after the last revision", got)
	}
	ref := &storev1.ListId{Revision: list.ID.Revision, Index: list.ID.Index}
	commitUncounted(t, s, uncountedOptOut(11, "acme"), uncountedOptOut(12, "other"), uncountedOptOut(13, "acme/telecom/x"))
	commitUncounted(t, s, uncountedOptOut(14, "other"))
	commitUncounted(t, s, uncountedWithdrawal(11, "acme"), &storev1.Event{Change: &storev1.Event_ListDeleted{ListDeleted: &storev1.ListDeleted{List: ref}}})
	want := []policy.EventID{{Revision: 11}, {Revision: 11, Index: 2}, {Revision: 13}, {Revision: 13, Index: 1}}
	holds := func(when string) {
		t.Helper()
		if got := changesAfter(t, s, f, last); !slices.Equal(got, want) {
			t.Errorf("%s: changes %v, want %v", when, got, want)
		}
		if n, err := s.View().CountChanges(f, last); err != nil || int(n) != len(want) {
			t.Errorf("%s: %d changes are counted, %v, want %d", when, n, err, len(want))
		}
		if c := countOf(t, s, keys.Counted("acme")); c.GetChanges() != 5 || c.GetRevision() != 13 {
			t.Errorf("%s: acme has %v, want 5 changes up to 13", when, c)
		}
	}
	closeStore(t, s)
	whole(t, dir)
	for _, when := range []string{"opened", "opened again before anything was written"} {
		s = open(t, dir)
		holds(when)
		closeStore(t, s)
		whole(t, dir)
	}
	s = open(t, dir)
	r := optOut(t, s, fiction(415, 15), "acme/telecom")
	want = append(want, r.ID)
	closeStore(t, s)
	whole(t, dir)
	s = open(t, dir)
	holds("with a change after it")
	commitUncounted(t, s, uncountedOptOut(16, "acme/telecom"))
	want = append(want, policy.EventID{Revision: r.ID.Revision + 1})
	closeStore(t, s)
	s = open(t, dir)
	holds("after another one of the earlier version")
}

func whole(t *testing.T, dir string) {
	t.Helper()
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %q", r.Problems)
	}
}

// A copy that ends with what an earlier version wrote is counted after it was put back, and after a repair.
func TestChangesOfAnEarlierBuildOutliveTrouble(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(dir string) error{
		"restored": func(dir string) error { _, err := Restored(context.Background(), dir, testOptions()); return err },
		"repaired": func(dir string) error { _, err := Repair(context.Background(), dir, false, testOptions()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := storeWithChanges(t, dir)
			commitUncounted(t, s, uncountedOptOut(11, "acme"))
			closeStore(t, s)
			must(t, trouble(dir))
			s = open(t, dir)
			f := feed.Filter{Scopes: []policy.Scope{"acme"}}
			if next, found, err := s.View().NextChange(f, 10); err != nil || !found || next != 11 {
				t.Errorf("the next change is of revision %d, %v, %v; want 11", next, found, err)
			}
			closeStore(t, s)
			whole(t, dir)
		})
	}
}
