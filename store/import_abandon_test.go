package store

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

func numberOf(n uint64) phone.Number { return phone.Number(n) }

// prepareOnly takes a load as far as its prepared event, as Commit does, and returns its revision.
func prepareOnly(t testing.TB, s *Store, h Header, numbers []uint64, c Commit) uint64 {
	t.Helper()
	i := begin(t, s, h)
	put(t, i, 1, numbers...)
	ctx := context.Background()
	owned, release, err := s.locks.LockList(ctx, i.list)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	staged, err := s.sortContent(t.Context(), i.list, i.log, i.dir)
	if err != nil {
		t.Fatal(err)
	}
	c.Chunks, c.Read = 1, uint64(len(numbers))
	p, err := i.prepare(ctx, owned, &c, staged, silent)
	if err != nil || p.done {
		t.Fatalf("prepare: %+v, %v", p, err)
	}
	return p.revision
}

// writeBlocks commits the first blocks of the list's prepared load, and stops there.
func writeBlocks(t testing.TB, s *Store, list string, blocks int) {
	t.Helper()
	l := listOf(t, s, list)
	load := l.state.GetPendingLoad()
	in := loadInput{list: l, at: l.Pending - 1, mode: Mode(load.GetMode()), staged: s.contentPath(l.ID, load.GetContent())}
	w := newBlockWriter(s, l.ID, l.Pending, load.GetNumbers())
	for c, err := range s.changes(context.Background(), in) {
		if err != nil {
			t.Fatal(err)
		}
		if blocks--; blocks < 0 {
			break
		}
		if err := w.put(c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.end(nil); err != nil {
		t.Fatal(err)
	}
}

// awaitIdle waits for what a restart left to do on the list.
func awaitIdle(t testing.TB, s *Store, list string) {
	t.Helper()
	for listOf(t, s, list).Pending != 0 {
		_, release, err := s.locks.LockList(context.Background(), listOf(t, s, list).ID)
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	_, release, err := s.locks.LockList(context.Background(), listOf(t, s, list).ID)
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// membershipOf is what a list says of a number.
func membershipOf(v *View, l *List, n phone.Number) policy.Membership {
	return v.membership(l, n, filter.KeyOf(uint64(n)), n.Regions())
}

// wantContent compares a list with numbers, by export and by lookup of each of them and of their neighbours.
func wantContent(t testing.TB, s *Store, list string, numbers, others []uint64) {
	t.Helper()
	if diff := cmp.Diff(numbers, export(t, s, list)); diff != "" {
		t.Errorf("%s (-want +got)\n%.500s", list, diff)
	}
	v, l := s.View(), listOf(t, s, list)
	for _, some := range [][]uint64{numbers, others} {
		for _, n := range some {
			for _, n := range []uint64{n - 1, n, n + 1} {
				_, want := slices.BinarySearch(numbers, n)
				if m := membershipOf(v, l, numberOf(n)); m.Listed != want || m.Damaged {
					t.Fatalf("%s: a number is listed: %v damaged: %v, want %v", list, m.Listed, m.Damaged, want)
				}
			}
		}
	}
}

// abandonCase is a load that is prepared, written in part and given up, and the load that comes after it.
type abandonCase struct {
	way    string
	give   func(t *testing.T, s *Store, revision uint64) *Store // up; returns the store to go on with
	loaded bool                                                 // the list held something before
	mode   Mode                                                 // of the load that comes after
}

func abandonCases() []abandonCase {
	takeOver := func(_ *testing.T, s *Store, _ uint64) *Store { return s } // the next load does it
	atOnce := func(t *testing.T, s *Store, revision uint64) *Store {
		if err := s.abandonLoad(context.Background(), listOf(t, s, "a").ID, revision); err != nil {
			t.Fatal(err)
		}
		return s
	}
	lost, cut := restartWithout(os.Remove), restartWithout(func(path string) error { return os.Truncate(path, 100) })
	other := restartWithout(func(path string) error { return os.WriteFile(path, []byte{1, 2, 3}, 0o600) })
	return []abandonCase{
		{"taken over, replaced", takeOver, true, Replace},
		{"taken over, added to", takeOver, true, Add},
		{"taken over, removed from", takeOver, true, Remove},
		{"taken over, never loaded", takeOver, false, Replace},
		{"abandoned, replaced", atOnce, true, Replace},
		{"abandoned, added to", atOnce, true, Add},
		{"abandoned, removed from", atOnce, true, Remove},
		{"abandoned, never loaded", atOnce, false, Add},
		{"stage lost, replaced", lost, true, Replace},
		{"stage lost, never loaded", lost, false, Replace},
		{"stage cut off, added to", cut, true, Add},
		{"stage of something else, never loaded", other, false, Add},
	}
}

// restartWithout opens the store again with the stage of the prepared load spoilt.
func restartWithout(spoil func(path string) error) func(*testing.T, *Store, uint64) *Store {
	return func(t *testing.T, s *Store, _ uint64) *Store {
		l := listOf(t, s, "a")
		path := s.contentPath(l.ID, l.state.GetPendingLoad().GetContent())
		closeStore(t, s)
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		s = open(t, s.dir)
		awaitIdle(t, s, "a")
		return s
	}
}

// An abandoned load leaves nothing behind: neither at once, nor in what is loaded next, nor in older views.
func TestAbandonedLoadLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range abandonCases() {
		t.Run(c.way, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func (c *abandonCase) run(t *testing.T) {
	all := registryNumbers(30_000)
	abandoned := slices.Concat(all[:3000], all[9000:])
	second := slices.Concat(all[2000:6000], all[20_000:20_010])
	before := []uint64{}
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	if c.loaded {
		before = all[5000:12_000]
		load(t, s, "a", Replace, before, Commit{})
	}
	old := s.View().Revision()
	revision := prepareOnly(t, s, header("a", Replace), abandoned, Commit{})
	writeBlocks(t, s, "a", 40)
	wantContent(t, s, "a", before, abandoned)
	s = c.give(t, s, revision)
	wantContent(t, s, "a", before, abandoned)

	h := header("a", c.mode)
	h.TakeOver = true
	if _, err := commit(begin(t, s, h), second, Commit{}); err != nil {
		t.Fatal(err)
	}
	want := map[Mode][]uint64{Replace: second, Add: union(before, second), Remove: minus(before, second)}[c.mode]
	wantContent(t, s, "a", want, abandoned)
	wantContentAt(t, s, old, before)
	closeStore(t, s)
	s = open(t, s.dir)
	wantContent(t, s, "a", want, abandoned)
	wantContentAt(t, s, old, before)
}

// wantContentAt compares list a of an older revision.
func wantContentAt(t *testing.T, s *Store, revision uint64, numbers []uint64) {
	t.Helper()
	v, err := s.ViewAt(revision)
	if err != nil {
		t.Fatal(err)
	}
	l, err := v.List("a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(numbers, exportList(t, v, l)); diff != "" {
		t.Errorf("as of revision %d (-want +got)\n%.500s", revision, diff)
	}
}

func union(a, b []uint64) []uint64 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func minus(a, b []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(a), func(n uint64) bool { return slices.Contains(b, n) })
}

func TestPreparedLoadHoldsTheList(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	ctx := context.Background()
	createList(t, s, "a", usRegistry())
	prepareOnly(t, s, header("a", Replace), registryNumbers(30_000), Commit{})
	writeBlocks(t, s, "a", 5)
	if _, err := s.DeleteList(ctx, listOf(t, s, "a").ID, Request{Confirmed: true}); !errors.Is(err, ErrImportRunning) {
		t.Errorf("delete: %v, want ErrImportRunning", err)
	}
	if _, _, err := s.UpdateList(ctx, listNamed(s, "a"), func(*Settings) {}, Request{}); !errors.Is(err, ErrImportRunning) {
		t.Errorf("update: %v, want ErrImportRunning", err)
	}
	if _, err := commit(begin(t, s, header("a", Replace)), registryNumbers(5), Commit{}); !errors.Is(err, ErrImportRunning) {
		t.Errorf("another load: %v, want ErrImportRunning", err)
	}
	wantVerdict(t, s, fiction(415, 1), "", policy.Unknown, policy.NotLoaded)
	closeStore(t, s)
	s = open(t, dir) // the store finishes by itself
	awaitIdle(t, s, "a")
	wantContent(t, s, "a", registryNumbers(30_000), nil)
}

func TestListCreatedAgainHoldsNothingOfTheOld(t *testing.T) {
	t.Parallel()
	all := registryNumbers(9000)
	for _, c := range []struct {
		name string
		load func(t *testing.T, s *Store)
	}{
		{"loaded", func(t *testing.T, s *Store) { load(t, s, "a", Replace, all[:6000], Commit{}) }},
		{"abandoned", func(t *testing.T, s *Store) {
			revision := prepareOnly(t, s, header("a", Replace), all[:6000], Commit{})
			writeBlocks(t, s, "a", 3)
			if err := s.abandonLoad(context.Background(), listOf(t, s, "a").ID, revision); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			createList(t, s, "a", usRegistry())
			c.load(t, s)
			old := listOf(t, s, "a").ID
			if _, err := s.DeleteList(context.Background(), old, Request{Confirmed: true}); err != nil {
				t.Fatal(err)
			}
			wantVerdict(t, s, numberOf(all[0]), "", policy.Allow, policy.CauseNone)
			createList(t, s, "a", usRegistry())
			if _, err := s.DeleteList(context.Background(), old, Request{Confirmed: true}); !errors.Is(err, ErrListNotFound) {
				t.Errorf("delete the old list again: %v, want ErrListNotFound", err)
			}
			wantVerdict(t, s, numberOf(all[0]), "", policy.Unknown, policy.NotLoaded)
			wantContent(t, s, "a", []uint64{}, all)
			load(t, s, "a", Add, all[5000:], Commit{})
			wantContent(t, s, "a", all[5000:], all)
		})
	}
}

// Two lists load the same numbers at once: neither ends the stage of the other.
func TestListsWithTheSameContentHaveAStageEach(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	numbers := registryNumbers(100)
	for _, name := range []string{"a", "b", "c"} {
		createList(t, s, name, usRegistry())
	}
	a := prepareOnly(t, s, header("a", Replace), numbers, Commit{})
	b := prepareOnly(t, s, header("b", Replace), numbers, Commit{})
	dry := header("c", Replace)
	dry.DryRun = true
	if _, err := commit(begin(t, s, dry), numbers, Commit{}); err != nil {
		t.Fatal(err)
	}
	for name, revision := range map[string]uint64{"a": a, "b": b} {
		if _, err := s.finishLoad(context.Background(), listOf(t, s, name).ID, revision, func(Progress) {}); err != nil {
			t.Error("finish:", err)
		}
		wantContent(t, s, name, numbers, nil)
	}
}

// A dry run changes nothing, whatever it is asked to take over.
func TestDryRunTakesOverNothing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	prepared := prepareOnly(t, s, header("a", Replace), registryNumbers(10), Commit{})
	h := header("a", Replace)
	h.TakeOver, h.DryRun = true, true
	i := begin(t, s, h)
	put(t, i, 1, registryNumbers(5)...)
	if _, err := i.Commit(t.Context(), Commit{Chunks: 1, Read: 5}, silent); !errors.Is(err, ErrImportRunning) {
		t.Errorf("dry run beside a prepared load: %v, want ErrImportRunning", err)
	}
	if got := listOf(t, s, "a").Pending; got != prepared {
		t.Errorf("pending %d, want the load prepared at %d", got, prepared)
	}
}

// A load that was abandoned does not count, and what was staged for it stays: the import goes on with it.
func TestStageOfAnAbandonedLoadIsResumed(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	chunks := [][]uint64{registryNumbers(3000)}
	stuck := begin(t, s, header("a", Replace))
	putChunks(t, stuck, chunks)
	prepared := prepareStaged(t, s, stuck, Commit{Chunks: 1, Read: 3000, Digest: digestOf(chunks)})
	stuck.Close()
	if err := s.abandonLoad(context.Background(), stuck.list, prepared); err != nil {
		t.Fatal(err)
	}
	i := resume(t, s, header("a", Replace))
	if i.Committed() || i.LastChunk() != 1 {
		t.Errorf("committed %v, chunk %d, want the stage of the load", i.Committed(), i.LastChunk())
	}
	if _, err := commitChunks(i, chunks); err != nil {
		t.Fatal(err)
	}
	wantContent(t, s, "a", chunks[0], nil)
}
