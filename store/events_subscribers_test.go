package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// putSub registers a subscriber, or changes it.
func putSub(s *Store, name string, change func(*SubscriberSettings), r ...Request) (SubscriberWrite, error) {
	return s.PutSubscriber(context.Background(), name, func(_ *View, old *Subscriber, set *SubscriberSettings) error {
		if old == nil {
			set.Kind = Internal
		}
		change(set)
		return nil
	}, false, append(r, Request{})[0])
}

func mustPut(t *testing.T, s *Store, name string, change func(*SubscriberSettings)) *Subscriber {
	t.Helper()
	w, err := putSub(s, name, change)
	if err != nil {
		t.Fatal(err)
	}
	return w.Subscriber
}

func rebase(t *testing.T, s *Store, name string) *Subscriber {
	t.Helper()
	w, err := s.PutSubscriber(context.Background(), name, func(*View, *Subscriber, *SubscriberSettings) error { return nil }, true, Request{})
	must(t, err)
	return w.Subscriber
}

func mustRemove(t *testing.T, s *Store, name string) {
	t.Helper()
	_, err := s.RemoveSubscriber(context.Background(), s.View().Subscribers().Named(name).ID, Request{})
	must(t, err)
}

func atScopes(scopes ...policy.Scope) func(*SubscriberSettings) {
	return func(set *SubscriberSettings) { set.Filter.Scopes = scopes }
}

func childOf(parent *Subscriber, scopes ...policy.Scope) func(*SubscriberSettings) {
	return func(set *SubscriberSettings) { set.Parent, set.Filter.Scopes = parent.ID, scopes }
}

func nothing(*SubscriberSettings) {}

// publicKey is the text of a new key.
func publicKey(t *testing.T, name string) string {
	t.Helper()
	_, key, err := feed.NewKey(name)
	must(t, err)
	return key.Text()
}

var ignoreVerifiers = cmp.Options{cmpopts.IgnoreFields(Subscriber{}, "Verifiers"), cmp.AllowUnexported(Subscriber{})}

// wantSubscribers compares the names of a view's subscribers.
func wantSubscribers(t *testing.T, v *View, want ...string) {
	t.Helper()
	var got []string
	for _, s := range v.Subscribers().All() {
		got = append(got, s.Name)
		if v.Subscribers().ByID(s.ID) != s || v.Subscribers().Named(s.Name) != s {
			t.Errorf("%s is not found by its name and id", s.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("subscribers: got %v, want %v", got, want)
	}
}

// A subscriber counts from its commit on, with all that was said of it, also in a store that is opened again.
func TestSubscriberIsRegistered(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openAt(t, dir, clock)
	registry := createList(t, s, "registry", usRegistry())
	parent := mustPut(t, s, "call-centre", func(set *SubscriberSettings) {
		set.Kind, set.AllowRegistry, set.Filter = Subcontractor, true, feed.Filter{Lists: []policy.EventID{registry.ID}}
	})
	key := publicKey(t, "call-centre-2-2026")
	clock.advance(time.Hour)
	before := s.View()
	w, err := putSub(s, "call-centre-2", func(set *SubscriberSettings) {
		*set = SubscriberSettings{
			Name: "another", Kind: Subcontractor, Owner: "Ann", Parent: parent.ID, Contact: "ann@centre.example", AllowRegistry: true,
			Filter:   feed.Filter{Scopes: []policy.Scope{"b", "a/c", "b"}, Lists: []policy.EventID{registry.ID, registry.ID}},
			Deadline: time.Minute, Keys: []string{key + "\n"}, Identity: "CN of the centre",
		}
		set.Name = "call-centre-2"
	})
	must(t, err)
	want := &Subscriber{
		SubscriberSettings: SubscriberSettings{
			Name: "call-centre-2", Kind: Subcontractor, Owner: "Ann", Parent: parent.ID, Contact: "ann@centre.example", AllowRegistry: true,
			Filter:   feed.Filter{Scopes: []policy.Scope{"a/c", "b"}, Lists: []policy.EventID{registry.ID}},
			Deadline: time.Minute, Keys: []string{key}, Identity: "CN of the centre",
		},
		ID: w.ID, Epoch: w.ID.Revision, CreatedAt: day(8).Add(time.Hour), UpdatedAt: day(8).Add(time.Hour), UpdatedRevision: w.ID.Revision,
	}
	want.FilterHash = want.Filter.Hash()
	if !w.Created || w.Duplicate || len(w.Subscriber.Verifiers) != 1 || before.Subscribers().Named("call-centre-2") != nil {
		t.Errorf("got %+v, want it created, with a key, in no earlier view", w)
	}
	for _, again := range []bool{false, true} {
		if again {
			closeStore(t, s)
			s = openAt(t, dir, clock)
		}
		if diff := cmp.Diff(want, s.View().Subscribers().Named("call-centre-2"), ignoreVerifiers); diff != "" {
			t.Errorf("opened again %v (-want +got):\n%s", again, diff)
		}
		wantSubscribers(t, s.View(), "call-centre", "call-centre-2")
	}
	past, err := s.ViewAt(before.Revision())
	must(t, err)
	all, err := past.AllSubscribers()
	if must(t, err); len(all) != 1 || past.Subscribers().All() != nil {
		t.Errorf("the past: got %v, want the parent on request", all)
	}
}

// Its log begins anew with another filter, when that is asked for, and with another journal; not with anything else.
func TestEpochOfASubscriber(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	epoch := mustPut(t, s, "a", atScopes("acme", "other")).Epoch
	for _, c := range []struct {
		what   string
		change func() *Subscriber
		anew   bool
	}{
		{"owner", func() *Subscriber { return mustPut(t, s, "a", func(set *SubscriberSettings) { set.Owner = "Ann" }) }, false},
		{"keys", func() *Subscriber {
			return mustPut(t, s, "a", func(set *SubscriberSettings) { set.Keys = []string{publicKey(t, "k")} })
		}, false},
		{"the same scopes in another order", func() *Subscriber { return mustPut(t, s, "a", atScopes("other", "acme", "acme")) }, false},
		{"a scope less", func() *Subscriber { return mustPut(t, s, "a", atScopes("acme")) }, true},
		{"every scope", func() *Subscriber { return mustPut(t, s, "a", atScopes()) }, true},
		{"rebase", func() *Subscriber { return rebase(t, s, "a") }, true},
		{"another subscriber", func() *Subscriber { mustPut(t, s, "b", nothing); return s.View().Subscribers().Named("a") }, false},
	} {
		got := c.change()
		if anew := got.Epoch == s.View().Revision(); anew != c.anew || !anew && got.Epoch != epoch {
			t.Errorf("%s: got epoch %d at revision %d after %d, want it anew: %v", c.what, got.Epoch, s.View().Revision(), epoch, c.anew)
		}
		epoch = got.Epoch
	}
}

// A name that was removed is free, and names another subscriber when it is used again. The removed one stays for reports.
func TestNameOfASubscriberIsUsedAgain(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openAt(t, dir, clock)
	first := mustPut(t, s, "a", atScopes("acme"))
	clock.set(day(9))
	mustRemove(t, s, "a")
	wantSubscribers(t, s.View())
	if _, err := s.RemoveSubscriber(context.Background(), first.ID, Request{}); !errors.Is(err, ErrSubscriberNotFound) {
		t.Errorf("removed twice: got %v, want ErrSubscriberNotFound", err)
	}
	second := mustPut(t, s, "a", nothing)
	if second.ID == first.ID || len(second.Filter.Scopes) > 0 {
		t.Errorf("got %+v, want another id than %v and nothing of what was", second, first.ID)
	}
	for _, again := range []bool{false, true} {
		if again {
			closeStore(t, s)
			s = openAt(t, dir, clock)
		}
		all, err := s.View().AllSubscribers()
		must(t, err)
		if len(all) != 2 || all[0].ID != first.ID || !all[0].RemovedAt.Equal(day(9)) || all[1].ID != second.ID || !all[1].RemovedAt.IsZero() {
			t.Errorf("opened again %v: got %+v, want the removed one and the other", again, all)
		}
		wantSubscribers(t, s.View(), "a")
	}
}

func TestSubscriberIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	registry := createList(t, s, "registry", usRegistry())
	ours := createList(t, s, "ours", Settings{Kind: policy.ListSuppression})
	a := mustPut(t, s, "a", func(set *SubscriberSettings) {
		set.Filter = feed.Filter{Scopes: []policy.Scope{"acme", "other"}, Lists: []policy.EventID{ours.ID}}
	})
	b := mustPut(t, s, "b", childOf(a, "acme/b"))
	c := mustPut(t, s, "c", func(set *SubscriberSettings) {
		set.Parent, set.Filter = b.ID, feed.Filter{Scopes: []policy.Scope{"acme/b/c"}}
	})
	before := s.View()
	long := strings.Repeat("x", 257)
	key := publicKey(t, "k")
	for what, tt := range map[string]struct {
		name   string
		change func(*SubscriberSettings)
		want   error
	}{
		"a name of a number":   {"4155550123", nothing, ErrSubscriberSettings},
		"a name in upper case": {"A", nothing, ErrSubscriberSettings},
		"no kind":              {"x", func(set *SubscriberSettings) { set.Kind = 0 }, ErrSubscriberSettings},
		"an unknown kind":      {"x", func(set *SubscriberSettings) { set.Kind = 3 }, ErrSubscriberSettings},
		"a long owner":         {"x", func(set *SubscriberSettings) { set.Owner = long }, ErrSubscriberSettings},
		"a long contact":       {"x", func(set *SubscriberSettings) { set.Contact = long }, ErrSubscriberSettings},
		"no deadline":          {"x", func(set *SubscriberSettings) { set.Deadline = 0 }, ErrSubscriberSettings},
		"a long deadline":      {"x", func(set *SubscriberSettings) { set.Deadline = MaxDeadline + 1 }, ErrSubscriberSettings},
		"an empty scope":       {"x", atScopes(""), ErrSubscriberSettings},
		"too many scopes":      {"x", atScopes(slices.Repeat([]policy.Scope{"a"}, feed.MaxScopes+1)...), ErrSubscriberSettings},
		"no key":               {"x", func(set *SubscriberSettings) { set.Keys = []string{"key"} }, ErrSubscriberSettings},
		"a private key":        {"x", func(set *SubscriberSettings) { set.Keys = []string{privateKey(t)} }, ErrSubscriberSettings},
		"a key twice":          {"x", func(set *SubscriberSettings) { set.Keys = []string{key, key} }, ErrSubscriberSettings},
		"nine keys":            {"x", func(set *SubscriberSettings) { set.Keys = slices.Repeat([]string{key}, MaxKeys+1) }, ErrSubscriberSettings},
		"a number as identity": {"x", func(set *SubscriberSettings) { set.Identity = "+14155550123" }, ErrSubscriberSettings},
		"no such list":         {"x", func(set *SubscriberSettings) { set.Filter.Lists = []policy.EventID{{Revision: 1, Index: 7}} }, ErrListNotFound},
		"no such parent":       {"x", func(set *SubscriberSettings) { set.Parent = policy.EventID{Revision: 1} }, ErrSubscriberNotFound},
		"its own parent":       {"a", childOf(a, "acme", "other"), ErrSubscriberInvalid},
		"its child's child":    {"a", childOf(c, "acme/b/c"), ErrSubscriberInvalid},
		"every scope":          {"x", childOf(a), ErrSubscriberInvalid},
		"a scope above":        {"x", childOf(b, "acme"), ErrSubscriberInvalid},
		"a scope beside":       {"x", childOf(a, "acme", "acme2"), ErrSubscriberInvalid},
		"less than its child":  {"b", atScopes("acme/b/d"), ErrSubscriberInvalid},
		"a list of its own":    {"b", func(set *SubscriberSettings) { set.Filter.Lists = []policy.EventID{registry.ID} }, ErrSubscriberInvalid},
		"a registry, no licence": {"x", func(set *SubscriberSettings) {
			set.Kind, set.Filter.Lists = Subcontractor, []policy.EventID{ours.ID, registry.ID}
		}, ErrSubscriberInvalid},
	} {
		if _, err := putSub(s, tt.name, tt.change); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", what, err, tt.want)
		}
	}
	if _, err := s.RemoveSubscriber(context.Background(), b.ID, Request{}); !errors.Is(err, ErrSubscriberInvalid) || !strings.Contains(err.Error(), "parent of c") {
		t.Errorf("a parent: got %v, want ErrSubscriberInvalid that names the child", err)
	}
	if s.View() != before {
		t.Errorf("refusals led to revision %d", s.View().Revision())
	}
	mustPut(t, s, "b", func(set *SubscriberSettings) { set.Filter.Lists = []policy.EventID{ours.ID} })
	mustRemove(t, s, "c")
	mustRemove(t, s, "b")
}

func privateKey(t *testing.T) string {
	t.Helper()
	private, _, err := feed.NewKey("k")
	must(t, err)
	return private
}

// A list that is gone stays in a filter until the filter is changed: only its id says what its rows were.
func TestSubscriberKeepsAListThatIsGone(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	l := createList(t, s, "dnc", Settings{Kind: policy.ListSuppression})
	withList := func(set *SubscriberSettings) { set.Filter.Lists = []policy.EventID{l.ID} }
	parent := mustPut(t, s, "a", withList)
	child := mustPut(t, s, "b", func(set *SubscriberSettings) { withList(set); set.Parent = parent.ID })
	_, err := s.DeleteList(context.Background(), l.ID, Request{Confirmed: true})
	must(t, err)
	got := mustPut(t, s, "b", func(set *SubscriberSettings) { set.Owner = "Ann" })
	if got.Epoch != child.Epoch || !got.Filter.ConcernsList(l.ID) {
		t.Errorf("got %+v, want the list still there", got)
	}
	mustPut(t, s, "a", func(set *SubscriberSettings) { set.Filter.Lists = nil }) // nothing comes of the child's list any more
	if _, err := putSub(s, "c", withList); !errors.Is(err, ErrListNotFound) {
		t.Errorf("another subscriber with the list: got %v, want ErrListNotFound", err)
	}
}

// Of two that register one name in the same revision, the second changes what the first registered: apply decides.
func TestTwoPutsOfOneNameInOneGroup(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	release := holdCommitter(t, s)
	event := func(scope string) *storev1.Event {
		set := SubscriberSettings{Name: "a", Kind: Internal, Deadline: time.Hour, Filter: feed.Filter{Scopes: []policy.Scope{policy.Scope(scope)}}}
		return &storev1.Event{Change: &storev1.Event_SubscriberPut{SubscriberPut: &storev1.SubscriberPut{Settings: set.message()}}}
	}
	desk := func(name string) *storev1.Event {
		return &storev1.Event{Change: &storev1.Event_DeskPut{DeskPut: &storev1.DeskPut{Settings: &storev1.DeskSettings{Name: name}}}}
	}
	first, second := queued(t, s, event("one"), Request{}), queued(t, s, event("two"), Request{})
	desk1, desk2 := queued(t, s, desk("After-Sales"), Request{}), queued(t, s, desk(" after-sales"), Request{})
	writes := make(chan SubscriberWrite, 1)
	go func() {
		w, err := putSub(s, "a", atScopes("three"))
		if err != nil {
			t.Error(err)
		}
		writes <- w
	}()
	for len(s.queue) < 5 {
		time.Sleep(time.Millisecond)
	}
	release()
	for i, w := range []*pendingEvent{first, second, desk1, desk2} {
		if a := <-w.replies; (i%2 == 0) != (a.err == nil) {
			t.Errorf("write %d: got %v", i, a.err)
		}
	}
	w := <-writes
	if w.Created || w.Subscriber.ID != (policy.EventID{Revision: 1}) || w.ID.Revision != 2 || !slices.Equal(w.Subscriber.Filter.Scopes, []policy.Scope{"three"}) {
		t.Errorf("got %+v, want a change of the first in the next revision", w)
	}
	if got := s.View().Desks().All(); len(got) != 1 || got[0].Name != "After-Sales" {
		t.Errorf("got desks %v, want one", got)
	}
}

// Of two changes that were made from the same settings, the second is made again: none undoes the other.
func TestChangesOfASubscriberAreNotLost(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	mustPut(t, s, "a", nothing)
	done := make(chan error)
	for i := range 8 {
		go func() {
			_, err := putSub(s, "a", func(set *SubscriberSettings) {
				set.Filter.Scopes = append(slices.Clone(set.Filter.Scopes), policy.Scope(fmt.Sprint("s", i)))
			})
			done <- err
		}()
	}
	for range 8 {
		must(t, <-done)
	}
	if got := s.View().Subscribers().Named("a").Filter.Scopes; len(got) != 8 {
		t.Errorf("got scopes %v, want all 8", got)
	}
}

func TestSubscriberIsWrittenOncePerRequest(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	asked := func(id, what string) Request { return Request{ID: id, Asked: []byte(what)} }
	first, err := putSub(s, "a", nothing, asked("1", "a"))
	must(t, err)
	again, err := putSub(s, "a", nothing, asked("1", "a"))
	if err != nil || !again.Duplicate || again.ID != first.ID || !again.Created || again.Subscriber != s.View().Subscribers().Named("a") {
		t.Errorf("a repeat: got %+v, %v; want the first receipt", again, err)
	}
	if _, err := putSub(s, "b", nothing, asked("1", "b")); !errors.Is(err, ErrRequestReused) {
		t.Errorf("another under the same id: got %v, want ErrRequestReused", err)
	}
	gone, err := s.RemoveSubscriber(context.Background(), first.Subscriber.ID, asked("2", "rm a"))
	must(t, err)
	if w, found, err := s.RepeatedSubscriberWrite(asked("2", "rm a")); !found || err != nil || w.ID != gone.ID || !w.Duplicate {
		t.Errorf("a repeated removal: got %+v, %v, %v", w, found, err)
	}
	if _, _, err := s.RepeatedSubscriberWrite(asked("1", "a")); !errors.Is(err, ErrSubscriberNotFound) {
		t.Errorf("a repeat after it was removed: got %v, want ErrSubscriberNotFound", err)
	}
}

// What is stored and cannot be read is damage, and the others still count; fsck holds all of them against the journal.
func TestDamagedSubscriberIsDamage(t *testing.T) {
	t.Parallel()
	stale := func(t *testing.T, s *Store, key []byte) []byte { // what was there one revision ago
		txn := s.db.NewTransactionAt(s.View().Revision()-1, false)
		defer txn.Discard()
		item, err := txn.Get(key)
		must(t, err)
		value, err := item.ValueCopy(nil)
		must(t, err)
		return value
	}
	for what, value := range map[string]func(*testing.T, *Store, []byte) []byte{
		"unreadable": func(*testing.T, *Store, []byte) []byte { return []byte("damaged") },
		"missing":    func(*testing.T, *Store, []byte) []byte { return nil },
		"stale":      stale,
	} {
		for _, kind := range []byte{keys.KindSubscriber, keys.KindDesk} {
			t.Run(what+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				s := open(t, dir)
				a, b := mustPut(t, s, "a", nothing), mustPutDesk(t, s, "desk-a")
				mustPut(t, s, "b", nothing)
				mustPutDesk(t, s, "desk-b")
				key := keys.Subscriber(a.ID)
				if kind == keys.KindDesk {
					key = keys.Desk(b.ID)
					_, err := s.PutDesk(context.Background(), "desk-a", func(_ *Desk, set *DeskSettings) error { set.Owner = "Ann"; return nil }, Request{})
					must(t, err)
				} else {
					mustPut(t, s, "a", atScopes("acme"))
				}
				putState(t, s, key, value(t, s, key))
				closeStore(t, s)
				if r := mustFsck(t, dir); len(r.Problems) == 0 {
					t.Error("fsck finds nothing")
				}
				s = open(t, dir)
				if damaged := errors.Is(s.State().Cause, ErrDamaged); damaged != (what == "unreadable") {
					t.Errorf("state %v", s.State().Cause)
				}
				if s.View().Subscribers().Named("b") == nil || s.View().Desks().Named("desk-b") == nil {
					t.Error("what can be read is not there")
				}
				closeStore(t, s)
				_, err := Repair(context.Background(), dir, false, testOptions())
				must(t, err)
				s = open(t, dir)
				wantSubscribers(t, s.View(), "a", "b")
				if got := s.View().Desks().Named("desk-a"); got == nil || kind == keys.KindDesk && got.Owner != "Ann" {
					t.Errorf("after repair: got desk %+v", got)
				}
			})
		}
	}
}

// Subscribers are as they were after a kill and a repair. A copy that was put back has them with a new epoch: positions of the
// journal that it came from say nothing in the new one.
func TestSubscribersOutliveTrouble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	mustPut(t, s, "a", atScopes("acme"))
	mustPut(t, s, "b", nothing)
	mustPut(t, s, "gone", nothing)
	mustRemove(t, s, "gone")
	mustPut(t, s, "a", atScopes("other"))
	mustPutDesk(t, s, "After-Sales")
	want, wantAll := s.View().Subscribers().All(), mustAll(t, s)
	killed := copyOf(t, dir)
	closeStore(t, s)
	copied, harmed := copyOf(t, dir), copyOf(t, dir)
	mustRestore(t, copied)
	must(t, os.Remove(filepath.Join(harmed, "badger", "MANIFEST")))
	_, err := Repair(context.Background(), harmed, false, testOptions())
	must(t, err)
	for name, dir := range map[string]string{"killed": killed, "put back": copied, "repaired": harmed} {
		s := open(t, dir)
		got, gotAll := s.View().Subscribers().All(), mustAll(t, s)
		if name == "put back" {
			for _, one := range got {
				if one.Epoch != s.View().Revision() {
					t.Errorf("put back: epoch of %s: got %d, want %d", one.Name, one.Epoch, s.View().Revision())
				}
			}
			if gotAll[2].Epoch != wantAll[2].Epoch {
				t.Error("put back: the epoch of a removed subscriber changed")
			}
			ignore := cmp.Options{ignoreVerifiers, cmpopts.IgnoreFields(Subscriber{}, "Epoch")}
			if diff := cmp.Diff(want, got, ignore); diff != "" {
				t.Errorf("put back (-want +got):\n%s", diff)
			}
		} else if diff := cmp.Diff(wantAll, gotAll, ignoreVerifiers); diff != "" || s.State().Cause != nil {
			t.Errorf("%s: state %v (-want +got):\n%s", name, s.State().Cause, diff)
		}
		if s.View().Desks().Named("after-sales") == nil {
			t.Errorf("%s: the desk is not there", name)
		}
		closeStore(t, s)
		if r := mustFsck(t, dir); !r.OK() {
			t.Errorf("%s: fsck: %v", name, r.Problems)
		}
	}
}

func mustAll(t *testing.T, s *Store) []*Subscriber {
	t.Helper()
	all, err := s.View().AllSubscribers()
	must(t, err)
	return all
}

// After a loss that was accepted, every log begins anew, and what the lost revisions may have changed is named.
func TestLostRevisionsLeaveSubscribersInDoubt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	mustPut(t, s, "a", atScopes("acme"))
	b := mustPut(t, s, "b", nothing)
	closeStore(t, s)
	s = open(t, dir)
	release := holdCommitter(t, s)
	set := SubscriberSettings{Name: "c", Kind: Internal, Deadline: time.Hour}
	one := queued(t, s, &storev1.Event{Change: &storev1.Event_SubscriberPut{SubscriberPut: &storev1.SubscriberPut{Settings: set.message()}}}, Request{})
	queued(t, s, &storev1.Event{Change: &storev1.Event_SubscriberRemoved{SubscriberRemoved: &storev1.SubscriberRemoved{Subscriber: state.Ref(b.ID)}}}, Request{})
	release()
	if a := <-one.replies; a.err != nil || a.receipt.ID.Revision != 3 {
		t.Fatalf("got %+v, %v; want both in revision 3", a.receipt, a.err)
	}
	wantSubscribers(t, s.View(), "a", "c")
	// Later revisions rest on what is lost: a change of c, and another b.
	mustPut(t, s, "c", func(set *SubscriberSettings) { set.Owner = "Ann" })
	mustPut(t, s, "b", atScopes("other"))
	d := damagedStore{dir: copyOf(t, dir)}
	damageRevision(t, s, d.file(t, "badger/*.mem"), 3)
	r, err := Repair(context.Background(), d.dir, true, testOptions())
	must(t, err)
	if want := []string{"a"}; !slices.Equal(r.DoubtfulSubscribers, want) || len(r.Missed) > 0 {
		t.Errorf("in doubt: got %v, want %v; missed: %v", r.DoubtfulSubscribers, want, r.Missed)
	}
	if r := mustFsck(t, d.dir); !r.OK() {
		t.Errorf("after it: %v", r.Problems)
	}
	s = open(t, d.dir)
	wantSubscribers(t, s.View(), "a", "b", "c")
	for _, got := range s.View().Subscribers().All() {
		if got.Epoch != s.View().Revision() {
			t.Errorf("%s: got epoch %d, want %d", got.Name, got.Epoch, s.View().Revision())
		}
	}
	if got := s.View().Subscribers().Named("b"); got.ID == b.ID {
		t.Error("b is the one that was removed")
	}
	if got := s.View().Subscribers().Named("c"); got.ID.Revision != 3 || got.Owner != "Ann" {
		t.Errorf("c: got %+v, want what its later change says", got)
	}
}
