package store

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/dncd/dncd/internal/policy"
)

func revert(t *testing.T, s *Store, list string, h Header) Result {
	t.Helper()
	h.List = list
	r, err := s.Revert(context.Background(), h, func(Progress) {})
	if err != nil {
		t.Fatal("revert:", err)
	}
	return r
}

var noGuards = Guards{MaxShrink: -1, MaxRejects: -1}

func date(t *testing.T, text string) policy.Date {
	t.Helper()
	d, err := policy.ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRevertBringsBackTheViewBefore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "us-ftc", Settings{})
	all := registryNumbers(30_000)
	first, second := all[:20_000], all[10_000:]
	load(t, s, "us-ftc", Replace, first, Commit{SnapshotDate: date(t, "2026-09-01"), FileCoverage: []string{"1201"}})
	whole := header("us-ftc", Replace)
	whole.Override = true // it covers more than the files before
	if _, err := commit(begin(t, s, whole), second, Commit{SnapshotDate: date(t, "2026-09-09")}); err != nil {
		t.Fatal(err)
	}

	r := revert(t, s, "us-ftc", Header{Guards: noGuards})
	if r.Added != 10_000 || r.Removed != 10_000 || r.Read != 20_000 || r.Accepted != 20_000 || r.Numbers != 20_000 {
		t.Errorf("revert: %+v", r.Counts)
	}
	wantList := func(what string, numbers []uint64, snapshot string, covered []string) {
		t.Helper()
		l, err := s.View().List("us-ftc")
		if err != nil {
			t.Fatal(err)
		}
		if got := exportList(t, s.View(), l); !slices.Equal(got, numbers) {
			t.Errorf("%s: %d numbers, want %d", what, len(got), len(numbers))
		}
		if l.SnapshotDate.String() != snapshot || !slices.Equal(l.Coverage, covered) {
			t.Errorf("%s: date %s, coverage %v, want %s, %v", what, l.SnapshotDate, l.Coverage, snapshot, covered)
		}
	}
	wantList("reverted", first, "2026-09-01", []string{"1201"})
	revert(t, s, "us-ftc", Header{Guards: noGuards})
	wantList("reverted twice", second, "2026-09-09", nil)
	closeStore(t, s)
	s = open(t, dir)
	wantList("reopened", second, "2026-09-09", nil)
	entries, err := s.View().Imports(policy.EventID{}, 0, 10)
	if err != nil || len(entries) != 4 || entries[0].Mode != Revert || entries[0].RevertedTo == 0 {
		t.Errorf("imports: %+v, %v", entries, err)
	}
}

func TestRevertIsGuardedAndNeedsAViewBefore(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "us-ftc", Settings{})
	_, err := s.Revert(context.Background(), Header{List: "us-ftc"}, func(Progress) {})
	if !errors.Is(err, ErrNothingToRevert) {
		t.Errorf("revert of a list never loaded: %v, want ErrNothingToRevert", err)
	}
	numbers := registryNumbers(1000)
	load(t, s, "us-ftc", Replace, numbers[:10], Commit{})
	if _, err := s.Revert(context.Background(), Header{List: "us-ftc"}, func(Progress) {}); !errors.Is(err, ErrNothingToRevert) {
		t.Errorf("revert of a first load: %v, want ErrNothingToRevert", err)
	}
	load(t, s, "us-ftc", Replace, numbers, Commit{})
	r := revert(t, s, "us-ftc", Header{Guards: Guards{MaxShrink: 0.1}})
	if !r.Refused || len(export(t, s, "us-ftc")) != 1000 {
		t.Errorf("revert beyond the shrink guard: refused %v, the list holds %d", r.Refused, len(export(t, s, "us-ftc")))
	}
	r = revert(t, s, "us-ftc", Header{Guards: noGuards, DryRun: true})
	if r.Removed != 990 || len(export(t, s, "us-ftc")) != 1000 {
		t.Errorf("dry run: %+v", r.Counts)
	}
}

// A revert that a crash interrupts is finished from the blocks alone.
func TestRevertIsFinishedAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "us-ftc", Settings{})
	all := registryNumbers(30_000)
	load(t, s, "us-ftc", Replace, all[:20_000], Commit{})
	load(t, s, "us-ftc", Replace, all[10_000:], Commit{})
	l, err := s.View().List("us-ftc")
	if err != nil {
		t.Fatal(err)
	}
	i := &Import{staging: staging[Chunk]{s: s, id: newImportID()}, header: Header{Mode: Revert, Guards: noGuards}, list: l.ID}
	p, err := i.prepare(context.Background(), context.Background(), &Commit{Read: 20_000}, content{numbers: 20_000}, func(Progress) {})
	if err != nil || p.done {
		t.Fatalf("prepare: %+v, %v", p, err)
	}
	closeStore(t, s)
	s = open(t, dir)
	awaitIdle(t, s, "us-ftc")
	if got := export(t, s, "us-ftc"); !slices.Equal(got, all[:20_000]) {
		t.Errorf("after the restart the list holds %d numbers, want 20000", len(got))
	}
}

func TestDeltaAddsAndRemoves(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "us-ftc", Settings{MaxAgeDays: 31, Kind: policy.ListRegistry, Jurisdiction: []string{"US"}})
	numbers := registryNumbers(10_000)
	base, added := numbers[:9000], numbers[9000:]
	load(t, s, "us-ftc", Replace, base, Commit{SnapshotDate: date(t, "2026-09-01")})
	i, err := s.BeginImport(Header{List: "us-ftc", Mode: Delta, Guards: noGuards})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	// Of the numbers that go, one was never there, and one comes in the same file: it must stay.
	gone := slices.Concat(base[:100], []uint64{added[0], 12_999_999_999})
	for _, c := range []Chunk{{Seq: 1, Numbers: slices.Clone(added)}, {Seq: 2, Removed: slices.Clone(gone)}} {
		if err := i.Put(c); err != nil {
			t.Fatal(err)
		}
	}
	r, err := i.Commit(context.Background(), Commit{Chunks: 2, Read: 1102, SnapshotDate: date(t, "2026-09-09")}, func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	if r.Accepted != 1102 || r.Added != 1000 || r.Removed != 100 || r.SnapshotDate.String() != "2026-09-09" {
		t.Errorf("delta: %+v, snapshot %s", r.Counts, r.SnapshotDate)
	}
	if got := export(t, s, "us-ftc"); !slices.Equal(got, numbers[100:]) {
		t.Errorf("the list holds %d numbers, want %d", len(got), len(numbers)-100)
	}
	if _, err := s.BeginImport(Header{List: "us-ftc", Mode: Revert}); !errors.Is(err, ErrMode) {
		t.Errorf("an import in mode revert: %v, want ErrMode", err)
	}
}

// A list that became empty is reverted to like any other.
func TestRevertToAnEmptyList(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", Settings{})
	numbers := registryNumbers(10)
	load(t, s, "a", Replace, numbers, Commit{})
	load(t, s, "a", Remove, numbers, Commit{})
	if r := revert(t, s, "a", Header{Guards: noGuards}); r.Numbers != 10 {
		t.Errorf("%+v, want the ten numbers back", r)
	}
	if r := revert(t, s, "a", Header{Guards: Guards{MaxShrink: 0.1}}); !r.Refused || len(r.GuardFailures) == 0 || r.GuardFailures[0].Guard != GuardShrink {
		t.Errorf("%+v, want it refused as a shrink", r)
	}
	if r := revert(t, s, "a", Header{Guards: Guards{MaxShrink: 0.1}, Override: true}); r.Refused || r.Numbers != 0 || r.Removed != 10 {
		t.Errorf("%+v, want the list empty", r)
	}
	wantContent(t, s, "a", []uint64{}, numbers)
}

// What came between two loads is part of the view that a revert goes back to: changes of the settings, a date that was
// confirmed, and a revert or a reload before it.
func TestRevertKeepsWhatCameBeforeTheLastSwitch(t *testing.T) {
	t.Parallel()
	west, south := areaNumbers(415, 20), areaNumbers(818, 20)
	both := slices.Concat(west, south)
	covers := func(prefixes ...string) func(*Settings) {
		return func(s *Settings) { s.Coverage = prefixes }
	}
	overridden := header("a", Add)
	overridden.Override = true
	early, late, last := date(t, "2026-09-01"), date(t, "2026-09-03"), date(t, "2026-09-09")
	for _, c := range []struct {
		name     string
		declared []string
		before   func(t *testing.T, s *Store) // after the first load
		after    func(t *testing.T, s *Store) // after the second load
		covered  []string                     // of the list reverted; nil: all
		date     policy.Date
	}{
		{name: "nothing came between", date: early},
		{name: "a coverage was declared before", before: func(t *testing.T, s *Store) { update(t, s, "a", covers("1415")) }, covered: []string{"1415"}, date: early},
		{name: "a coverage was declared after", after: func(t *testing.T, s *Store) { update(t, s, "a", covers("1415")) }, covered: []string{"1415"}, date: early},
		{name: "a coverage was narrowed before", declared: []string{"1415", "1818"},
			before: func(t *testing.T, s *Store) { update(t, s, "a", covers("1415")) }, covered: []string{"1415"}, date: early},
		{name: "a coverage was narrowed after", declared: []string{"1415", "1818"},
			after: func(t *testing.T, s *Store) { update(t, s, "a", covers("14152", "1212")) }, covered: []string{"14152"}, date: early},
		{name: "a coverage was widened after", declared: []string{"1415"},
			after: func(t *testing.T, s *Store) { update(t, s, "a", covers("1")) }, covered: []string{"1415"}, date: early},
		{name: "a coverage was taken back after", declared: []string{"1415"},
			after: func(t *testing.T, s *Store) { update(t, s, "a", covers()) }, covered: []string{"1415"}, date: early},
		{name: "a coverage was declared before and taken back after", before: func(t *testing.T, s *Store) { update(t, s, "a", covers("1415")) },
			after: func(t *testing.T, s *Store) { update(t, s, "a", covers()) }, covered: []string{"1415"}, date: early},
		{name: "the date was confirmed before", before: func(t *testing.T, s *Store) {
			load(t, s, "a", Replace, both, Commit{SnapshotDate: late})
		}, date: late},
		{name: "an abandoned load came before", before: func(t *testing.T, s *Store) {
			prepareOnly(t, s, overridden, areaNumbers(212, 5), Commit{})
			writeBlocks(t, s, "a", 1)
			l := listOf(t, s, "a")
			must(t, s.abandonLoad(context.Background(), l.ID, l.Pending))
			update(t, s, "a", covers("1415"))
		}, covered: []string{"1415"}, date: early},
		{name: "an abandoned load came after", before: func(t *testing.T, s *Store) { update(t, s, "a", covers("1415")) }, after: func(t *testing.T, s *Store) {
			prepareOnly(t, s, overridden, areaNumbers(212, 5), Commit{})
			writeBlocks(t, s, "a", 1)
			l := listOf(t, s, "a")
			must(t, s.abandonLoad(context.Background(), l.ID, l.Pending))
		}, covered: []string{"1415"}, date: early},
		{name: "two reverts came after", before: func(t *testing.T, s *Store) { update(t, s, "a", covers("1415")) }, after: func(t *testing.T, s *Store) {
			revert(t, s, "a", Header{Guards: noGuards})
			revert(t, s, "a", Header{Guards: noGuards})
		}, covered: []string{"1415"}, date: early},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir())
			createList(t, s, "a", usRegistry(c.declared...))
			h := header("a", Replace)
			h.Override = true
			for i, part := range []struct {
				numbers []uint64
				date    policy.Date
				then    func(*testing.T, *Store)
			}{{both, early, c.before}, {slices.Concat(both, areaNumbers(212, 1)), last, c.after}} {
				if _, err := commit(begin(t, s, h), part.numbers, Commit{SnapshotDate: part.date}); err != nil {
					t.Fatal(i, err)
				}
				if part.then != nil {
					part.then(t, s)
				}
			}
			revert(t, s, "a", Header{Guards: noGuards})
			wantContent(t, s, "a", both, nil)
			l := listOf(t, s, "a")
			if !slices.Equal(l.Coverage, c.covered) || l.CoversAll != (c.covered == nil) || l.SnapshotDate != c.date {
				t.Errorf("covers all: %v, %v, of %s; want %v, of %s", l.CoversAll, l.Coverage, l.SnapshotDate, c.covered, c.date)
			}
			if c.covered != nil {
				wantVerdict(t, s, fiction(818, 99), "", policy.Unknown, policy.NotCovered)
			}
		})
	}
}
