package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dncd/dncd/internal/policy"
)

// loadUntilWriting commits an import as one whose caller goes away while its load is written, and holds the load before
// its switch. It returns the header to go on with.
func loadUntilWriting(t *testing.T, s *Store, h Header, numbers []uint64, c Commit) (again Header, release func()) {
	t.Helper()
	i := begin(t, s, h)
	putChunks(t, i, [][]uint64{numbers})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := i.Commit(ctx, c, func(p Progress) {
		if p.Phase == PhaseWriting && release == nil {
			release = holdCommitter(t, s)
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal("commit of a caller who is gone:", err)
	}
	i.Close()
	h.ImportID = i.ID()
	return h, release
}

// beginAgain begins an import that was committed, and sends its chunk again.
func beginAgain(t *testing.T, s *Store, h Header) *Import {
	t.Helper()
	i := begin(t, s, h)
	if !i.Committed() {
		t.Error("the import does not know of its commit")
	}
	put(t, i, 1, 1)
	return i
}

// What a result tells of its own time and way is not the same again.
var sameResult = cmp.Options{cmpopts.IgnoreFields(Result{}, "Elapsed"), cmpopts.IgnoreFields(Receipt{}, "ID")}

func TestCommitAgainWaitsForItsLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, registryNumbers(100), Commit{})
	numbers := registryNumbers(30_000)
	c := Commit{Chunks: 1, Read: uint64(len(numbers))}
	h := header("a", Replace)
	h.TakeOver = true
	h, release := loadUntilWriting(t, s, h, numbers, c)
	type answer struct {
		r   Result
		err error
	}
	answers := make(chan answer, 2)
	for range cap(answers) {
		i := beginAgain(t, s, h)
		go func() {
			r, err := i.Commit(context.Background(), c, silent)
			answers <- answer{r, err}
		}()
	}
	select {
	case a := <-answers:
		t.Errorf("%+v (%v) before the list switched", a.r, a.err)
	case <-time.After(100 * time.Millisecond):
	}
	release()
	want := Counts{Read: c.Read, Accepted: c.Read, Added: c.Read - 100, Unchanged: 100}
	var tag string
	for range cap(answers) {
		a := <-answers
		tag = a.r.Tag
		if a.err != nil || a.r.Counts != want || a.r.ImportID != h.ImportID || a.r.Numbers != c.Read || a.r.ID.Revision == 0 {
			t.Errorf("%+v (%v), want the result of the load", a.r, a.err)
		}
	}
	wantImports(t, s, 2)
	awaitIdle(t, s, "a")
	optOut(t, s, fiction(415, 1), "acme")
	closeStore(t, s)
	s = open(t, dir)
	if r, err := beginAgain(t, s, h).Commit(context.Background(), c, silent); err != nil || r.Counts != want || r.Tag != tag || tag == "" {
		t.Errorf("after a restart: %+v (%v), want the result of the load", r, err)
	}
	h.Mode = Add
	if _, err := s.BeginImport(h); !errors.Is(err, ErrImportNotFound) {
		t.Errorf("in another mode: %v, want ErrImportNotFound", err)
	}
}

// wantImports counts the loads of list a.
func wantImports(t *testing.T, s *Store, want int) {
	t.Helper()
	entries, err := s.View().Imports(listOf(t, s, "a").ID, 0, want+1)
	if err != nil || len(entries) != want {
		t.Errorf("%d loads (%v), want %d: %+v", len(entries), err, want, entries)
	}
}

func TestCommitAgainGivesTheResult(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	numbers := registryNumbers(100)
	for _, c := range []struct {
		name    string
		change  func(*Header)
		numbers int
		date    bool
	}{
		{"switched", func(*Header) {}, 50, false},
		{"overridden", func(h *Header) { h.Guards.MaxShrink, h.Override = 0.1, true }, 20, false},
		{"confirmed", func(*Header) {}, 20, true},
		{"as it was", func(*Header) {}, 20, true},
		{"dry run", func(h *Header) { h.DryRun = true }, 30, true},
		{"refused", func(h *Header) { h.Guards.MaxShrink = 0.1 }, 5, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := header("a", Replace)
			c.change(&h)
			commit := Commit{Chunks: 1, Read: uint64(c.numbers)}
			if c.date {
				commit.SnapshotDate = policy.DateOf(day(1))
			}
			i := begin(t, s, h)
			put(t, i, 1, numbers[:c.numbers]...)
			want, err := i.Commit(context.Background(), commit, silent)
			if err != nil {
				t.Fatal(err)
			}
			i.Close()
			h.ImportID = i.ID()
			got, err := beginAgain(t, s, h).Commit(context.Background(), commit, silent)
			ignore := sameResult
			if c.name == "overridden" {
				ignore = append(ignore, cmpopts.IgnoreFields(GuardFailure{}, "Before", "After", "Limit"))
			}
			if diff := cmp.Diff(want, got, ignore); diff != "" || err != nil {
				t.Errorf("result (-first +again)\n%s%v", diff, err)
			}
			if want.ID.Revision != got.ID.Revision {
				t.Errorf("revision %d, first %d", got.ID.Revision, want.ID.Revision)
			}
			if h.DryRun = !h.DryRun; want.DryRun {
				if _, err := s.BeginImport(h); !errors.Is(err, ErrImportNotFound) {
					t.Errorf("what changed nothing, as something else: %v, want ErrImportNotFound", err)
				}
			}
		})
	}
}

// The first load of a list replaces, also in mode add: the same commit again gives its result all the same.
func TestFirstLoadInModeAddIsFoundAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "a", usRegistry())
	h := header("a", Add)
	i := begin(t, s, h)
	first, err := commit(i, registryNumbers(10), Commit{})
	if err != nil {
		t.Fatal(err)
	}
	h.ImportID = i.ID()
	for _, when := range []string{"at once", "after a restart"} {
		again, err := beginAgain(t, s, h).Commit(context.Background(), Commit{Chunks: 1, Read: 10}, silent)
		if err != nil || again.Counts != first.Counts || again.ID != first.ID {
			t.Errorf("%s: %+v, %v, want the result of the load", when, again, err)
		}
		closeStore(t, s)
		s = open(t, dir)
	}
	h.Mode = Delta
	if _, err := s.BeginImport(h); !errors.Is(err, ErrImportNotFound) {
		t.Errorf("in another mode: %v, want ErrImportNotFound", err)
	}
}
