package main

import (
	"os"
	"slices"
	"testing"

	"github.com/dncd/dncd/bench/internal/report"
)

// A short form of the four bases; `go run . bases` is the long one.
func TestBases(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	out, log, err := runBench(t, "bases", "--json", "--duration", "1500ms", "--rate", "600", "--numbers", "20000", "--idle", "1s", "--data", data)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	got := decodeRows[report.Bases](t, out)[1] // after the machine
	if got.OptOuts == 0 || got.Withdrawals == 0 || got.Ending == 0 || got.LeftAndOptedOut == 0 || got.Feeds < 3 || got.Rows < 20_000 {
		t.Errorf("a figure is missing: %+v", got)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestChangingList(t *testing.T) {
	t.Parallel()
	l, err := newChangingList(100_000, 1)
	if err != nil {
		t.Fatal(err)
	}
	older, newer := map[uint64]bool{}, map[uint64]bool{}
	for content, set := range map[*changingSource]map[uint64]bool{l.source(): older, l.changed().source(): newer} {
		batch := make([]uint64, 1000)
		for {
			n, err := content.Next(batch)
			for _, number := range batch[:n] {
				set[number] = true
			}
			if err != nil {
				break
			}
		}
		if content.Summary().Read != 100_000 || len(set) != 100_000 {
			t.Errorf("a content has %d numbers, %d of them different, want 100000", content.Summary().Read, len(set))
		}
	}
	var went []uint64
	for n := range older {
		if !newer[n] {
			went = append(went, n)
		}
	}
	slices.Sort(went)
	if got := l.leaving(len(older)); !slices.Equal(got, went) || len(went) != 500 {
		t.Errorf("%d numbers went, want 500; of those that leave it says %d", len(went), len(got))
	}
}

func TestDifferenceOfRows(t *testing.T) {
	t.Parallel()
	one, other := rows{{1, "", "opt-out"}: {}}, rows{{2, "", "opt-out"}: {}}
	if diff := difference(one, one); diff != "" {
		t.Errorf("got %q, want none", diff)
	}
	if got, want := difference(one, other), "of 1 rows it lacks 1 of opt-out, has 1 of opt-out more, and none have another end"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A short form of a list that is replaced; `go run . relist` is the long one.
func TestRelist(t *testing.T) {
	t.Parallel()
	out, log, err := runBench(t, "relist", "--json", "--numbers", "100000", "--data", t.TempDir())
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if got := decodeRows[report.Relist](t, out)[1]; got.Numbers != 100_000 || got.Came != 500 || got.Went != 500 {
		t.Errorf("got %+v, want 1000 changes of 100000 numbers", got)
	}
}
