package filter

import (
	"flag"
	"math"
	"math/rand/v2"
	"testing"
)

var deep = flag.Bool("filter.deep", false, "measure false-positive rates on more numbers")

// nanp returns the i-th number of a registry that opens area codes in turn and
// fills each to 740,000 of its 10 million, consecutively as registries do.
func nanp(i uint64) uint64 {
	const perArea = 740_000
	return (1200+i/perArea)*10_000_000 + i%perArea
}

// random returns numbers of at most 15 digits that do not depend on i.
func random(seed uint64) func(i uint64) uint64 {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(uint64) uint64 { return r.Uint64N(1e15) }
}

func sequence(n uint64, at func(uint64) uint64) []uint64 {
	ns := make([]uint64, n)
	for i := range ns {
		ns[i] = at(uint64(i))
	}
	return ns
}

func build(ns []uint64, capacity uint64, fpr float64) *Set {
	b := NewBuilder(capacity, fpr)
	b.Add(ns)
	return b.Build()
}

func wantAll(t *testing.T, s *Set, ns []uint64) {
	t.Helper()
	lost := 0
	for _, n := range ns {
		if !s.Test(n) {
			lost++
		}
	}
	if lost > 0 {
		t.Fatalf("Test says no to %d of %d numbers that were added", lost, len(ns))
	}
}

// falsePositives returns the share of yes over n numbers of absent.
func falsePositives(s *Set, n uint64, absent func(uint64) uint64) float64 {
	yes := 0
	for i := range n {
		if s.Test(absent(i)) {
			yes++
		}
	}
	return float64(yes) / float64(n)
}

func TestNilAndZeroSayPerhaps(t *testing.T) {
	for name, s := range map[string]*Set{"nil": nil, "zero": new(Set), "clone of nil": (*Set)(nil).Clone()} {
		s.Add(12025550100)
		s.AddAll([]uint64{12025550101})
		if !s.Test(12025550100) || !s.Test(12025550199) {
			t.Errorf("%s: Test = false, want true: no filter is no answer", name)
		}
		if s.Len() != 0 || s.Bytes() != 0 || s.Fill() != 0 || s.Capacity() != 0 || s.Chain() != 0 || s.NeedsRebuild() {
			t.Errorf("%s: a set that is not there reports a size", name)
		}
	}
}

func TestEmptySaysNo(t *testing.T) {
	s := New(1000, 0.001)
	if s.Test(12025550100) {
		t.Error("Test = true in an empty set, want false")
	}
	if s.Chain() != 1 || s.Capacity() < 1000 {
		t.Errorf("Chain, Capacity = %d, %d, want 1, 1000 or more", s.Chain(), s.Capacity())
	}
}

func TestAddCountsEachNumberOnce(t *testing.T) {
	s := New(1000, 0.001)
	for range 3 {
		s.Add(12025550100)
		s.AddAll([]uint64{12025550100, 12025550101, 12025550101})
	}
	if got := s.Len(); got != 2 {
		t.Errorf("Len = %d, want 2", got)
	}
	wantAll(t, s, []uint64{12025550100, 12025550101})
}

func TestAddOfPresentCopiesNothing(t *testing.T) {
	s := New(1000, 0.001)
	ns := sequence(100, nanp)
	s.AddAll(ns)
	before := s.first.parts[0].Load()
	s.Add(ns[7])
	s.AddAll(ns)
	if s.first.parts[0].Load() != before {
		t.Error("a partition was copied for numbers that it holds")
	}
}

func TestPublishedPartitionNeverChanges(t *testing.T) {
	s := New(1000, 0.001)
	s.Add(nanp(0))
	p := s.first.parts[0].Load()
	before := *p
	s.Add(nanp(1))
	s.AddAll(sequence(500, nanp))
	if *p != before {
		t.Error("a published partition was changed")
	}
}

func TestFalsePositiveRate(t *testing.T) {
	const n = 300_000
	if thinned > 1 {
		t.Skip("of a single goroutine, and slow under the race detector")
	}
	layouts := []struct {
		name            string
		present, absent func(uint64) uint64
	}{
		{"area codes filled from the start", nanp,
			func(i uint64) uint64 { return nanp(i) + 5_000_000 }},
		{"next to what is there", nanp,
			func(i uint64) uint64 { return nanp(0) - 1 - i }},
		{"every tenth of a block",
			func(i uint64) uint64 { return 33_199_000_000 + i*10 },
			func(i uint64) uint64 { return 33_199_000_001 + i*10 }},
		{"steps of 2^32",
			func(i uint64) uint64 { return i << 32 },
			func(i uint64) uint64 { return i<<32 | 1<<31 }},
		{"random",
			random(1),
			random(2)},
	}
	tests := uint64(300_000)
	if *deep {
		tests *= 30
	}
	for _, l := range layouts {
		for _, fpr := range []float64{0.01, 0.001, 0.0001} {
			// Filled to what it was sized for, after rounding up.
			s := build(sequence(New(n, fpr).Capacity(), l.present), n, fpr)
			got := falsePositives(s, tests, l.absent)
			if got > 1.5*fpr {
				t.Errorf("%s: false-positive rate %.6f, want at most 1.5 * %g", l.name, got, fpr)
			}
			if s.Chain() != 1 {
				t.Errorf("%s: Chain = %d at capacity, want 1", l.name, s.Chain())
			}
		}
	}
}

func TestBytesANumber(t *testing.T) {
	s := New(10_000_000, 0.001)
	size := float64(s.parts*(partBytes+countSize)) / float64(s.Capacity())
	if size > 2 {
		t.Errorf("%.3f bytes a number at 0.1 %%, want at most 2", size)
	}
}

func TestNewTakesAnything(t *testing.T) {
	for _, fpr := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, 1e-30, 0.5, 2} {
		for _, capacity := range []uint64{0, 1, 1000} {
			s := New(capacity, fpr)
			s.Add(12025550100)
			if !s.Test(12025550100) || s.Len() != 1 || s.Capacity() < capacity {
				t.Errorf("New(%d, %g) makes a set that does not hold a number", capacity, fpr)
			}
		}
	}
	if got := shapeFor(math.MaxUint64, 0.001).capacity(); got < maxCapacity || got > maxCapacity+1<<20 {
		t.Errorf("capacity of the largest set = %d, want about %d", got, uint64(maxCapacity))
	}
}

func TestTestAllocatesNothing(t *testing.T) {
	s := build(sequence(20_000, nanp), 5000, 0.001) // a chain, to walk it
	i := uint64(0)
	if got := testing.AllocsPerRun(1000, func() { s.Test(nanp(i)); i += 39 }); got != 0 {
		t.Errorf("Test allocates %g times, want 0", got)
	}
}
