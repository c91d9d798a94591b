package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/fault"
)

func begin(t testing.TB, s *Store, h Header) *Import {
	t.Helper()
	i, err := s.BeginImport(h)
	if err != nil {
		t.Fatal("begin import:", err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

// header of a load that no guard stops.
func header(list string, m Mode) Header {
	return Header{List: list, Mode: m, Guards: Guards{MaxShrink: -1, MaxRejects: -1}}
}

func put(t testing.TB, i *Import, seq uint64, numbers ...uint64) {
	t.Helper()
	if err := i.Put(Chunk{Seq: seq, Numbers: slices.Clone(numbers)}); err != nil {
		t.Fatal("put chunk:", err)
	}
}

func silent(Progress) {}

func TestLoadAccountsForEveryEntry(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	numbers := registryNumbers(30)
	load(t, s, "a", Replace, numbers[:10], Commit{})
	for _, c := range []struct {
		name   string
		mode   Mode
		chunks [][]uint64
		reject uint64
		want   Counts
		list   []uint64
	}{
		{"replace with repeats", Replace, [][]uint64{
			{numbers[5], numbers[6], numbers[6]}, {numbers[7], numbers[5]}, {}, {numbers[20], numbers[20], numbers[20]},
		}, 2, Counts{Read: 10, Accepted: 4, Duplicates: 4, Rejected: 2, Added: 1, Removed: 7, Unchanged: 3},
			[]uint64{numbers[5], numbers[6], numbers[7], numbers[20]}},
		{"add", Add, [][]uint64{{numbers[21], numbers[5]}, {numbers[21]}}, 0,
			Counts{Read: 3, Accepted: 2, Duplicates: 1, Added: 1, Unchanged: 4},
			[]uint64{numbers[5], numbers[6], numbers[7], numbers[20], numbers[21]}},
		{"remove", Remove, [][]uint64{{numbers[5], numbers[29], numbers[21]}}, 1,
			Counts{Read: 4, Accepted: 3, Rejected: 1, Removed: 2, Unchanged: 3},
			[]uint64{numbers[6], numbers[7], numbers[20]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := begin(t, s, header("a", c.mode))
			for k, chunk := range c.chunks {
				put(t, i, uint64(k)+1, chunk...)
			}
			r, err := i.Commit(context.Background(), Commit{Chunks: uint64(len(c.chunks)), Read: c.want.Read, Rejected: c.reject}, silent)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, r.Counts); diff != "" {
				t.Errorf("counts (-want +got)\n%s", diff)
			}
			if r.Accepted+r.Duplicates+r.Rejected != r.Read || r.Numbers != uint64(len(c.list)) {
				t.Errorf("%+v does not add up to what was read, or %d is not %d numbers", r.Counts, r.Numbers, len(c.list))
			}
			if diff := cmp.Diff(c.list, export(t, s, "a")); diff != "" {
				t.Errorf("list (-want +got)\n%s", diff)
			}
			entries, err := s.View().Imports(listOf(t, s, "a").ID, 0, 1)
			if err != nil || len(entries) != 1 || entries[0].Counts != c.want || entries[0].State != ImportSwitched || entries[0].ImportID != r.ImportID {
				t.Errorf("journal: %+v, %v, want the same counts, switched", entries, err)
			}
		})
	}
}

func TestCommitThatDoesNotAddUpIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	i := begin(t, s, header("a", Replace))
	put(t, i, 1, registryNumbers(10)...)
	for _, c := range []struct {
		commit Commit
		want   error
	}{
		{Commit{Chunks: 2, Read: 10}, ErrChunksMissing},
		{Commit{Chunks: 0, Read: 10}, ErrChunksMissing},
		{Commit{Chunks: 1, Read: 9}, ErrCounts},
		{Commit{Chunks: 1, Read: 10, Rejected: 1}, ErrCounts},
		{Commit{Chunks: 1, Read: 9, Rejected: ^uint64(0)}, ErrCounts}, // a sum that wraps around
		{Commit{Chunks: 1, Read: 9, Rejected: ^uint64(0)}, ErrCounts},
		{Commit{Chunks: 1, Read: 10, Rejected: 1 << 63, Empty: 1 << 63}, ErrCounts},
		{Commit{Chunks: 1, Read: 10, Rows: 11}, ErrCounts},
		{Commit{Chunks: 1, Read: 10, FileCoverage: []string{"0"}}, ErrSettings},
	} {
		if _, err := i.Commit(context.Background(), c.commit, silent); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.commit, err, c.want)
		}
	}
	wantVerdict(t, s, fiction(415, 1), "", policy.Unknown, policy.NotLoaded)
	if _, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: 12, Rejected: 2}, silent); err != nil {
		t.Error("a commit that adds up:", err)
	}
}

func TestSameContentIsAlreadyLoaded(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	numbers, date := registryNumbers(9000), policy.DateOf(time.Now())-3
	first := load(t, s, "a", Replace, numbers, Commit{SnapshotDate: date})
	revision := s.View().Revision()
	again := load(t, s, "a", Replace, numbers, Commit{SnapshotDate: date})
	if !again.AlreadyLoaded || again.Unchanged != 9000 || again.Added+again.Removed != 0 || s.View().Revision() != revision {
		t.Errorf("again: %+v at revision %d, want already loaded at %d", again, s.View().Revision(), revision)
	}
	if first.AlreadyLoaded || !slices.Equal(first.ContentSHA256, again.ContentSHA256) {
		t.Error("the first load says already loaded, or its content has another hash")
	}
	newer := load(t, s, "a", Replace, numbers, Commit{SnapshotDate: date + 1})
	l := listOf(t, s, "a")
	if !newer.AlreadyLoaded || l.SnapshotDate != date+1 || s.View().Revision() != revision+1 || l.ContentRevision != revision-1 {
		t.Errorf("newer date: %+v, list of %v, want already loaded with the newer date", newer, l.SnapshotDate)
	}
	entries, err := s.View().Imports(l.ID, 0, 10)
	if err != nil || len(entries) != 2 || entries[0].State != ImportConfirmed || entries[1].State != ImportSwitched {
		t.Errorf("journal: %+v, %v, want one confirmed and one switched", entries, err)
	}
	if added := load(t, s, "a", Add, numbers[:100], Commit{}); !added.AlreadyLoaded || s.View().Revision() != revision+1 {
		t.Errorf("adding what is there: %+v, want already loaded", added)
	}
}

func TestAddAndRemoveKeepDateAndCoverage(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	date := policy.DateOf(time.Now()) - 3
	i := begin(t, s, header("a", Remove))
	put(t, i, 1, uint64(fiction(415, 1)))
	if _, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: 1}, silent); !errors.Is(err, ErrMode) {
		t.Errorf("remove from a list never loaded: %v, want ErrMode", err)
	}
	// A first load in mode add counts as replace.
	load(t, s, "a", Add, digits(fiction(415, 1)), Commit{SnapshotDate: date, FileCoverage: []string{"1415"}})
	for _, mode := range []Mode{Add, Remove} {
		load(t, s, "a", mode, digits(fiction(818, 1)), Commit{SnapshotDate: date + 2, FileCoverage: []string{"1818"}})
		l := listOf(t, s, "a")
		if l.SnapshotDate != date || !slices.Equal(l.Coverage, []string{"1415"}) || l.CoversAll {
			t.Errorf("mode %d: date %v coverage %v, want %v and 1415", mode, l.SnapshotDate, l.Coverage, date)
		}
		wantVerdict(t, s, fiction(818, 2), "", policy.Unknown, policy.NotCovered)
		wantVerdict(t, s, fiction(415, 2), "", policy.Allow, policy.CauseNone)
	}
}

func TestImportIsResumed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "a", usRegistry())
	createList(t, s, "b", usRegistry())
	numbers := registryNumbers(300)
	i := begin(t, s, header("a", Replace))
	id := i.ID()
	put(t, i, 1, numbers[:100]...)
	h := header("a", Replace)
	h.ImportID = id
	if _, err := s.BeginImport(h); !errors.Is(err, ErrImportRunning) {
		t.Errorf("opened twice: %v, want ErrImportRunning", err)
	}
	i.Close()
	i = begin(t, s, h)
	put(t, i, 2, numbers[100:200]...)
	i.Close()
	closeStore(t, s)
	s = open(t, dir)
	for _, wrong := range []Header{
		{List: "b", Mode: Replace, ImportID: id},
		{List: "a", Mode: Add, ImportID: id},
		{List: "a", Mode: Replace, ImportID: id, SnapshotDate: policy.DateOf(time.Now())},
		{List: "a", Mode: Replace, ImportID: id, Files: []string{"415.txt"}},
		{List: "a", Mode: Replace, ImportID: "00112233445566778899aabb"},
		{List: "a", Mode: Replace, ImportID: "../" + id},
	} {
		if _, err := s.BeginImport(wrong); !errors.Is(err, ErrImportNotFound) {
			t.Errorf("%+v: %v, want ErrImportNotFound", wrong, err)
		}
	}
	i = begin(t, s, h)
	if i.LastChunk() != 2 {
		t.Errorf("last chunk %d, want 2", i.LastChunk())
	}
	put(t, i, 3, numbers[200:]...)
	if _, err := i.Commit(context.Background(), Commit{Chunks: 3, Read: 300}, silent); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(numbers, export(t, s, "a")); diff != "" {
		t.Errorf("list (-want +got)\n%s", diff)
	}
}

func TestChunksComeInOrderAndOnce(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	i := begin(t, s, header("a", Replace))
	if err := i.Put(Chunk{Seq: 2, Numbers: registryNumbers(1)}); !errors.Is(err, ErrChunkOrder) {
		t.Errorf("chunk 2 first: %v, want ErrChunkOrder", err)
	}
	put(t, i, 1, registryNumbers(10)...)
	put(t, i, 1, uint64(fiction(415, 1)))
	put(t, i, 0, uint64(fiction(415, 1)))
	put(t, i, 2, registryNumbers(20)[10:]...)
	if err := i.Put(Chunk{Seq: 4}); !errors.Is(err, ErrChunkOrder) {
		t.Errorf("chunk 4 after 2: %v, want ErrChunkOrder", err)
	}
	if _, err := i.Commit(context.Background(), Commit{Chunks: 2, Read: 20}, silent); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(registryNumbers(20), export(t, s, "a")); diff != "" {
		t.Errorf("list (-want +got)\n%s", diff)
	}
}

func TestOrderOfEntriesDoesNotMatter(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	sorted := registryNumbers(20_000)
	shuffled, reversed := slices.Clone(sorted), slices.Clone(sorted)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	slices.Reverse(reversed)
	repeated := append(slices.Clone(shuffled), shuffled[:7000]...)
	var hashes [][]byte
	for name, numbers := range map[string][]uint64{"sorted": sorted, "shuffled": shuffled, "reversed": reversed, "repeated": repeated} {
		createList(t, s, name, usRegistry())
		r := load(t, s, name, Replace, numbers, Commit{})
		hashes = append(hashes, r.ContentSHA256)
		if diff := cmp.Diff(sorted, export(t, s, name)); diff != "" {
			t.Errorf("%s (-want +got)\n%.500s", name, diff)
		}
		if want := uint64(len(numbers) - len(sorted)); r.Duplicates != want {
			t.Errorf("%s: %d duplicates, want %d", name, r.Duplicates, want)
		}
	}
	for _, h := range hashes {
		if !slices.Equal(h, hashes[0]) {
			t.Error("the same numbers in another order have another hash")
		}
	}
}

func TestLoadsOfOneListAtOnce(t *testing.T) {
	t.Parallel()
	a, b := registryNumbers(8000), registryNumbers(12_000)[8000:]
	both := registryNumbers(12_000)
	for _, c := range []struct {
		name string
		mode Mode
		want [][]uint64 // any of these
	}{
		{"add keeps the numbers of each", Add, [][]uint64{both}},
		{"the last replacement counts, whole", Replace, [][]uint64{a, b}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			createList(t, s, "a", usRegistry())
			load(t, s, "a", Replace, registryNumbers(1), Commit{})
			imports := []*Import{begin(t, s, header("a", c.mode)), begin(t, s, header("a", c.mode))}
			put(t, imports[0], 1, a...)
			put(t, imports[1], 1, b...)
			var wg sync.WaitGroup
			for _, i := range imports {
				wg.Go(func() {
					if _, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: i.log.Entries}, silent); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			got := export(t, s, "a")
			if !slices.ContainsFunc(c.want, func(w []uint64) bool { return slices.Equal(w, got) }) {
				t.Errorf("the list holds %d numbers, want one of %d whole contents", len(got), len(c.want))
			}
		})
	}
}

// Apply itself refuses a load that was compared with other content than the list's.
func TestLoadComparedWithOlderContentIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	for want := range 2 {
		before := listOf(t, s, "a")
		load(t, s, "a", Replace, registryNumbers(10+want), Commit{})
		now := listOf(t, s, "a")
		if _, err := s.submitPrepared(context.Background(), before, now.state.GetLoad(), Request{}); !errors.Is(err, fault.ErrMoved) {
			t.Errorf("compared with %d instead of %d: %v, want fault.ErrMoved", before.ContentRevision, now.ContentRevision, err)
		}
	}
}

// Guarantee 6, step by step: until the switch checks see the old list whole, whatever is written already.
func TestListSwitchesAtOnce(t *testing.T) {
	t.Parallel()
	o := testOptions()
	o.BlockCache = -1 // each lookup reads the store
	s := openWith(t, t.TempDir(), o)
	createList(t, s, "a", usRegistry())
	before, after := registryNumbers(40_000)[:30_000], registryNumbers(40_000)[10_000:]
	load(t, s, "a", Replace, before, Commit{})
	prepared := prepareOnly(t, s, header("a", Replace), after, Commit{})
	for _, blocks := range []int{0, 20, 1 << 20} {
		writeBlocks(t, s, "a", blocks)
		if diff := cmp.Diff(before, export(t, s, "a")); diff != "" {
			t.Fatalf("%d blocks written (-want +got)\n%.300s", blocks, diff)
		}
		for k, n := range registryNumbers(40_000) {
			if m := membershipOf(s.View(), listOf(t, s, "a"), numberOf(n)); m.Listed != (k < 30_000) {
				t.Fatalf("%d blocks written: entry %d listed: %v", blocks, k, m.Listed)
			}
		}
	}
	if _, err := s.finishLoad(context.Background(), listOf(t, s, "a").ID, prepared, func(Progress) {}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(after, export(t, s, "a")); diff != "" {
		t.Fatalf("switched (-want +got)\n%.300s", diff)
	}
}

// A list that is deleted while a load of it is compared ends the load, whatever its mode.
func TestListDeletedWhileALoadIsCompared(t *testing.T) {
	t.Parallel()
	numbers := registryNumbers(100)
	for _, mode := range []Mode{Replace, Add, Remove, Delta, Revert} {
		s := open(t, t.TempDir())
		l := createList(t, s, "a", usRegistry())
		load(t, s, "a", Replace, numbers[:50], Commit{})
		load(t, s, "a", Replace, numbers[:60], Commit{})
		deleteOnce := sync.OnceFunc(func() {
			if _, err := s.DeleteList(context.Background(), l.ID, Request{Confirmed: true}); err != nil {
				t.Error(err)
			}
		})
		progress := func(Progress) { deleteOnce() }
		var err error
		if mode == Revert {
			_, err = s.Revert(context.Background(), header("a", mode), progress)
		} else {
			i := begin(t, s, header("a", mode))
			put(t, i, 1, numbers[40:90]...)
			_, err = i.Commit(context.Background(), Commit{Chunks: 1, Read: 50}, progress)
		}
		if !errors.Is(err, ErrListNotFound) {
			t.Errorf("mode %d: %v, want ErrListNotFound", mode, err)
		}
		if lists := s.View().Lists(); len(lists) != 0 {
			t.Errorf("mode %d: %d lists are left", mode, len(lists))
		}
	}
}

// What was staged and is not there any more is never made up for by the account.
func TestStageThatLostNumbersIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	i := begin(t, s, header("a", Replace))
	put(t, i, 1, registryNumbers(10)...)
	i.log.Entries++ // as if a number had been lost since
	if _, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: 11}, silent); !errors.Is(err, ErrStage) {
		t.Errorf("%v, want ErrStage", err)
	}
	wantVerdict(t, s, fiction(415, 1), "", policy.Unknown, policy.NotLoaded)
}

// What lies outside the jurisdiction is counted over block after block, and told again.
func TestLoadCountsWhatLiesOutsideTheJurisdiction(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	l := createList(t, s, "a", usRegistry())
	home, canada := registryNumbers(20_000), areaNumbers(416, 9000)
	mixed := slices.Concat(home, canada, digits(33_199_001_234, 447_624_000_001))
	want := func(what string, r Result, outside uint64) {
		t.Helper()
		entries, err := s.View().Imports(l.ID, 0, 1)
		if r.Outside != outside || err != nil || entries[0].Outside != outside {
			t.Errorf("%s: %d outside, in the journal %d (%v), want %d", what, r.Outside, entries[0].Outside, err, outside)
		}
	}
	want("home alone", load(t, s, "a", Replace, home, Commit{}), 0)
	want("mixed", load(t, s, "a", Replace, mixed, Commit{}), 9002)
	want("the same", load(t, s, "a", Replace, mixed, Commit{}), 9002)
	want("added to", load(t, s, "a", Add, digits(33_199_001_235, 14_155_550_100), Commit{}), 9003)
	want("removed from", load(t, s, "a", Remove, canada[:1000], Commit{}), 8003)
	want("reverted", revert(t, s, "a", Header{Guards: noGuards}), 9003)
	update(t, s, "a", func(set *Settings) { set.Jurisdiction = []string{"US", "CA"} })
	if r := load(t, s, "a", Replace, slices.Concat(mixed, digits(33_199_001_235, 14_155_550_100)), Commit{}); !r.AlreadyLoaded || r.Outside != 3 {
		t.Errorf("another jurisdiction: %+v, want 3 outside", r)
	}
	createList(t, s, "b", Settings{Kind: policy.ListSuppression})
	if r := load(t, s, "b", Replace, mixed, Commit{}); r.Outside != 0 {
		t.Errorf("a list of every region: %d outside, want 0", r.Outside)
	}
}
