package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// modelBase is a subscriber in the model.
type modelBase struct {
	scope  policy.Scope // empty: every scope
	parent string
	epoch  int // how often its log began anew
}

// TestModelSubscribers registers, changes, moves and removes subscribers at random, and compares each view with a map. Then the
// journal is replayed: it leads to the same state, whichever revisions of it are lost it refuses nothing, and fsck's book agrees.
func TestModelSubscribers(t *testing.T) {
	t.Parallel()
	modelChecks()
	rapid.Check(t, func(rt *rapid.T) {
		s, err := Open(t.TempDir(), testOptions())
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		m := map[string]*modelBase{}
		names := []string{"a", "b", "c", "d"}
		scopes := []policy.Scope{"", "acme", "acme/x", "other"}
		for range rapid.IntRange(1, 25).Draw(rt, "writes") {
			name := rapid.SampledFrom(names).Draw(rt, "name")
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				modelRemove(rt, s, m, name)
			case 1:
				modelCompare(rt, s, name)
			default:
				modelPut(rt, s, m, name, rapid.SampledFrom(scopes).Draw(rt, "scope"),
					rapid.SampledFrom(append(names, "")).Draw(rt, "parent"), rapid.Bool().Draw(rt, "rebase"))
			}
			wantModel(rt, s.View(), m)
		}
		wantReplayed(rt, s, nil)
		var lost []uint64
		for r := range s.View().Revision() {
			if rapid.IntRange(0, 3).Draw(rt, "lost") == 0 {
				lost = append(lost, r+1)
			}
		}
		wantReplayed(rt, s, lost)
	})
}

func modelPut(t *rapid.T, s *Store, m map[string]*modelBase, name string, scope policy.Scope, parent string, rebase bool) {
	want := modelAllows(m, name, scope, parent)
	w, err := s.PutSubscriber(context.Background(), name, func(v *View, _ *Subscriber, set *SubscriberSettings) error {
		set.Kind, set.Filter.Scopes, set.Parent = Internal, nil, policy.EventID{}
		if scope != "" {
			set.Filter.Scopes = []policy.Scope{scope}
		}
		if p := v.Subscribers().Named(parent); p != nil {
			set.Parent = p.ID
		} else if parent != "" {
			set.Parent = policy.EventID{Revision: math.MaxInt64}
		}
		return nil
	}, rebase, Request{})
	if (err == nil) != want {
		t.Fatalf("put %s at %q below %q: got %v, want it allowed: %v", name, scope, parent, err, want)
	}
	if err != nil {
		return
	}
	old := m[name]
	if w.Created != (old == nil) {
		t.Fatalf("put %s: got created %v", name, w.Created)
	}
	if old == nil {
		old = &modelBase{scope: scope}
		m[name] = old
	} else if rebase || scope != old.scope {
		old.epoch++
	}
	old.scope, old.parent = scope, parent
}

// modelAllows says whether a put is allowed: its parent exists and holds it, it holds its children, and it is not above itself.
func modelAllows(m map[string]*modelBase, name string, scope policy.Scope, parent string) bool {
	for _, child := range m {
		if m[name] != nil && child.parent == name && !scope.Holds(child.scope) {
			return false
		}
	}
	if parent == "" {
		return true
	}
	if m[parent] == nil || !m[parent].scope.Holds(scope) {
		return false
	}
	for above := parent; above != ""; above = m[above].parent {
		if above == name {
			return false
		}
	}
	return true
}

func modelRemove(t *rapid.T, s *Store, m map[string]*modelBase, name string) {
	parents := func(b *modelBase) bool { return b.parent == name }
	want := error(nil)
	switch {
	case m[name] == nil:
		want = ErrSubscriberNotFound
	case slices.ContainsFunc(slices.Collect(values(m)), parents):
		want = ErrSubscriberInvalid
	}
	id := policy.EventID{Revision: math.MaxInt64}
	if one := s.View().Subscribers().Named(name); one != nil {
		id = one.ID
	}
	if _, err := s.RemoveSubscriber(context.Background(), id, Request{}); !errors.Is(err, want) {
		t.Fatalf("remove %s: got %v, want %v", name, err, want)
	}
	if want == nil {
		delete(m, name)
	}
}

func modelCompare(t *rapid.T, s *Store, name string) {
	one := s.View().Subscribers().Named(name)
	if one == nil {
		return
	}
	found := Compared{TakenAt: s.View().Time(), Missing: rapid.Uint64().Draw(t, "missing"), Elapsed: 1}
	receipt, err := s.record(context.Background(), found.event(one), Request{})
	if err != nil {
		t.Fatalf("compare %s: got %v", name, err)
	}
	found.ID, found.Time = receipt.ID, receipt.Time
	if diff := gocmp.Diff(&found, s.View().Subscribers().Named(name).Compared); diff != "" {
		t.Fatalf("the comparison of %s (-want +got): %s", name, diff)
	}
}

func values[K comparable, V any](m map[K]V) func(func(V) bool) {
	return func(yield func(V) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// wantModel compares a view with the model. An epoch is compared by what it is not: the model knows how often, not when.
func wantModel(t *rapid.T, v *View, m map[string]*modelBase) {
	var want, got []string
	for name, b := range m {
		want = append(want, fmt.Sprintf("%s at %q below %q, begun %v", name, b.scope, b.parent, b.epoch == 0))
	}
	for _, s := range v.Subscribers().All() {
		scope, parent := policy.Scope(""), ""
		if len(s.Filter.Scopes) > 0 {
			scope = s.Filter.Scopes[0]
		}
		if p := v.Subscribers().ByID(s.Parent); p != nil {
			parent = p.Name
		}
		got = append(got, fmt.Sprintf("%s at %q below %q, begun %v", s.Name, scope, parent, s.Epoch == s.ID.Revision))
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("revision %d: got %q, want %q", v.Revision(), got, want)
	}
}

// wantReplayed replays the journal without some revisions. Nothing is refused, every name is one subscriber's, and what apply
// writes is what fsck's book says; when nothing is lost it is what the store holds.
func wantReplayed(t *rapid.T, s *Store, lost []uint64) {
	db, err := badger.OpenManaged(badger.DefaultOptions("").WithInMemory(true).WithLogger(nil).WithNumGoroutines(1).WithMemTableSize(8 << 20).WithValueThreshold(1 << 10).WithBlockCacheSize(1 << 20))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	txn := s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	book := apply.Subscribers{}
	for e, err := range journal.Entries(txn, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(lost, e.Revision) {
			continue
		}
		rev, err := e.Decode()
		if err != nil {
			t.Fatal(err)
		}
		to := db.NewTransactionAt(e.Revision-1, true)
		a := apply.Replay(to, e.Revision, rev)
		for i, event := range rev.GetEvents() {
			if _, err := a.Apply(i, event); err != nil {
				t.Fatalf("lost %v: revision %d: %v", lost, e.Revision, err)
			}
			book.Follow(state.EventID(e.Revision, i), rev.GetTime(), event)
		}
		if err := to.CommitAt(e.Revision, nil); err != nil {
			t.Fatal(err)
		}
	}
	replayed := db.NewTransactionAt(math.MaxUint64, false)
	defer replayed.Discard()
	live := map[string]bool{}
	for got, err := range state.Subscribers(replayed) {
		if err != nil || !proto.Equal(got.State, book[got.ID]) {
			t.Fatalf("lost %v: got %v, %v, want %v", lost, got.State, err, book[got.ID])
		}
		name := got.State.GetSettings().GetName()
		if got.State.GetRemoved() == 0 && live[name] {
			t.Fatalf("lost %v: two subscribers are named %s", lost, name)
		}
		live[name] = live[name] || got.State.GetRemoved() == 0
		delete(book, got.ID)
	}
	if len(book) > 0 {
		t.Fatalf("lost %v: %d subscribers of the journal are not there", lost, len(book))
	}
	if len(lost) > 0 {
		return
	}
	if diff := gocmp.Diff(stored(t, s.db), stored(t, db)); diff != "" {
		t.Fatalf("replayed (-want +got):\n%s", diff)
	}
}

// stored are the bytes of all subscribers of a store.
func stored(t *rapid.T, db *badger.DB) (all []string) {
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	for one, err := range state.Subscribers(txn) {
		item, failed := txn.Get(keys.Subscriber(one.ID))
		if err := cmp.Or(err, failed); err != nil {
			t.Fatal(err)
		}
		value, err := item.ValueCopy(nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(value))
	}
	return all
}
