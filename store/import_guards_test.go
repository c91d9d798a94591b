package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/policy"
)

// areaNumbers are the first n numbers of an exchange in an area code.
func areaNumbers(area, n int) []uint64 {
	numbers := make([]uint64, n)
	for i := range numbers {
		numbers[i] = uint64(10_000_000_000 + area*10_000_000 + 2_000_000 + i)
	}
	return numbers
}

type guardName struct {
	Guard  Guard
	Prefix string
}

var guardCases = []struct {
	name   string
	guards Guards
	west   int // numbers of 1415 in the load; the list has 100
	south  int // of 1818
	reject uint64
	days   policy.Date // of the load's date from the list's
	want   []guardName
}{
	{name: "nothing lost", guards: Guards{0.1, 0.01}, west: 100, south: 101},
	{name: "exactly the limits", guards: Guards{0.1, 0.01}, west: 90, south: 90, reject: 1},
	{name: "exactly the rejects", guards: Guards{0.1, 0.01}, west: 90, south: 108, reject: 2},
	{name: "beyond them", guards: Guards{0.1, 0.01}, west: 89, south: 89, reject: 2,
		want: []guardName{{GuardShrink, ""}, {GuardRejects, ""}, {GuardPrefixShrink, "1415"}, {GuardPrefixShrink, "1818"}}},
	{name: "one prefix", guards: Guards{0.1, 0.01}, west: 100, south: 85, want: []guardName{{GuardPrefixShrink, "1818"}}},
	{name: "a prefix made up for by another", guards: Guards{0.1, 0.01}, west: 160, south: 50, want: []guardName{{GuardPrefixShrink, "1818"}}},
	{name: "any loss", guards: Guards{0, 0}, west: 100, south: 99, reject: 1,
		want: []guardName{{GuardShrink, ""}, {GuardRejects, ""}, {GuardPrefixShrink, "1818"}}},
	{name: "a prefix emptied, whatever the limit", guards: Guards{1, 0.01}, west: 200, want: []guardName{{GuardPrefixShrink, "1818"}}},
	{name: "guards off", guards: Guards{-1, -1}, west: 1, reject: 500},
	{name: "older", guards: Guards{0.1, 0.01}, west: 100, south: 100, days: -1, want: []guardName{{GuardOlder, ""}}},
	{name: "nothing at all", guards: Guards{0.1, 0.01}, days: -1, reject: 5, want: []guardName{
		{GuardEmpty, ""}, {GuardShrink, ""}, {GuardRejects, ""}, {GuardOlder, ""}, {GuardPrefixShrink, "1415"}, {GuardPrefixShrink, "1818"},
	}},
	{name: "nothing at all, guards off", guards: Guards{-1, -1}, want: []guardName{{GuardEmpty, ""}}},
}

// Every guard that fails is told, and then nothing changes, unless it is overridden; GuardEmpty cannot be.
func TestGuardsRefuseALoad(t *testing.T) {
	t.Parallel()
	date := policy.DateOf(time.Now()) - 3
	list := slices.Concat(areaNumbers(415, 100), areaNumbers(818, 100))
	for _, c := range guardCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir())
			createList(t, s, "a", usRegistry("1415", "1818"))
			load(t, s, "a", Replace, list, Commit{SnapshotDate: date})
			revision := s.View().Revision()
			for _, override := range []bool{false, true} {
				numbers := slices.Concat(areaNumbers(415, c.west), areaNumbers(818, c.south))
				i := begin(t, s, Header{List: "a", Mode: Replace, Guards: c.guards, Override: override})
				r, err := commit(i, numbers, Commit{SnapshotDate: date + c.days, Rejected: c.reject})
				if err != nil {
					t.Fatal(err)
				}
				var got []guardName
				for _, f := range r.GuardFailures {
					got = append(got, guardName{f.Guard, f.Prefix})
					if want := override && f.Guard != GuardEmpty; f.Overridden != want {
						t.Errorf("guard %d overridden: %v, want %v", f.Guard, f.Overridden, want)
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("failures (-want +got)\n%s", diff)
				}
				empty := len(numbers) == 0
				if want := len(c.want) > 0 && (!override || empty); r.Refused != want {
					t.Errorf("override %v: refused %v, want %v", override, r.Refused, want)
				}
				want := numbers
				if r.Refused {
					want = list
					if s.View().Revision() != revision {
						t.Error("a refused load made a revision")
					}
				}
				if diff := cmp.Diff(want, export(t, s, "a")); diff != "" {
					t.Errorf("override %v: list (-want +got)\n%.300s", override, diff)
				}
			}
		})
	}
}

// A covered prefix is guarded too when it was covered by the files alone.
func TestPrefixOfTheFilesIsGuarded(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, slices.Concat(areaNumbers(415, 1000), areaNumbers(818, 10)), Commit{FileCoverage: []string{"1415", "1818"}})
	i := begin(t, s, Header{List: "a", Mode: Replace, Guards: Guards{MaxShrink: 0.1}})
	r, err := commit(i, areaNumbers(415, 1000), Commit{FileCoverage: []string{"1415"}})
	if err != nil || !r.Refused || len(r.GuardFailures) != 1 || r.GuardFailures[0].Prefix != "1818" || r.GuardFailures[0].Before != 10 {
		t.Errorf("a file left out: %+v, %v, want refused for 1818", r.GuardFailures, err)
	}
}

func TestGuardHoldsForRemove(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, areaNumbers(415, 100), Commit{})
	i := begin(t, s, Header{List: "a", Mode: Remove, Guards: Guards{MaxShrink: 0.1}})
	r, err := commit(i, areaNumbers(415, 11), Commit{})
	if err != nil || !r.Refused || r.GuardFailures[0].Guard != GuardShrink {
		t.Errorf("remove 11 of 100: %+v, %v, want refused", r, err)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, areaNumbers(415, 100), Commit{})
	revision := s.View().Revision()
	h := header("a", Replace)
	h.DryRun = true
	r, err := commit(begin(t, s, h), areaNumbers(415, 120)[50:], Commit{SnapshotDate: policy.DateOf(time.Now())})
	want := Counts{Read: 70, Accepted: 70, Added: 20, Removed: 50, Unchanged: 50}
	if err != nil || r.Counts != want || !r.DryRun || r.Refused || r.Numbers != 70 {
		t.Errorf("dry run: %+v, %v, want %+v", r, err, want)
	}
	if s.View().Revision() != revision {
		t.Error("a dry run made a revision")
	}
	if diff := cmp.Diff(areaNumbers(415, 100), export(t, s, "a")); diff != "" {
		t.Errorf("list (-want +got)\n%s", diff)
	}
}

func TestSnapshotDateIsChecked(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 9, 12, 0, 0, 0, time.UTC)
	today := policy.DateOf(now)
	for _, c := range []struct {
		name   string
		maxAge int
		date   policy.Date
		want   error
	}{
		{"today", 31, today, nil},
		{"a day ahead", 31, today + 1, nil},
		{"two days ahead", 31, today + 2, ErrSnapshotDate},
		{"ahead, no maximum age", 0, today + 2, ErrSnapshotDate},
		{"none, maximum age", 31, 0, ErrSnapshotDateRequired},
		{"none, no maximum age", 0, 0, nil},
		{"years old", 31, today - 2000, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openAt(t, t.TempDir(), clockAt(now))
			settings := usRegistry()
			settings.MaxAgeDays = c.maxAge
			createList(t, s, "a", settings)
			r, err := commit(begin(t, s, header("a", Replace)), areaNumbers(415, 3), Commit{SnapshotDate: c.date})
			if !errors.Is(err, c.want) || (err == nil && r.SnapshotDate != c.date) {
				t.Errorf("%v, date %v, want %v, %v", err, r.SnapshotDate, c.want, c.date)
			}
			if loaded := listOf(t, s, "a").Loaded; loaded != (c.want == nil) {
				t.Errorf("loaded: %v", loaded)
			}
		})
	}
}

// A change of settings between a load's comparison and its prepared event must not be lost on the switch.
func TestUpdateWhileALoadIsCompared(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx := context.Background()
	createList(t, s, "a", usRegistry("1415", "1818"))
	numbers := slices.Concat(areaNumbers(415, 10), areaNumbers(818, 10))
	load(t, s, "a", Replace, numbers, Commit{})
	i := begin(t, s, header("a", Replace))
	put(t, i, 1, numbers[1:]...)
	var updated error
	once := false
	_, err := i.Commit(ctx, Commit{Chunks: 1, Read: 19}, func(Progress) {
		if once {
			return
		}
		once = true
		_, _, updated = s.UpdateList(ctx, listNamed(s, "a"), func(settings *Settings) {
			settings.Coverage = []string{"1415"}
		}, Request{})
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"1415"}
	if updated != nil {
		if !errors.Is(updated, ErrImportRunning) {
			t.Fatal(updated)
		}
		want = []string{"1415", "1818"}
	}
	if diff := cmp.Diff(want, listOf(t, s, "a").Coverage); diff != "" {
		t.Errorf("effective coverage (-want +got)\n%s", diff)
	}
}
