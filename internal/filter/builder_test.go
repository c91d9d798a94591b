package filter

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// What many goroutines build is what AddAll makes, in any order, chains too.
func TestBuilderEqualsAddAll(t *testing.T) {
	const n = 60_000
	ns := sequence(n, nanp)
	// 162,000 has a group with fewer partitions than the others.
	for _, capacity := range []uint64{1, 40_000, n, 162_000, 1_000_000, 5_000_000} {
		want := New(capacity, 0.001)
		want.AddAll(ns)
		shuffled := append(append([]uint64{}, ns...), ns[:n/4]...)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got := buildBeside(shuffled, capacity, 4)
		wantAll(t, got, ns)
		if g, w := got.Len(), want.Len(); g > n || diff(g, w) > n/100 { // of an overfull filter it depends on the order
			t.Errorf("capacity %d: Len = %d, want about %d", capacity, g, w)
		}
		if got.Chain() != want.Chain() {
			t.Errorf("capacity %d: Chain = %d, want %d", capacity, got.Chain(), want.Chain())
		}
		if want.Chain() == 1 && !sameBits(got, want) {
			t.Errorf("capacity %d: other bits than AddAll sets", capacity)
		}
		reload(t, got) // refuses counts that do not add up to Len
	}
}

func diff(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// sameBits compares the first levels.
func sameBits(a, b *Set) bool {
	for i := range a.first.parts {
		p, q := a.first.parts[i].Load(), b.first.parts[i].Load()
		if (p == nil) != (q == nil) || p != nil && *p != *q {
			return false
		}
	}
	return len(a.first.parts) == len(b.first.parts)
}

// buildBeside adds from goroutines, each a share in pieces of odd sizes.
func buildBeside(ns []uint64, capacity uint64, goroutines int) *Set {
	b := NewBuilder(capacity, 0.001)
	var wg sync.WaitGroup
	share := (len(ns) + goroutines - 1) / goroutines
	for i := 0; i < len(ns); i += share {
		wg.Go(func() {
			for piece := range slices.Chunk(ns[i:min(i+share, len(ns))], 1+i/17) {
				b.Add(piece)
			}
		})
	}
	wg.Wait()
	return b.Build()
}

// What is set is all there is, also of the groups that never had enough numbers.
func TestBuilderAddsEachNumber(t *testing.T) {
	for n := range uint64(stageLen + 2) {
		s := build(sequence(n, nanp), 1_000_000, 0.001)
		if s.Len() != n {
			t.Errorf("Len = %d after %d numbers", s.Len(), n)
		}
		wantAll(t, s, sequence(n, nanp))
	}
}

func TestBuilderHoldsLittle(t *testing.T) {
	const adder = 8 * stageLen
	for _, capacity := range []uint64{1, 10_000, 1_000_000, 100_000_000, 258_000_000} {
		b := NewBuilder(capacity, 0.001)
		rooms := len(b.groups) + cap(b.spare)
		held := 8 * rooms * cap(b.groups[0].held)
		if most := min(partBytes/2*b.set.parts, 64<<20); held > max(most, rooms*adder) {
			t.Errorf("capacity %d: holds up to %d bytes, want at most %d", capacity, held, most)
		}
		if size := 8 * len(b.groups) * stageLen; size > max(adder, partBytes*b.set.parts/2) {
			t.Errorf("capacity %d: %d bytes an adder", capacity, size)
		}
		for i := range uint64(20) { // fills groups again and again, where they are few
			b.Add(sequence(10_000, func(j uint64) uint64 { return nanp(i*10_000 + j) }))
		}
		for i := range b.groups {
			if got := 8 * rooms * cap(b.groups[i].held); got != held {
				t.Fatalf("capacity %d: holds up to %d bytes after 200,000 numbers, want %d", capacity, got, held)
			}
		}
		b.Build()
		if b.groups != nil || b.spare != nil || b.stages != nil {
			t.Errorf("capacity %d: holds memory after Build", capacity)
		}
	}
}

func TestBuilderAddAfterBuildPanics(t *testing.T) {
	b := NewBuilder(10, 0.001)
	b.Build()
	defer func() {
		if recover() == nil {
			t.Error("Add after Build changed a set that is in use")
		}
	}()
	b.Add([]uint64{12025550100})
}

func TestBuiltSetTakesMore(t *testing.T) {
	ns := sequence(20_000, nanp)
	s := build(ns[:10_000], 10_000, 0.001)
	s.AddAll(ns[10_000:])
	wantAll(t, s, ns)
}
