package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/delta"
)

// partsOf reads a difference: what came, then what went.
func partsOf(t testing.TB, s *Store, step contentStep) (came, went []uint64) {
	t.Helper()
	d, release, err := s.sharedDelta(t.Context(), step)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for i := range d.Parts() {
		p, err := d.Part(i)
		if err != nil {
			t.Fatal(err)
		}
		numbers, err := ascending.Decode(nil, p.Ascending)
		if err != nil || len(numbers) != p.Numbers || len(numbers) > delta.PartNumbers {
			t.Fatalf("part %d has %d numbers and says %d: %v", i, len(numbers), p.Numbers, err)
		}
		switch {
		case p.Removed:
			went = append(went, numbers...)
		case len(went) > 0:
			t.Fatalf("part %d came after some that went", i)
		default:
			came = append(came, numbers...)
		}
	}
	if uint64(len(came)) != d.Added || uint64(len(went)) != d.Removed {
		t.Fatalf("got %d and %d numbers, want %d and %d", len(came), len(went), d.Added, d.Removed)
	}
	return came, went
}

// without are the numbers of a that are not in b. Both ascend.
func without(a, b []uint64) (left []uint64) {
	for _, n := range a {
		if _, found := slices.BinarySearch(b, n); !found {
			left = append(left, n)
		}
	}
	return left
}

// TestDeltaIsTheDifferenceOfTwoContents holds the difference of each two contents of a list against what the list held.
func TestDeltaIsTheDifferenceOfTwoContents(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	id := createList(t, s, "dnc", Settings{}).ID
	random := rand.New(rand.NewPCG(1, 2))
	some := func(n int) []uint64 {
		numbers := map[uint64]bool{}
		for len(numbers) < n {
			numbers[14155550000+random.Uint64N(200_000)] = true
		}
		return slices.Sorted(maps.Keys(numbers))
	}
	contents := map[uint64][]uint64{0: nil}
	note := func() { contents[listOf(t, s, "dnc").ContentRevision] = export(t, s, "dnc") }
	for i, mode := range []Mode{Replace, Replace, Add, Remove, Replace} {
		load(t, s, "dnc", mode, some(5000+10_000*i), Commit{SnapshotDate: 1})
		note()
	}
	load(t, s, "dnc", Replace, []uint64{14155550123}, Commit{SnapshotDate: 1})
	note()
	h := Header{List: "dnc", Mode: Replace, Guards: Guards{MaxShrink: -1, MaxRejects: -1}}
	if _, err := s.Revert(t.Context(), h, silent); err != nil {
		t.Fatal(err)
	}
	note()
	if len(contents) != 8 {
		t.Fatalf("got %d contents, want 8", len(contents))
	}
	for from := range contents {
		for to := range contents {
			if from >= to {
				continue
			}
			came, went := partsOf(t, s, contentStep{id, from, to})
			wantNumbers(t, fmt.Sprintf("from %d to %d came", from, to), without(contents[to], contents[from]), came)
			wantNumbers(t, fmt.Sprintf("from %d to %d went", from, to), without(contents[from], contents[to]), went)
		}
	}
}

func wantNumbers(t *testing.T, what string, want, got []uint64) {
	t.Helper()
	if !slices.Equal(want, got) { // cmp takes seconds
		t.Errorf("%s (-want +got):\n%.300s", what, cmp.Diff(want, got))
	}
}

// TestDeltaPassesOverAbandonedLoads: blocks of a load that never switched are in the database, and no list shows them.
func TestDeltaPassesOverAbandonedLoads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	id := createList(t, s, "dnc", Settings{}).ID
	load(t, s, "dnc", Replace, []uint64{14155550101, 14155550102}, Commit{SnapshotDate: 1})
	first := listOf(t, s, "dnc").ContentRevision
	prepareOnly(t, s, Header{List: "dnc", Mode: Replace, Guards: Guards{MaxShrink: -1}}, []uint64{14155550103, 442079460123}, Commit{SnapshotDate: 2})
	writeBlocks(t, s, "dnc", 1)
	l := listOf(t, s, "dnc")
	if err := s.abandonLoad(t.Context(), l.ID, l.Pending); err != nil {
		t.Fatal(err)
	}
	load(t, s, "dnc", Replace, []uint64{14155550102, 14155550104}, Commit{SnapshotDate: 3})
	came, went := partsOf(t, s, contentStep{id, first, listOf(t, s, "dnc").ContentRevision})
	if !slices.Equal(came, []uint64{14155550104}) || !slices.Equal(went, []uint64{14155550101}) {
		t.Errorf("got %d came and %d went, want one each", len(came), len(went))
	}
}

func TestDeltaIsMadeOnceAndDroppedWhenUnused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	s.deltas.maximum = 1
	id := createList(t, s, "dnc", Settings{}).ID
	load(t, s, "dnc", Replace, []uint64{14155550101, 14155550102}, Commit{SnapshotDate: 1})
	step := contentStep{id, 0, listOf(t, s, "dnc").ContentRevision}
	got := make([]*delta.Delta, 8)
	releases := make([]func(), 8)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			var err error
			if got[i], releases[i], err = s.sharedDelta(context.Background(), step); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	for _, d := range got {
		if d != got[0] {
			t.Error("a reader got a difference of its own")
		}
	}
	file := filepath.Join(dir, feedDir, step.fileName())
	for i, release := range releases {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("before reader %d left: %v", i, err)
		}
		release()
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the last reader left: got %v, want the file gone", err)
	}
}

func TestDeltaOfACancelledMakerIsMadeByAnother(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	id := createList(t, s, "dnc", Settings{}).ID
	load(t, s, "dnc", Replace, []uint64{14155550101}, Commit{SnapshotDate: 1})
	step := contentStep{id, 0, listOf(t, s, "dnc").ContentRevision}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.sharedDelta(gone, step); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the caller's own end", err)
	}
	if came, _ := partsOf(t, s, step); len(came) != 1 {
		t.Errorf("got %d numbers, want 1", len(came))
	}
}

func TestDamagedDeltaIsNotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	id := createList(t, s, "dnc", Settings{}).ID
	load(t, s, "dnc", Replace, []uint64{14155550101, 14155550102}, Commit{SnapshotDate: 1})
	step := contentStep{id, 0, listOf(t, s, "dnc").ContentRevision}
	d, release, err := s.sharedDelta(t.Context(), step)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	file := filepath.Join(dir, feedDir, step.fileName())
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Part(0); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}

// TestDifferencesOfAnEarlierProcessAreDropped: what a killed process left is never read.
func TestDifferencesOfAnEarlierProcessAreDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	closeStore(t, open(t, dir))
	left := filepath.Join(dir, feedDir, contentStep{policy.EventID{Revision: 1}, 0, 2}.fileName())
	if err := errors.Join(os.MkdirAll(filepath.Dir(left), 0o700), os.WriteFile(left, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want the file gone", err)
	}
}
