package filter

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// What many goroutines build is what AddAll makes, in any order, chains too.
func TestBuilderEqualsAddAll(t *testing.T) {
	const n = 60_000
	ns := sequence(n, nanp)
	for _, capacity := range []uint64{1, 40_000, n, 5_000_000} {
		want := New(capacity, 0.001)
		want.AddAll(ns)
		shuffled := append(append([]uint64{}, ns...), ns[:n/4]...)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got := buildBeside(shuffled, capacity, 4)
		wantAll(t, got, ns)
		if g, w := got.Len(), want.Len(); g > n || diff(g, w) > n/500 {
			t.Errorf("capacity %d: Len = %d, want about %d", capacity, g, w)
		}
		if got.Chain() != want.Chain() {
			t.Errorf("capacity %d: Chain = %d, want %d", capacity, got.Chain(), want.Chain())
		}
	}
}

func diff(a, b uint64) uint64 { return max(a, b) - min(a, b) }

func buildBeside(ns []uint64, capacity uint64, goroutines int) *Set {
	b := NewBuilder(capacity, 0.001)
	var wg sync.WaitGroup
	share := (len(ns) + goroutines - 1) / goroutines
	for i := 0; i < len(ns); i += share {
		wg.Go(func() { b.Add(ns[i:min(i+share, len(ns))]) })
	}
	wg.Wait()
	return b.Build()
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
