package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/journal"
)

// Each kind of event is an act, or is said to be none.
func TestEveryEventIsAnActOrNot(t *testing.T) {
	t.Parallel()
	fields := (&storev1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("change").Fields()
	left := map[protowire.Number]bool{}
	for n := range acts {
		left[n] = true
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		if !left[f.Number()] {
			t.Errorf("%s: got no row, want a line in acts.go", f.Name())
		}
		delete(left, f.Number())
	}
	for n := range left {
		t.Errorf("field %d has a row and is no event", n)
	}
}

// allActs reads the acts page by page.
func allActs(t *testing.T, v *View, q ActsQuery, revisions int) (all []Act) {
	t.Helper()
	for pages := 0; pages < 1000; pages++ {
		page, next, err := v.acts(q, revisions)
		if err != nil || len(page) > q.Limit {
			t.Fatalf("got %d acts of at most %d, %v", len(page), q.Limit, err)
		}
		all = append(all, page...)
		if next == (policy.EventID{}) {
			return all
		}
		q.At = next
	}
	t.Fatal("the pages have no end")
	return nil
}

// inWords are acts as a person reads them, without their times.
func inWords(all []Act) (words []string) {
	for _, a := range all {
		words = append(words, fmt.Sprintf("%d by %q %v: %q at %q: %s", a.Kind, a.RecordedBy, a.Proven, a.Subject, a.Scopes, a.Detail))
	}
	return words
}

// actingStore is a store in which every act was done that a running server does, an hour apart.
func actingStore(t *testing.T, dir string) *Store {
	t.Helper()
	clock := clockAt(day(8))
	s := openAt(t, dir, clock)
	ctx, by := context.Background(), Request{Story: Story{RecordedBy: "root", Proven: true}}
	g := tokenGrant("dialer", access.Checker, access.Loader)
	g.Scopes, g.ExpiresAt = []policy.Scope{"acme"}, day(40)
	steps := []func() error{
		func() error {
			_, _, err := s.CreateList(ctx, "dnc", Settings{Kind: policy.ListSuppression, Scope: "acme"}, by)
			return err
		},
		func() error {
			_, _, err := s.UpdateList(ctx, listNamed(s, "dnc"), func(s *Settings) { s.MaxAgeDays = 31 }, by)
			return err
		},
		func() error { _, _, err := s.CreateGrant(ctx, g, by); return err },
		func() error { recordAll(t, s, bulkRows(0, 1500)); return nil },
		func() error { return loadBy(s, by, 1000, 6) },
		func() error { return loadBy(s, by, 1001, 7) },
		func() error { return loadBy(s, by, 1001, 8) },
		func() error { revert(t, s, "dnc", Header{Guards: noGuards, Request: by}); return nil },
		func() error { _, err := s.RevokeGrant(ctx, "dialer", by); return err },
		func() error {
			_, err := s.DeleteList(ctx, listOf(t, s, "dnc").ID, Request{Story: by.Story, Confirmed: true})
			return err
		},
		func() error { importRows(t, s, RecordsHeader{Story: by.Story}, bulkRows(2000, 10)); return nil },
	}
	for _, step := range steps {
		clock.advance(time.Hour)
		must(t, step())
	}
	return s
}

func loadBy(s *Store, by Request, numbers, dated int) error {
	i, err := s.BeginImport(Header{List: "dnc", Mode: Replace, Guards: Guards{MaxShrink: -1, MaxRejects: -1}, Request: by})
	if err != nil {
		return err
	}
	defer i.Close()
	_, err = commit(i, registryNumbers(numbers), Commit{SnapshotDate: policy.DateOf(day(dated))})
	return err
}

func TestActsAreToldInOrder(t *testing.T) {
	t.Parallel()
	s := actingStore(t, t.TempDir())
	v := s.View()
	all, next, err := v.Acts(ActsQuery{Limit: 100})
	if err != nil || next != (policy.EventID{}) {
		t.Fatalf("got next %v, %v; want one page", next, err)
	}
	imported := all[len(all)-1].Subject
	want := []string{
		`1 by "root" true: "dnc" at ["acme"]: kind suppression, scope acme`,
		`2 by "root" true: "dnc" at ["acme"]: kind suppression, scope acme, at most 31 days old`,
		`11 by "root" true: "dialer" at ["acme"]: token, checker, loader, at acme, until ` + day(40).Format(time.RFC3339),
		`4 by "root" true: "dnc" at ["acme"]: mode replace, 1,000 numbers, as of ` + policy.DateOf(day(6)).String(),
		`4 by "root" true: "dnc" at ["acme"]: mode replace, 1,001 numbers, as of ` + policy.DateOf(day(7)).String(),
		`5 by "root" true: "dnc" at ["acme"]: mode replace, 1,001 numbers, as of ` + policy.DateOf(day(8)).String(),
		fmt.Sprintf(`6 by "root" true: "dnc" at ["acme"]: to its content of revision %d, 1,000 numbers`, all[3].ID.Revision-1),
		`12 by "root" true: "dialer" at ["acme"]: `,
		`3 by "root" true: "dnc" at ["acme"]: held 1,000 numbers`,
		`8 by "root" true: "` + imported + `" at []: 10 recorded, 0 already there, 0 rejected, 0 files`,
	}
	if diff := cmp.Diff(want, inWords(all)); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
	for i, a := range all[1:] {
		if compareIDs(all[i].ID, a.ID) >= 0 || a.Time.Before(all[i].Time) {
			t.Errorf("%v of %v comes before %v of %v", all[i].ID, all[i].Time, a.ID, a.Time)
		}
	}
	for _, limit := range []int{1, 2, 3, 100} {
		for _, revisions := range []int{1, 2, 5, 100} {
			if diff := cmp.Diff(all, allActs(t, v, ActsQuery{Limit: limit}, revisions)); diff != "" {
				t.Errorf("pages of %d acts and %d revisions (-want +got):\n%s", limit, revisions, diff)
			}
		}
	}
	for from := range all {
		for to := from; to < len(all); to++ {
			got := allActs(t, v, ActsQuery{From: all[from].Time, To: all[to].Time, Limit: 2}, 3)
			if diff := cmp.Diff(all[from:to], got, cmp.Transformer("", inWords)); diff != "" {
				t.Errorf("from act %d to act %d (-want +got):\n%s", from, to, diff)
			}
		}
	}
	if got := allActs(t, v, ActsQuery{From: all[len(all)-1].Time.Add(1), Limit: 2}, 3); len(got) > 0 {
		t.Errorf("after the last: got %v", got)
	}
}

// Rows come between acts of one revision, and count in their places.
func TestActsAmongRowsHaveTheirIDs(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	release := holdCommitter(t, s)
	done := make(chan []Outcome)
	go func() {
		outcomes, err := s.RecordOptOuts(context.Background(), bulkRows(0, 7))
		if err != nil {
			t.Error(err)
		}
		done <- outcomes
	}()
	for len(s.rows) == 0 {
		time.Sleep(time.Millisecond)
	}
	g := tokenGrant("a", access.Checker)
	w := queued(t, s, &storev1.Event{Change: &storev1.Event_TokenCreated{TokenCreated: grantMessage(&g)}}, Request{})
	release()
	<-done
	created := (<-w.replies).receipt.ID
	all := allActs(t, s.View(), ActsQuery{Limit: 10}, 100)
	if len(all) != 1 || all[0].ID != created {
		t.Errorf("got %+v, want one act of id %v", all, created)
	}
}

// What a repair does to a store, and a copy that was put back, are acts too.
func TestActsOfRepairs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := actingStore(t, dir)
	createList(t, s, "unloaded", Settings{Kind: policy.ListSuppression})
	load(t, s, "unloaded", Replace, registryNumbers(20_000), Commit{})
	path := filepath.Join(dir, blocksDir, block.LoadID{List: listOf(t, s, "unloaded").ID, Prepared: listOf(t, s, "unloaded").ContentRevision}.FileName())
	closeStore(t, s)
	before := open(t, dir)
	known := allActs(t, before.View(), ActsQuery{Limit: 100}, 1000)
	closeStore(t, before)
	must(t, os.Truncate(path, 10))
	must(t, os.Remove(filepath.Join(dir, journal.MarkName)))
	_, err := Repair(context.Background(), dir, true, testOptions())
	must(t, err)
	mustRestore(t, dir)
	s = open(t, dir)
	all := allActs(t, s.View(), ActsQuery{Limit: 4}, 10)
	if diff := cmp.Diff(known, all[:min(len(known), len(all))]); diff != "" {
		t.Errorf("the acts of before (-want +got):\n%s", diff)
	}
	var got []string
	for _, a := range all[len(known):] {
		detail, _, _ := strings.Cut(a.Detail, " revision")
		got = append(got, fmt.Sprintf("%d %s: %s", a.Kind, a.Subject, detail))
	}
	if want := []string{"9 : everything after the", "7 unloaded: ", "10 : the copy ended at"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
