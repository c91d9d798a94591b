package store

import (
	"context"
	"errors"
	"testing"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// TestApplyHoldsALoadAgainstTheList gives Apply events that were made from another state of the list than the one they meet, as
// another node may: each is refused and leaves no trace.
func TestApplyHoldsALoadAgainstTheList(t *testing.T) {
	s := open(t, t.TempDir())
	createList(t, s, "idle", Settings{Kind: policy.ListSuppression})
	createList(t, s, "taken", Settings{Kind: policy.ListSuppression})
	load(t, s, "idle", Replace, registryNumbers(10), Commit{})
	load(t, s, "taken", Replace, registryNumbers(10), Commit{})
	prepared := prepareOnly(t, s, header("taken", Replace), registryNumbers(20), Commit{})
	idle, taken := listOf(t, s, "idle"), listOf(t, s, "taken")
	of, busy := listRef(idle.ID), listRef(taken.ID)
	load, settings := idle.state.GetLoad(), idle.Settings.message()
	for _, c := range []struct {
		name   string
		change func(wrong uint64) *storev1.Event
		right  uint64
		want   error
	}{
		{"updated", func(base uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_ListUpdated{ListUpdated: &storev1.ListUpdated{List: of, Settings: settings, Base: base}}}
		}, idle.Visible, errMoved},
		{"prepared", func(base uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadPrepared{LoadPrepared: &storev1.LoadPrepared{List: of, Load: load, Base: base}}}
		}, idle.Visible, errMoved},
		{"confirmed", func(base uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadConfirmed{LoadConfirmed: &storev1.LoadConfirmed{List: of, Load: load, Base: base}}}
		}, idle.Visible, errMoved},
		{"switched", func(at uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadSwitched{LoadSwitched: &storev1.LoadSwitched{List: busy, Prepared: at}}}
		}, prepared, errMoved},
		{"abandoned", func(at uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadAbandoned{LoadAbandoned: &storev1.LoadAbandoned{List: busy, Prepared: at}}}
		}, prepared, errMoved},
		{"updated while it is loaded", func(uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_ListUpdated{ListUpdated: &storev1.ListUpdated{List: busy, Settings: settings, Base: taken.Visible}}}
		}, 0, ErrImportRunning},
		{"prepared while it is loaded", func(uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadPrepared{LoadPrepared: &storev1.LoadPrepared{List: busy, Load: load, Base: taken.Visible}}}
		}, 0, ErrImportRunning},
		{"confirmed while it is loaded", func(uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_LoadConfirmed{LoadConfirmed: &storev1.LoadConfirmed{List: busy, Load: load, Base: taken.Visible}}}
		}, 0, ErrImportRunning},
		{"deleted while it is loaded", func(uint64) *storev1.Event {
			return &storev1.Event{Change: &storev1.Event_ListDeleted{ListDeleted: &storev1.ListDeleted{List: busy}}}
		}, 0, ErrImportRunning},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.View()
			for _, wrong := range []uint64{0, c.right - 1, c.right + 1} {
				if _, err := s.submit(context.Background(), &write{event: c.change(wrong)}); !errors.Is(err, c.want) {
					t.Errorf("made at %d, met at %d: %v, want %v", wrong, c.right, err, c.want)
				}
			}
			if s.View() != before {
				t.Errorf("a refused event led to revision %d", s.View().Revision())
			}
			if !errors.Is(c.want, errMoved) {
				return
			}
			txn := s.db.NewTransactionAt(before.revision, true)
			defer txn.Discard()
			if _, err := newApplier(txn, before.revision+1, 1).apply(0, c.change(c.right)); err != nil {
				t.Errorf("made at the state that it meets: %v", err)
			}
		})
	}
}
