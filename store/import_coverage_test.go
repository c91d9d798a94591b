package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

var coverageCases = []struct {
	name     string
	declared []string
	old      []uint64 // loaded before; nil: never
	oldFiles []string // coverage that their files said
	mode     Mode
	load     []uint64
	files    []string
	inferred []string      // of files
	want     *GuardFailure // but for Overridden
}{
	{name: "within what is declared", declared: []string{"1415", "1818"}, mode: Replace, load: areaNumbers(415, 10)},
	{name: "outside what is declared", declared: []string{"1415"}, mode: Replace,
		load: slices.Concat(areaNumbers(212, 2), areaNumbers(415, 10), areaNumbers(818, 1)),
		want: &GuardFailure{Guard: GuardCoverage, Before: 13, After: 3, Outside: []string{"1212", "1818"}}},
	{name: "nothing that is declared", declared: []string{"1415", "14155"}, mode: Replace, load: areaNumbers(818, 5),
		want: &GuardFailure{Guard: GuardCoverage, Before: 5, After: 5, Outside: []string{"1818"}}},
	{name: "prefixes within prefixes", declared: []string{"1", "1415", "141520"}, mode: Replace,
		load: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 10), []uint64{33199001234}),
		want: &GuardFailure{Guard: GuardCoverage, Before: 21, After: 1, Outside: []string{"3319"}}},
	{name: "as many outside as before", declared: []string{"1415"}, mode: Replace,
		old: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 2)), load: slices.Concat(areaNumbers(415, 11), areaNumbers(212, 2))},
	{name: "one more outside than before", declared: []string{"1415"}, mode: Replace,
		old: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 2)), load: slices.Concat(areaNumbers(415, 11), areaNumbers(212, 3)),
		want: &GuardFailure{Guard: GuardCoverage, Before: 14, After: 3, Outside: []string{"1212"}}},
	{name: "a stray number", mode: Replace, old: areaNumbers(415, 10), oldFiles: []string{"1415"},
		load: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 1)), files: []string{"1415", "1818"}, inferred: []string{"1415", "1818"},
		want: &GuardFailure{Guard: GuardInferred, Before: 1, After: 1, Outside: []string{"1818"}}},
	{name: "a stray number beside files with names", mode: Replace, old: areaNumbers(415, 10), oldFiles: []string{"1415"},
		load:  slices.Concat(areaNumbers(415, 10), areaNumbers(650, 5), areaNumbers(818, 1)),
		files: []string{"1415", "1650", "1818"}, inferred: []string{"1818"},
		want: &GuardFailure{Guard: GuardInferred, Before: 1, After: 1, Outside: []string{"1818"}}},
	{name: "a first load without names", mode: Replace,
		load:  slices.Concat(areaNumbers(212, 3), areaNumbers(415, 10), areaNumbers(650, 2), areaNumbers(818, 1)),
		files: []string{"1212", "1415", "1650", "1818"}, inferred: []string{"1212", "1415", "1650", "1818"},
		want: &GuardFailure{Guard: GuardInferred, Before: 4, After: 1, Outside: []string{"1818", "1650", "1212"}}},
	{name: "a first load without names, in mode add", mode: Add, load: areaNumbers(818, 1), files: []string{"1818"}, inferred: []string{"1818"},
		want: &GuardFailure{Guard: GuardInferred, Before: 1, After: 1, Outside: []string{"1818"}}},
	{name: "without names, within what the list covers", mode: Replace,
		old: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 1)), oldFiles: []string{"1415", "1818"},
		load: areaNumbers(415, 11), files: []string{"1415"}, inferred: []string{"1415"}},
	{name: "without names, of a list that covers all", mode: Replace, old: areaNumbers(415, 10), load: areaNumbers(415, 11),
		files: []string{"1415"}, inferred: []string{"1415"}},
	{name: "without names, of a list that declares it", declared: []string{"1"}, mode: Replace,
		load: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 1)), files: []string{"1415", "1818"}, inferred: []string{"1415", "1818"}},
	{name: "a change list with a stray number", mode: Delta, old: areaNumbers(415, 10), oldFiles: []string{"1415"},
		load: areaNumbers(818, 1), files: []string{"1818"}, inferred: []string{"1818"},
		want: &GuardFailure{Guard: GuardCoverage, Before: 11, After: 1, Outside: []string{"1818"}}},
	{name: "a number that goes", mode: Replace, old: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 1)), oldFiles: []string{"1415"},
		load: areaNumbers(415, 10), files: []string{"1415", "1818"}, inferred: []string{"1415", "1818"}},
	{name: "files say it", mode: Replace, load: areaNumbers(415, 10), files: []string{"1415"}},
	{name: "one more area code", mode: Replace, old: areaNumbers(415, 10), oldFiles: []string{"1415"},
		load: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 10)), files: []string{"1415", "1818"}},
	{name: "files of another area code", mode: Replace, load: areaNumbers(415, 10), files: []string{"1818"},
		want: &GuardFailure{Guard: GuardCoverage, Before: 10, After: 10, Outside: []string{"1415"}}},
	{name: "the same numbers, said to be of fewer area codes", mode: Replace,
		old: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 2)), oldFiles: []string{"1415", "1818"},
		load: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 2)), files: []string{"1415"},
		want: &GuardFailure{Guard: GuardCoverage, Before: 12, After: 2, Outside: []string{"1818"}}},
	{name: "files that no longer say it", mode: Replace, old: areaNumbers(415, 10), oldFiles: []string{"1415"}, load: areaNumbers(415, 11),
		want: &GuardFailure{Guard: GuardWider, Before: 1, Outside: []string{"1415"}}},
	{name: "files that no longer say it, of many prefixes", mode: Replace,
		old:      slices.Concat(areaNumbers(212, 5), areaNumbers(415, 5), areaNumbers(618, 5), areaNumbers(818, 5)),
		oldFiles: []string{"1212", "1415", "1618", "1818"},
		load:     slices.Concat(areaNumbers(212, 6), areaNumbers(415, 5), areaNumbers(618, 5), areaNumbers(818, 5)),
		want:     &GuardFailure{Guard: GuardWider, Before: 4, Outside: []string{"1212", "1415", "1618"}}},
	{name: "files that no longer say it, of none that was held", mode: Replace, old: areaNumbers(415, 10), oldFiles: []string{"1818"},
		load: areaNumbers(415, 11), want: &GuardFailure{Guard: GuardWider}},
	{name: "files that no longer say it, of a list that declares it", declared: []string{"1415"}, mode: Replace,
		old: areaNumbers(415, 10), oldFiles: []string{"1415"}, load: areaNumbers(415, 11)},
	{name: "nobody says it, again", mode: Replace, old: areaNumbers(415, 10), load: areaNumbers(415, 11)},
	{name: "nobody says it", mode: Replace, load: slices.Concat(areaNumbers(415, 10), areaNumbers(818, 10))},
	{name: "added outside", declared: []string{"1415"}, mode: Add, old: areaNumbers(415, 10), load: areaNumbers(818, 3),
		want: &GuardFailure{Guard: GuardCoverage, Before: 13, After: 3, Outside: []string{"1818"}}},
	{name: "added outside what files say", mode: Add, old: areaNumbers(415, 10), oldFiles: []string{"1415"},
		load: areaNumbers(212, 3), files: []string{"1212"},
		want: &GuardFailure{Guard: GuardCoverage, Before: 13, After: 3, Outside: []string{"1212"}}},
	{name: "a change list outside what files say", mode: Delta, old: areaNumbers(415, 10), oldFiles: []string{"1415"},
		load: areaNumbers(212, 3), files: []string{"1212"},
		want: &GuardFailure{Guard: GuardCoverage, Before: 13, After: 3, Outside: []string{"1212"}}},
	{name: "added within what files say", mode: Add, old: areaNumbers(415, 10), oldFiles: []string{"1415"}, load: areaNumbers(415, 20)},
	{name: "added to a list that covers all", mode: Add, old: areaNumbers(415, 10), load: areaNumbers(212, 3)},
	{name: "removed from what files say", mode: Remove, old: areaNumbers(415, 10), oldFiles: []string{"1415"}, load: areaNumbers(415, 3)},
	{name: "removed from outside", declared: []string{"1415"}, mode: Remove,
		old: slices.Concat(areaNumbers(415, 100), areaNumbers(818, 3)), load: areaNumbers(818, 1)},
}

// Numbers outside the coverage refuse a load with their figures, and the list is as it was, unless a person overrides it.
func TestCoverageThatDoesNotMatchIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range coverageCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir())
			createList(t, s, "a", usRegistry(c.declared...))
			if c.old != nil {
				h := header("a", Replace)
				h.Override = true
				if _, err := commit(begin(t, s, h), c.old, Commit{FileCoverage: c.oldFiles}); err != nil {
					t.Fatal(err)
				}
			}
			revision := s.View().Revision()
			for _, override := range []bool{false, true} {
				r, err := commit(begin(t, s, Header{List: "a", Mode: c.mode, Guards: Guards{-1, -1}, Override: override}), c.load,
					Commit{FileCoverage: c.files, Inferred: c.inferred})
				if err != nil {
					t.Fatal(err)
				}
				if c.want == nil {
					if len(r.GuardFailures) > 0 || r.Refused {
						t.Errorf("refused: %+v", r.GuardFailures)
					}
					return
				}
				want := *c.want
				want.Overridden = override
				if diff := cmp.Diff([]GuardFailure{want}, r.GuardFailures); diff != "" {
					t.Errorf("failures (-want +got)\n%s", diff)
				}
				if changed := s.View().Revision() != revision; r.Refused == override || changed != override {
					t.Errorf("override %v: refused %v, changed %v", override, r.Refused, changed)
				}
			}
		})
	}
}

// What guards said of a load that was made in spite of them is told again with its figures, after a restart too.
func TestOverriddenGuardsKeepTheirFigures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "a", usRegistry("1415", "1818"))
	date := policy.DateOf(time.Now()) - 3
	load(t, s, "a", Replace, slices.Concat(areaNumbers(415, 100), areaNumbers(818, 100)), Commit{SnapshotDate: date})
	h := Header{List: "a", Mode: Replace, Guards: Guards{0.1, 0.01}, Override: true}
	i := begin(t, s, h)
	c := Commit{SnapshotDate: date - 1, Rejected: 7, Sources: make([]Source, 2), CutFiles: 1}
	first, err := commit(i, slices.Concat(areaNumbers(212, 1), areaNumbers(415, 100)), c)
	if err != nil || len(first.GuardFailures) != 6 {
		t.Fatalf("%+v, %v, want every guard but one to fail", first.GuardFailures, err)
	}
	s.Close()
	s = open(t, dir)
	h.ImportID = i.ID()
	again, err := commit(begin(t, s, h), nil, c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.GuardFailures, again.GuardFailures); diff != "" {
		t.Errorf("failures told again (-first +again)\n%s", diff)
	}
	entries, err := s.View().Imports(listOf(t, s, "a").ID, 0, 1)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	if diff := cmp.Diff(first.GuardFailures, entries[0].Overridden); diff != "" {
		t.Errorf("failures of the entry (-first +entry)\n%s", diff)
	}
}

// The same numbers in a file that does not say what it covers, such as an export, say nothing of coverage.
func TestSameNumbersKeepTheCoverage(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", Settings{})
	numbers := areaNumbers(415, 100)
	load(t, s, "a", Replace, numbers, Commit{SnapshotDate: date(t, "2026-09-01"), FileCoverage: []string{"1415"}})
	other := phone.Number(12125550100)
	wantVerdict(t, s, other, "", policy.Unknown, policy.NotCovered)
	for _, day := range []string{"2026-09-01", "2026-09-02"} {
		if r := load(t, s, "a", Replace, numbers, Commit{SnapshotDate: date(t, day)}); !r.AlreadyLoaded {
			t.Errorf("%s: %+v, want already loaded", day, r)
		}
		if l := listOf(t, s, "a"); l.CoversAll || !slices.Equal(l.Coverage, []string{"1415"}) || l.SnapshotDate != date(t, day) {
			t.Errorf("covers all %v, %v, of %s; want 1415 of %s", l.CoversAll, l.Coverage, l.SnapshotDate, day)
		}
		wantVerdict(t, s, other, "", policy.Unknown, policy.NotCovered)
	}
	if r := load(t, s, "a", Replace, areaNumbers(415, 101), Commit{}); !r.Refused { // another content would be the whole list
		t.Errorf("%+v, want it refused", r)
	}
	wantVerdict(t, s, other, "", policy.Unknown, policy.NotCovered)
	h := header("a", Replace)
	h.Override = true
	if _, err := commit(begin(t, s, h), areaNumbers(415, 101), Commit{}); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, s, other, "", policy.Allow, policy.CauseNone)
}

// The same numbers in files without names do not widen a coverage either: a stray one among them was outside before.
func TestSameNumbersInferNoCoverage(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	numbers := slices.Concat(areaNumbers(415, 100), areaNumbers(818, 1))
	h := header("a", Replace)
	h.Override = true
	if _, err := commit(begin(t, s, h), numbers, Commit{FileCoverage: []string{"1415"}}); err != nil {
		t.Fatal(err)
	}
	both := []string{"1415", "1818"}
	if r := load(t, s, "a", Replace, numbers, Commit{FileCoverage: both, Inferred: both}); !r.AlreadyLoaded {
		t.Errorf("%+v, want already loaded", r)
	}
	if l := listOf(t, s, "a"); l.CoversAll || !slices.Equal(l.Coverage, []string{"1415"}) {
		t.Errorf("covers %v, want 1415", l.Coverage)
	}
	wantVerdict(t, s, fiction(818, 99), "", policy.Unknown, policy.NotCovered)
}

// Who confirms what was inferred is not asked again.
func TestConfirmedInferenceIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	area := []string{"1415"}
	h := header("a", Replace)
	h.Override = true
	if r, err := commit(begin(t, s, h), areaNumbers(415, 100), Commit{FileCoverage: area, Inferred: area}); err != nil || r.Refused {
		t.Fatal(r, err)
	}
	if r := load(t, s, "a", Replace, areaNumbers(415, 101), Commit{FileCoverage: area, Inferred: area}); r.Refused {
		t.Errorf("refused: %+v", r.GuardFailures)
	}
	wantVerdict(t, s, fiction(415, 199), "", policy.Allow, policy.CauseNone)
}

func TestUndatedDeltaKeepsTheDate(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", Settings{})
	load(t, s, "a", Replace, areaNumbers(415, 100), Commit{SnapshotDate: date(t, "2026-09-01")})
	load(t, s, "a", Delta, areaNumbers(415, 10), Commit{})
	if got := listOf(t, s, "a").SnapshotDate; got != date(t, "2026-09-01") {
		t.Errorf("snapshot %s, want it as it was", got)
	}
}

// A list whose content a repair found damaged remembers what it covered: the next load does not widen that unnoticed.
func TestUnloadedListKeepsItsCoverage(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, areaNumbers(415, 100), Commit{FileCoverage: []string{"1415"}})
	unload(t, s, "a")
	wantVerdict(t, s, fiction(415, 99), "", policy.Unknown, policy.NotLoaded)
	if l := listOf(t, s, "a"); l.Loaded || l.Numbers != 0 || l.SnapshotDate != 0 {
		t.Errorf("unloaded: %+v", l)
	}
	r := load(t, s, "a", Replace, areaNumbers(415, 100), Commit{})
	if !r.Refused || r.GuardFailures[0].Guard != GuardWider {
		t.Errorf("%+v, want the load refused, as it would widen the coverage", r)
	}
	load(t, s, "a", Replace, areaNumbers(415, 100), Commit{FileCoverage: []string{"1415"}})
	wantVerdict(t, s, fiction(415, 99), "", policy.Allow, policy.CauseNone)
	wantVerdict(t, s, fiction(818, 99), "", policy.Unknown, policy.NotCovered)
}

// unload is what a repair does to a list whose content is damaged.
func unload(t *testing.T, s *Store, list string) {
	t.Helper()
	_, err := s.record(context.Background(), &storev1.Event{Change: &storev1.Event_ListUnloaded{
		ListUnloaded: &storev1.ListUnloaded{List: state.ListRef(listOf(t, s, list).ID)},
	}}, Request{})
	if err != nil {
		t.Fatal(err)
	}
}
