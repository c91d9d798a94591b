package filter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// wantMany checks TestMany against Test, in groups of up to size.
func wantMany(t fataler, s *Set, ns []uint64, size int) {
	t.Helper()
	for ns := range slices.Chunk(ns, size) {
		got := s.TestMany(AppendKeys(nil, ns))
		for i, n := range ns {
			if want := s.Test(n); got>>i&1 == 1 != want {
				t.Fatalf("TestMany says %v of number %d of %d, Test %v", !want, i, len(ns), want)
			}
		}
		if len(ns) < MaxMany && got>>len(ns) != 0 {
			t.Fatalf("TestMany tells of more than the %d numbers that it was asked for", len(ns))
		}
	}
}

func TestManyEqualsTest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fpr := rapid.SampledFrom([]float64{0.5, 0.01, 0.001, 0.000001}).Draw(t, "fpr")
		held := rapid.Uint64Range(0, 5000).Draw(t, "held")
		s := New(rapid.Uint64Range(0, 5000).Draw(t, "capacity"), fpr) // too small for them: chains
		s.AddAll(sequence(held, nanp))
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		ns := sequence(300, func(uint64) uint64 { return nanp(rng.Uint64N(2*held + 1)) })
		wantMany(t, s, ns, rapid.IntRange(1, MaxMany).Draw(t, "numbers a call"))
	})
}

func TestManyOfNilZeroAndNone(t *testing.T) {
	ns := sequence(MaxMany, nanp)
	for name, s := range map[string]*Set{"nil": nil, "zero": new(Set)} {
		for _, count := range []int{0, 1, 63, 64} {
			if got, want := s.TestMany(AppendKeys(nil, ns[:count])), ^uint64(0)>>(64-count); got != want {
				t.Errorf("%s: TestMany of %d = %x, want %x: no filter is no answer", name, count, got, want)
			}
		}
	}
	if got := New(1000, 0.001).TestMany(AppendKeys(nil, ns)); got != 0 {
		t.Errorf("TestMany of an empty set = %x, want 0", got)
	}
	if got := build(ns, 1000, 0.001).TestMany(nil); got != 0 {
		t.Errorf("TestMany of no numbers = %x, want 0", got)
	}
}

// What was added before a TestMany begins is seen by it, while others add to the same partitions.
func TestManySeesWhatWasAdded(t *testing.T) {
	const adders, each = 2, 2000
	s := New(1, 0.001) // one partition, and then a chain
	var done [adders]atomic.Uint64
	var group sync.WaitGroup
	for a := range adders {
		number := func(i uint64) uint64 { return nanp(uint64(a)*740_000 + i) }
		group.Go(func() {
			for i := range uint64(each) {
				s.Add(number(i))
				done[a].Store(i + 1)
			}
		})
		group.Go(func() {
			for upTo := uint64(0); upTo < each; {
				upTo = done[a].Load()
				last := sequence(min(upTo, MaxMany), func(i uint64) uint64 { return number(upTo - 1 - i) })
				if got := s.TestMany(AppendKeys(nil, last)); got != ^uint64(0)>>(MaxMany-len(last)) {
					t.Errorf("TestMany says no to numbers whose Add had returned: %x of %d", got, len(last))
					return
				}
			}
		})
	}
	group.Wait()
}

func TestManyAllocatesNothing(t *testing.T) {
	s := build(sequence(20_000, nanp), 5000, 0.001)
	ns := sequence(MaxMany, nanp)
	if got := testing.AllocsPerRun(1000, func() {
		var room [MaxMany]Key
		s.TestMany(AppendKeys(room[:0], ns))
	}); got != 0 {
		t.Errorf("TestMany allocates %g times, want 0", got)
	}
}

// BenchmarkMany compares ways to ask for 1,000 numbers, one in a hundred of which is held: -filter.n.
func BenchmarkMany(b *testing.B) {
	const batch, rounds = 1000, 2000
	s := benchSet()
	rng := rand.New(rand.NewPCG(1, 2))
	ns := sequence(batch*rounds, func(i uint64) uint64 {
		if i%100 == 0 {
			return nanp(rng.Uint64N(*benchN))
		}
		return 33_100_000_000 + rng.Uint64N(600_000_000)
	})
	ways := []struct {
		name string
		test func(ns []uint64) int
	}{
		{"Test in a loop", s.countEach},
		{"TestMany of 8", func(ns []uint64) int { return s.countMany(ns, 8) }},
		{"TestMany of 16", func(ns []uint64) int { return s.countMany(ns, 16) }},
		{"TestMany of 32", func(ns []uint64) int { return s.countMany(ns, 32) }},
		{"TestMany of 64", func(ns []uint64) int { return s.countMany(ns, 64) }},
		{"by partition, Test in a loop", s.countSorted},
	}
	times := contest{}
	for b.Loop() {
		for _, w := range ways {
			found := 0
			times.time(w.name, batch*rounds, func() {
				for ns := range slices.Chunk(ns, batch) {
					found += w.test(ns)
				}
			})
			times.note(w.name, fmt.Sprint(found, " found"))
		}
	}
	times.log(b)
}

func (s *Set) countEach(ns []uint64) (found int) {
	for _, n := range ns {
		if s.Test(n) {
			found++
		}
	}
	return found
}

func (s *Set) countMany(ns []uint64, size int) (found int) {
	for ns := range slices.Chunk(ns, size) {
		var room [MaxMany]Key
		for i, got := 0, s.TestMany(AppendKeys(room[:0], ns)); i < len(ns); i++ {
			found += int(got >> i & 1)
		}
	}
	return found
}

// countSorted groups the numbers by partition first.
func (s *Set) countSorted(ns []uint64) (found int) {
	places := make([]place, len(ns))
	for i, n := range ns {
		places[i] = placeOf(n, s.parts)
	}
	slices.SortFunc(places, func(a, b place) int { return int(a.part) - int(b.part) })
	for _, at := range places {
		if s.has(at) {
			found++
		}
	}
	return found
}
