package store

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/state"
)

func mustPutDesk(t *testing.T, s *Store, name string) *Desk {
	t.Helper()
	w, err := s.PutDesk(context.Background(), name, func(*Desk, *DeskSettings) error { return nil }, Request{})
	if err != nil {
		t.Fatal(err)
	}
	return w.Desk
}

// A desk is named whatever the case and the spaces around, and keeps the name that it was registered with.
func TestDeskIsRegistered(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(8))
	s := openAt(t, dir, clock)
	first := mustPutDesk(t, s, "Après-Vente Straße")
	clock.set(day(9))
	w, err := s.PutDesk(context.Background(), " APRÈS-VENTE STRASSE", func(*Desk, *DeskSettings) error { return nil }, Request{})
	if err != nil || !w.Created { // ß is no SS: folding is simple
		t.Fatalf("got %+v, %v; want another desk", w, err)
	}
	w, err = s.PutDesk(context.Background(), " APRÈS-vente strasse ", func(old *Desk, set *DeskSettings) error {
		set.Owner, set.Kind = "Ann", 2
		return nil
	}, Request{})
	must(t, err)
	want := &Desk{
		DeskSettings: DeskSettings{Name: "APRÈS-VENTE STRASSE", Kind: 2, Owner: "Ann"},
		ID:           policy.EventID{Revision: 2}, CreatedAt: day(9), UpdatedAt: day(9), UpdatedRevision: 3,
	}
	if diff := cmp.Diff(want, w.Desk); diff != "" || w.Created {
		t.Errorf("created %v (-want +got):\n%s", w.Created, diff)
	}
	_, err = s.RemoveDesk(context.Background(), first.ID, Request{})
	must(t, err)
	if _, err := s.RemoveDesk(context.Background(), first.ID, Request{}); !errors.Is(err, ErrDeskNotFound) {
		t.Errorf("removed twice: got %v, want ErrDeskNotFound", err)
	}
	again := mustPutDesk(t, s, "après-vente straße")
	if again.ID == first.ID {
		t.Error("a name that is used again names the removed desk")
	}
	for _, reopened := range []bool{false, true} {
		if reopened {
			closeStore(t, s)
			s = openAt(t, dir, clock)
		}
		all, err := s.View().AllDesks()
		if must(t, err); len(all) != 3 || !all[0].RemovedAt.Equal(day(9)) || len(s.View().Desks().All()) != 2 {
			t.Errorf("opened again %v: got %+v", reopened, all)
		}
	}
}

func TestDeskIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	before := s.View()
	for what, tt := range map[string]struct {
		name   string
		change func(*DeskSettings)
	}{
		"no name":              {"  ", func(*DeskSettings) {}},
		"a long name":          {strings.Repeat("x", MaxDeskName+1), func(*DeskSettings) {}},
		"a number as a name":   {"desk +1 415 555 0123", func(*DeskSettings) {}},
		"an unknown kind":      {"x", func(set *DeskSettings) { set.Kind = MaxDeskKind + 1 }},
		"a long owner":         {"x", func(set *DeskSettings) { set.Owner = strings.Repeat("x", MaxOwner+1) }},
		"a contact, also long": {"x", func(set *DeskSettings) { set.Contact = strings.Repeat("x", MaxOwner+1) }},
	} {
		_, err := s.PutDesk(context.Background(), tt.name, func(_ *Desk, set *DeskSettings) error { tt.change(set); return nil }, Request{})
		if !errors.Is(err, ErrDeskSettings) {
			t.Errorf("%s: got %v, want ErrDeskSettings", what, err)
		}
	}
	if s.View() != before {
		t.Error("refusals were written")
	}
}

// desksOf are the desks of the events of a revision, in order.
func desksOf(t *testing.T, s *Store, revision uint64) (desks []policy.EventID) {
	t.Helper()
	txn := s.db.NewTransactionAt(revision, false)
	defer txn.Discard()
	rev, err := journal.ReadRevision(txn, revision)
	must(t, err)
	for _, e := range rev.GetEvents() {
		switch {
		case e.GetOptOut() != nil:
			desks = append(desks, state.RefID(e.GetOptOut().GetDesk()))
		case e.GetOptOutWithdrawn() != nil:
			desks = append(desks, state.RefID(e.GetOptOutWithdrawn().GetDesk()))
		}
	}
	return desks
}

// An opt-out and a withdrawal name the desk that is registered when they are committed; a retry after that is a repeat.
func TestEventsNameTheirDesk(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx := context.Background()
	record := func(n int, desk string) Receipt {
		r, err := s.RecordOptOut(ctx, OptOut{Number: fiction(415, n), Scope: "acme"}, Request{ID: "o" + desk, Story: Story{Desk: desk}})
		must(t, err)
		return r
	}
	early := record(0, "After-Sales")
	desk := mustPutDesk(t, s, "after-sales")
	if again := record(0, "After-Sales"); !again.Duplicate || again.ID != early.ID {
		t.Errorf("a retry after its desk was registered: got %+v, want the first receipt", again)
	}
	for text, want := range map[string]policy.EventID{" AFTER-sales\t": desk.ID, "after sales": {}, "": {}} {
		if got := desksOf(t, s, record(1, text).ID.Revision); len(got) != 1 || got[0] != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	gone, err := s.WithdrawOptOut(ctx, fiction(415, 1), "acme", Request{Story: Story{Desk: "after-sales", Reason: "asked"}})
	must(t, err)
	if got := desksOf(t, s, gone.ID.Revision); len(got) != 1 || got[0] != desk.ID {
		t.Errorf("a withdrawal: got %v, want %v", got, desk.ID)
	}
	if got := desksOf(t, s, early.ID.Revision); got[0] != (policy.EventID{}) {
		t.Errorf("before it was registered: got %v, want none", got)
	}
}

// The rows of a file name their desks, each its own.
func TestRowsNameTheirDesks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	a, b := mustPutDesk(t, s, "Desk A"), mustPutDesk(t, s, "Desk B")
	texts := []string{"desk a", "Desk B", "another", "", "DESK A ", "desk a"}
	want := []policy.EventID{a.ID, b.ID, {}, {}, a.ID, a.ID}
	rows := bulkRows(0, len(texts))
	for i := range rows {
		rows[i].Story.Desk = texts[i]
	}
	recordAll(t, s, rows)
	revision := s.View().Revision()
	if diff := cmp.Diff(want, desksOf(t, s, revision)); diff != "" {
		t.Errorf("desks of rows (-want +got):\n%s", diff)
	}
	rows = bulkRows(100, len(texts))
	for i := range rows {
		rows[i].Story.Desk = texts[i]
	}
	importRows(t, s, RecordsHeader{}, rows)
	var imported []policy.EventID
	for r := revision + 1; r <= s.View().Revision(); r++ {
		imported = append(imported, desksOf(t, s, r)...)
	}
	if diff := cmp.Diff(want, imported); diff != "" {
		t.Errorf("desks of the rows of a file (-want +got):\n%s", diff)
	}
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %v", r.Problems)
	}
}
