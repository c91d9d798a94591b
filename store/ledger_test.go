package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// ledger is what a child that was stopped in the middle must have left behind: what it acknowledged, and of what was
// under way either outcome.
type ledger struct {
	numbers map[uint64]*numberLedger
	lists   map[string]*listLedger
	grants  map[string]*numberLedger // by name; what a number holds is here whether it is granted
}

type numberLedger struct {
	mayHold, mayLack bool // an opt-out in force
	events           map[policy.EventID]EventKind
}

// listLedger is in generations of content; 0 is a list that was never loaded.
type listLedger struct {
	loaded uint64
	tried  []uint64 // since
}

func newLedger() *ledger {
	l := &ledger{numbers: map[uint64]*numberLedger{}, lists: map[string]*listLedger{}, grants: map[string]*numberLedger{}}
	for i := range childLists {
		l.lists[childList(i)] = &listLedger{}
	}
	return l
}

// note takes in what a child told.
func (l *ledger) note(deeds []deed) {
	for _, d := range deeds {
		if d.kind == didLoad {
			l.lists[d.list].note(d)
			continue
		}
		if d.kind == didGrant || d.kind == didRevoke {
			noteIn(l.grants, d.list, d)
			continue
		}
		noteIn(l.numbers, d.about, d)
	}
}

func noteIn[K comparable](ledgers map[K]*numberLedger, key K, d deed) {
	n := ledgers[key]
	if n == nil {
		n = &numberLedger{mayLack: true, events: map[policy.EventID]EventKind{}}
		ledgers[key] = n
	}
	n.note(d)
}

// noteUncertain takes in what was told after the moment that counts: it may have happened before or not.
func (l *ledger) noteUncertain(deeds []deed) {
	for _, d := range deeds {
		if !d.acked {
			l.note([]deed{d})
		}
	}
}

func (n *numberLedger) note(d deed) {
	holds := d.kind == didOptOut || d.kind == didGrant
	if !d.acked {
		n.mayHold, n.mayLack = n.mayHold || holds, n.mayLack || !holds
		return
	}
	n.mayHold, n.mayLack = holds, !holds
	n.events[d.id] = EventOptOutWithdrawn
	if holds {
		n.events[d.id] = EventOptOut
	}
}

func (l *listLedger) note(d deed) {
	if !d.acked {
		l.tried = append(l.tried, d.about)
		return
	}
	l.loaded, l.tried = d.about, nil
}

// verify holds the store against the ledger: at once, and again when what the store does by itself is done.
func (l *ledger) verify(t *testing.T, s *Store) {
	t.Helper()
	if cause := s.State().Cause; cause != nil {
		t.Errorf("state: %v, want none", cause)
		return
	}
	v := s.View()
	for name := range l.lists {
		l.verifyList(t, v, name)
	}
	l.verifyNumbers(t, s)
	l.verifyGrants(t, v)
	l.verifyHistory(t, v)
	settle(t, s)
	for name, list := range l.lists {
		was, _ := v.List(name)
		content := l.verifyList(t, s.View(), name)
		if was.Pending != 0 && !slices.Contains(list.tried, content) {
			t.Errorf("list %s: the load that was prepared came to generation %d, want one of %d", name, content, list.tried)
		}
	}
	l.verifyNumbers(t, s)
}

// verifyList returns the generation that the list holds as a whole, by its export and by checks.
func (l *ledger) verifyList(t *testing.T, v *View, name string) uint64 {
	t.Helper()
	list, err := v.List(name)
	if err != nil {
		t.Error(err)
		return 0
	}
	got := exportList(t, v, list)
	for _, n := range got {
		f := &policy.Facts{Scope: "acme"}
		v.Lookup(phone.Number(n), f)
		if !slices.ContainsFunc(f.Lists, func(m policy.Membership) bool { return m.Listed && m.List.Name == name }) {
			t.Errorf("list %s holds a number that a check does not find (…%d)", name, n%100)
			return 0
		}
	}
	want := l.lists[name]
	for _, generation := range append(want.tried, want.loaded) {
		content := []uint64{}
		if generation != 0 {
			content = childContent(generation)
		}
		if slices.Equal(got, content) {
			return generation
		}
	}
	t.Errorf("list %s holds %d numbers, neither generation %d nor one of %d", name, len(got), want.loaded, want.tried)
	return 0
}

func (l *ledger) verifyNumbers(t *testing.T, s *Store) {
	t.Helper()
	wrong := 0
	for n, want := range l.numbers {
		f := &policy.Facts{Scope: "acme"}
		s.View().Lookup(phone.Number(n), f)
		holds := policy.Decide(f, nil, s.Now()).Verdict == policy.Block
		if f.Damaged || holds && !want.mayHold || !holds && !want.mayLack {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d numbers are not as their last acknowledged write left them", wrong, len(l.numbers))
	}
}

func (l *ledger) verifyGrants(t *testing.T, v *View) {
	t.Helper()
	for name, want := range l.grants {
		g := v.Access().Token(access.SecretOf(name))
		if g != nil && !want.mayHold || g == nil && !want.mayLack || g != v.Access().Named(name) {
			t.Errorf("grant %s: got %+v, want it there %v, gone %v", name, g, want.mayHold, want.mayLack)
		}
	}
}

func (l *ledger) verifyHistory(t *testing.T, v *View) {
	t.Helper()
	for n, want := range l.numbers {
		if err := want.missingFrom(v, phone.Number(n)); err != nil {
			t.Error(err)
			return
		}
	}
}

func (n *numberLedger) missingFrom(v *View, number phone.Number) error {
	events, _, err := v.History(number, policy.EventID{}, 1_000_000)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	held := map[policy.EventID]EventKind{}
	for _, e := range events {
		if e.StoryState == StoryMissing {
			return fmt.Errorf("the story of event %v is missing", e.ID)
		}
		held[e.ID] = e.Kind
	}
	for id, kind := range n.events {
		if held[id] != kind {
			return fmt.Errorf("event %v of kind %d was acknowledged, the history has kind %d", id, kind, held[id])
		}
	}
	return nil
}

// settle waits until the store has finished by itself what was interrupted: loads that were prepared, and filters.
func settle(t *testing.T, s *Store) {
	t.Helper()
	// Loads run at the lowest priority: beside tests that keep every core busy they wait for minutes.
	for deadline := time.Now().Add(5 * time.Minute); !settled(s); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the store does not finish what was interrupted")
		}
	}
}

func settled(s *Store) bool {
	if cause := s.State().Cause; errors.Is(cause, ErrDamaged) || errors.Is(cause, ErrStoriesDamaged) {
		return true // what was interrupted waits for the next start
	}
	v := s.View()
	return v.records != nil && !slices.ContainsFunc(v.Lists(), func(l *List) bool {
		return l.Pending != 0 || l.ContentRevision != 0 && l.filter == nil
	})
}
