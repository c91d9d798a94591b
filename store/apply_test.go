package store

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// TestApplyHoldsALoadAgainstTheList gives Apply events that were made from another state of the list than the one they meet, as
// another node may: each is refused and leaves no trace.
func TestApplyHoldsALoadAgainstTheList(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "idle", Settings{Kind: policy.ListSuppression})
	createList(t, s, "taken", Settings{Kind: policy.ListSuppression})
	load(t, s, "idle", Replace, registryNumbers(10), Commit{})
	load(t, s, "taken", Replace, registryNumbers(10), Commit{})
	prepared := prepareOnly(t, s, header("taken", Replace), registryNumbers(20), Commit{})
	idle, taken := listOf(t, s, "idle"), listOf(t, s, "taken")
	of, busy := state.ListRef(idle.ID), state.ListRef(taken.ID)
	load, settings := idle.state.GetLoad(), idle.Settings.message()
	for _, c := range []struct {
		name   string
		change func(wrong uint64) *storev1.Event
		right  uint64
		want   error
	}{
		{"updated", func(base uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_ListUpdated{ListUpdated: &storev1.ListUpdated{List: of, Settings: settings, Base: base}}}
		}, idle.ContentRevision, fault.ErrMoved},
		{"prepared", func(base uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadPrepared{LoadPrepared: &storev1.LoadPrepared{List: of, Load: load, Base: base}}}
		}, idle.ContentRevision, fault.ErrMoved},
		{"confirmed", func(base uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadConfirmed{LoadConfirmed: &storev1.LoadConfirmed{List: of, Load: load, Base: base}}}
		}, idle.ContentRevision, fault.ErrMoved},
		{"switched", func(at uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadSwitched{LoadSwitched: &storev1.LoadSwitched{List: busy, Prepared: at}}}
		}, prepared, fault.ErrMoved},
		{"abandoned", func(at uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadAbandoned{LoadAbandoned: &storev1.LoadAbandoned{List: busy, Prepared: at}}}
		}, prepared, fault.ErrMoved},
		{"updated while it is loaded", func(uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_ListUpdated{ListUpdated: &storev1.ListUpdated{List: busy, Settings: settings, Base: taken.ContentRevision}}}
		}, 0, ErrImportRunning},
		{"prepared while it is loaded", func(uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadPrepared{LoadPrepared: &storev1.LoadPrepared{List: busy, Load: load, Base: taken.ContentRevision}}}
		}, 0, ErrImportRunning},
		{"confirmed while it is loaded", func(uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadConfirmed{LoadConfirmed: &storev1.LoadConfirmed{List: busy, Load: load, Base: taken.ContentRevision}}}
		}, 0, ErrImportRunning},
		{"deleted while it is loaded", func(uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_ListDeleted{ListDeleted: &storev1.ListDeleted{List: busy}}}
		}, 0, ErrImportRunning},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.View()
			for _, wrong := range []uint64{0, c.right - 1, c.right + 1} {
				if _, err := s.submit(context.Background(), &pendingEvent{event: c.change(wrong)}); !errors.Is(err, c.want) {
					t.Errorf("made at %d, met at %d: %v, want %v", wrong, c.right, err, c.want)
				}
			}
			if s.View() != before {
				t.Errorf("a refused event led to revision %d", s.View().Revision())
			}
			if !errors.Is(c.want, fault.ErrMoved) {
				return
			}
			txn := s.db.NewTransactionAt(before.revision, true)
			defer txn.Discard()
			if _, err := apply.New(txn, before.revision+1, 1, 0).Apply(0, c.change(c.right)); err != nil {
				t.Errorf("made at the state that it meets: %v", err)
			}
		})
	}
}

// applyOne applies one event on top of the newest view, in a transaction that is dropped, and returns it.
func applyOne(t *testing.T, s *Store, before func(*badger.Txn), e *storev1.Event) (*apply.Applier, error) {
	t.Helper()
	txn := s.db.NewTransactionAt(s.View().Revision(), true)
	t.Cleanup(txn.Discard)
	if before != nil {
		before(txn)
	}
	a := apply.New(txn, s.View().Revision()+1, 1, 0)
	_, err := a.Apply(0, e)
	return a, err
}

func unloadEvent(of *storev1.ListId) *storev1.Event {
	return &storev1.Event{Change: &storev1.Event_ListUnloaded{ListUnloaded: &storev1.ListUnloaded{List: of}}}
}

// Events about a list that is not there are refused; one whose load has no import is damage.
func TestApplyMissesAList(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	gone := state.ListRef(policy.EventID{Revision: 99})
	for _, e := range []*storev1.Event{
		{Change: &storev1.Event_ListUpdated{ListUpdated: &storev1.ListUpdated{List: gone}}},
		{Change: &storev1.Event_ListDeleted{ListDeleted: &storev1.ListDeleted{List: gone}}},
		{Change: &storev1.Event_LoadPrepared{LoadPrepared: &storev1.LoadPrepared{List: gone, Load: &storev1.Load{}}}},
		{Change: &storev1.Event_LoadSwitched{LoadSwitched: &storev1.LoadSwitched{List: gone}}},
		{Change: &storev1.Event_LoadAbandoned{LoadAbandoned: &storev1.LoadAbandoned{List: gone}}},
		{Change: &storev1.Event_LoadConfirmed{LoadConfirmed: &storev1.LoadConfirmed{List: gone, Load: &storev1.Load{}}}},
		unloadEvent(gone),
	} {
		if a, err := applyOne(t, s, nil, e); !errors.Is(err, ErrListNotFound) || a.Bytes > 0 {
			t.Errorf("%T of no list: %v with %d bytes written, want ErrListNotFound", e.GetChange(), err, a.Bytes)
		}
	}
	createList(t, s, "a", Settings{Kind: policy.ListSuppression})
	at := prepareOnly(t, s, header("a", Replace), registryNumbers(10), Commit{})
	id := listOf(t, s, "a").ID
	of, lost := state.ListRef(id), func(txn *badger.Txn) { must(t, txn.Delete(keys.Import(id, at))) }
	for _, e := range []*storev1.Event{
		{Change: &storev1.Event_LoadSwitched{LoadSwitched: &storev1.LoadSwitched{List: of, Prepared: at}}},
		{Change: &storev1.Event_LoadAbandoned{LoadAbandoned: &storev1.LoadAbandoned{List: of, Prepared: at}}},
	} {
		if _, err := applyOne(t, s, lost, e); !errors.Is(err, ErrDamaged) {
			t.Errorf("%T without an import: %v, want ErrDamaged", e.GetChange(), err)
		}
		if a, err := applyOne(t, s, nil, e); err != nil || a.Lists[id].GetPending() != 0 || a.Lists[id].GetPendingLoad() != nil {
			t.Errorf("%T: %v, %+v; want no load that is prepared", e.GetChange(), err, a.Lists[id])
		}
	}
}

// A list that is unloaded shows nothing and waits for nothing. What it covered stays: a load after it must not widen that.
func TestApplyUnloadsAList(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry("1201", "1415"))
	id := listOf(t, s, "a").ID
	if a, err := applyOne(t, s, nil, unloadEvent(state.ListRef(id))); err != nil || a.Lists[id].GetLoad() != nil {
		t.Errorf("never loaded: %+v, %v; want no load", a.Lists[id], err)
	}
	load(t, s, "a", Replace, registryNumbers(10), Commit{})
	prepareOnly(t, s, header("a", Replace), registryNumbers(20), Commit{})
	l := listOf(t, s, "a")
	a, err := applyOne(t, s, nil, unloadEvent(state.ListRef(l.ID)))
	must(t, err)
	got := a.Lists[l.ID]
	if got.GetVisible() != 0 || got.GetPending() != 0 || got.GetPendingLoad() != nil || got.GetCommits() != 0 || got.GetCrc() != 0 {
		t.Errorf("%+v, want nothing loaded and nothing prepared", got)
	}
	if got.GetUpdatedRevision() != s.View().Revision()+1 || got.GetUpdatedTime() != 1 {
		t.Errorf("changed at revision %d, time %d; want the event's", got.GetUpdatedRevision(), got.GetUpdatedTime())
	}
	if got.GetLoad().GetNumbers() != 0 || !slices.Equal(got.GetLoad().GetEffectiveCoverage(), l.Coverage) {
		t.Errorf("the load: %+v; want the coverage %s and no numbers", got.GetLoad(), l.Coverage)
	}
}

// The totals count every record of a group once, and numbers by whether they hold any.
func TestTotalsOfAGroup(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	one, other := OptOut{Number: fiction(415, 1)}, OptOut{Number: fiction(415, 2)}
	release := holdCommitter(t, s)
	writes := []*pendingEvent{
		queued(t, s, optOutEvent(one), Request{}), queued(t, s, optOutEvent(one), Request{}),
		queued(t, s, optOutEvent(other), Request{}), queued(t, s, optOutEvent(OptOut{Number: fiction(415, 3)}), Request{}),
		queued(t, s, withdrawEvent(other), Request{}),
	}
	release()
	for _, w := range writes {
		if a := <-w.replies; a.err != nil || a.receipt.ID.Revision != 1 {
			t.Fatalf("%+v, %v; want one group", a.receipt, a.err)
		}
	}
	if st := s.Stats(); st.Numbers != 2 || st.Records != 3 {
		t.Errorf("%d numbers with %d records, want 2 with 3", st.Numbers, st.Records)
	}
}

// The end of a load is told: when it switched, or was given up.
func TestImportTellsItsEnd(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", Settings{Kind: policy.ListSuppression})
	r := load(t, s, "a", Replace, registryNumbers(10), Commit{})
	l := listOf(t, s, "a")
	if e, err := s.View().importAt(l.ID, l.ContentRevision); err != nil || e.State != ImportSwitched || e.Ended != r.ID.Revision {
		t.Errorf("%+v, %v; want it switched at revision %d", e, err, r.ID.Revision)
	}
	at := prepareOnly(t, s, header("a", Replace), registryNumbers(20), Commit{})
	if e, err := s.View().importAt(l.ID, at); err != nil || e.State != ImportPrepared || e.Ended != 0 {
		t.Errorf("%+v, %v; want it prepared", e, err)
	}
	must(t, s.abandonLoad(context.Background(), l.ID, at))
	if e, err := s.View().importAt(l.ID, at); err != nil || e.State != ImportAbandoned || e.Ended != at+1 {
		t.Errorf("%+v, %v; want it abandoned at revision %d", e, err, at+1)
	}
}
