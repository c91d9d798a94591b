package store

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dncd/dncd/internal/policy"
)

// loadChunks loads hashed chunks, and reports whether the numbers were compared with the list.
func loadChunks(t *testing.T, s *Store, h Header, chunks [][]uint64, c Commit) (r Result, compared bool) {
	t.Helper()
	i := begin(t, s, h)
	putChunks(t, i, chunks)
	c.Chunks, c.Read = uint64(len(chunks)), c.Rejected+uint64(len(slices.Concat(chunks...)))
	r, err := i.Commit(context.Background(), c, func(Progress) { compared = true })
	if err != nil {
		t.Fatal(err)
	}
	i.Close()
	return r, compared
}

func TestHeldContentIsToldByItsChunks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "a", usRegistry())
	repeated := append(registryNumbers(1000), registryNumbers(10)...)
	chunks := inChunks(repeated)
	c := Commit{Rejected: 3, SnapshotDate: policy.DateOf(day(1)), FileCoverage: []string{"1201"}}
	first, compared := loadChunks(t, s, header("a", Replace), chunks, c)
	if !compared {
		t.Fatal("a first load was not compared")
	}
	closeStore(t, s)
	s = open(t, dir)
	want := first
	want.AlreadyLoaded, want.Added, want.Unchanged = true, 0, 1000
	same, compared := loadChunks(t, s, header("a", Replace), chunks, c)
	ignore := cmpopts.IgnoreFields(Result{}, "ImportID", "Elapsed", "Receipt")
	if diff := cmp.Diff(want, same, ignore); diff != "" || compared {
		t.Errorf("the same again: compared %v (-want +got)\n%s", compared, diff)
	}
	if files := stageFiles(t, s); len(files) != 0 {
		t.Errorf("left in the stage: %v", files)
	}
	if same.ID.Revision != s.View().Revision() {
		t.Errorf("revision %d, want the current one", same.ID.Revision)
	}
	before := s.View().Revision()
	c.SnapshotDate++
	later, compared := loadChunks(t, s, header("a", Replace), chunks, c)
	want.SnapshotDate++
	if diff := cmp.Diff(want, later, ignore); diff != "" || compared || s.View().Revision() != before+1 {
		t.Errorf("the same of a later day: compared %v, revision %d after %d (-want +got)\n%s", compared, s.View().Revision(), before, diff)
	}
	l := listOf(t, s, "a")
	if l.SnapshotDate != c.SnapshotDate || !slices.Equal(l.Coverage, []string{"1201"}) || l.CoversAll {
		t.Errorf("date %v, coverage %v, want the later date and the same coverage", l.SnapshotDate, l.Coverage)
	}
	if _, compared = loadChunks(t, s, header("a", Replace), chunks, c); compared {
		t.Error("after a date was confirmed, the content was compared")
	}
	wantContent(t, s, "a", registryNumbers(1000), nil)
}

// Guards are asked about content that is held already, too.
func TestHeldContentIsGuarded(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	chunks := inChunks(registryNumbers(1000))
	c := Commit{Rejected: 100, SnapshotDate: policy.DateOf(day(5))}
	loadChunks(t, s, header("a", Replace), chunks, c)
	h := header("a", Replace)
	h.Guards.MaxRejects = 0.01
	c.SnapshotDate--
	r, compared := loadChunks(t, s, h, chunks, c)
	var failed []Guard
	for _, f := range r.GuardFailures {
		failed = append(failed, f.Guard)
	}
	if !r.Refused || compared || !slices.Equal(failed, []Guard{GuardRejects, GuardOlder}) {
		t.Errorf("refused %v for %v, compared %v, want a refusal for the rejects and the date", r.Refused, failed, compared)
	}
	h.DryRun, h.Override = true, true
	if r, _ := loadChunks(t, s, h, chunks, c); !r.DryRun || r.Refused || r.Unchanged != 1000 {
		t.Errorf("dry run: %+v", r)
	}
	if got := listOf(t, s, "a").SnapshotDate; got != policy.DateOf(day(5)) {
		t.Errorf("snapshot date %v, want it as it was", got)
	}
}

// What came between, or is not quite the same, makes the numbers themselves count.
func TestHeldContentIsComparedWhenInDoubt(t *testing.T) {
	t.Parallel()
	chunks := inChunks(registryNumbers(1000))
	c := Commit{Rejected: 3, FileCoverage: []string{"1201"}}
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, s *Store)
		change func(h *Header, chunks [][]uint64, c *Commit)
	}{
		{name: "added to", before: func(t *testing.T, s *Store) {
			h := header("a", Add)
			h.Override = true // the number lies outside the files' coverage
			loadChunks(t, s, h, [][]uint64{{uint64(fiction(415, 1))}}, Commit{})
		}},
		{name: "removed from", before: func(t *testing.T, s *Store) {
			loadChunks(t, s, header("a", Remove), [][]uint64{chunks[0][:1]}, Commit{})
		}},
		{name: "reverted", before: func(t *testing.T, s *Store) {
			loadChunks(t, s, header("a", Replace), chunks[1:], Commit{FileCoverage: []string{"1201"}})
			if _, err := s.Revert(context.Background(), header("a", Replace), silent); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "reloaded", before: func(t *testing.T, s *Store) {
			prepared := prepareOnly(t, s, header("a", Replace), registryNumbers(10), Commit{FileCoverage: []string{"1201"}})
			if err := s.abandonLoad(context.Background(), listOf(t, s, "a").ID, prepared); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "unloaded", before: func(t *testing.T, s *Store) {
			createList(t, s, "b", usRegistry())
		}, change: func(h *Header, _ [][]uint64, _ *Commit) { h.List = "b" }},
		{name: "in another order", change: func(_ *Header, chunks [][]uint64, _ *Commit) { slices.Reverse(chunks) }},
		{name: "added", change: func(h *Header, _ [][]uint64, _ *Commit) { h.Mode = Add }},
		{name: "more rejects", change: func(_ *Header, _ [][]uint64, c *Commit) { c.Rejected++ }},
		{name: "other files", change: func(_ *Header, _ [][]uint64, c *Commit) { c.FileCoverage = []string{"1201", "1415"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			createList(t, s, "a", usRegistry())
			loadChunks(t, s, header("a", Replace), chunks, c)
			if tt.before != nil {
				tt.before(t, s)
			}
			h, again, c := header("a", Replace), slices.Clone(chunks), c
			if tt.change != nil {
				tt.change(&h, again, &c)
			}
			if _, compared := loadChunks(t, s, h, again, c); !compared {
				t.Error("not compared")
			}
			wantContent(t, s, h.List, registryNumbers(1000), nil)
		})
	}
}

func TestDoubtfulLoadIsComparedAgain(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	chunks := inChunks(registryNumbers(100))
	h := header("a", Replace)
	h.Guards.MaxRejects, h.Override = 0.01, true
	loadChunks(t, s, h, chunks, Commit{Rejected: 50})
	if r, compared := loadChunks(t, s, h, chunks, Commit{Rejected: 50}); !compared || len(r.GuardFailures) != 1 {
		t.Errorf("a load that a guard was overridden for: compared %v, %v", compared, r.GuardFailures)
	}

	// Entries that the server itself rejected may be numbers tomorrow.
	createList(t, s, "b", usRegistry())
	for range 2 {
		i := begin(t, s, header("b", Replace))
		chunk := hashed(1, chunks[0])
		chunk.Rejected = 1
		if err := i.Put(chunk); err != nil {
			t.Fatal(err)
		}
		compared := false
		if _, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: 101}, func(Progress) { compared = true }); err != nil || !compared {
			t.Errorf("with an entry that the server rejected: compared %v (%v)", compared, err)
		}
	}
}

// stageFiles are the names of what lies in the stage.
func stageFiles(t testing.TB, s *Store) (names []string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(s.dir, stageDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}
