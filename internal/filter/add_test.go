package filter

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestChainsAndRebuild(t *testing.T) {
	s := New(1, 0.001)
	room := int(s.limit())
	ns := sequence(uint64(3*room), nanp)
	var chains []int
	for i, step := range []struct {
		upTo         int
		chain        int
		needsRebuild bool
	}{
		{room, 1, false},
		{2 * room, 2, false},
		{3 * room, 3, true},
	} {
		s.AddAll(ns[i*room : step.upTo])
		if s.Chain() > step.chain || step.upTo-int(s.Len()) > step.upTo/200 {
			t.Fatalf("after %d numbers: Chain, Len = %d, %d", step.upTo, s.Chain(), s.Len())
		}
		if s.Chain() == step.chain && s.NeedsRebuild() != step.needsRebuild {
			t.Errorf("NeedsRebuild = %v with a chain of %d", s.NeedsRebuild(), s.Chain())
		}
		chains = append(chains, s.Chain())
		wantAll(t, s, ns[:step.upTo])
	}
	if !slices.Contains(chains, 2) {
		t.Errorf("chains of %v, want one of 2: it needs no rebuild", chains)
	}
	for i := uint64(0); s.Chain() < 3; i++ { // those that were false positives
		s.Add(33_199_000_000 + i)
	}
	if !s.NeedsRebuild() {
		t.Error("NeedsRebuild = false with three partitions in a chain")
	}
	larger := build(ns, 2*s.Len(), 0.001)
	if larger.NeedsRebuild() || larger.Chain() != 1 {
		t.Errorf("Chain = %d after a rebuild, want 1", larger.Chain())
	}
	wantAll(t, larger, ns)
}

func TestChainIsBounded(t *testing.T) {
	ns := sequence(50_000, nanp)
	added, built := New(1, 0.001), build(ns, 1, 0.001)
	added.AddAll(ns)
	for name, s := range map[string]*Set{"added": added, "built": built} {
		if s.Chain() != maxChain {
			t.Errorf("%s: Chain = %d, want %d", name, s.Chain(), maxChain)
		}
		wantAll(t, s, ns)
	}
}

func TestCloneIsApart(t *testing.T) {
	ns := sequence(30_000, nanp) // in two levels
	s := build(ns[:20_000], 10_000, 0.001)
	c := s.Clone()
	if c.Len() != s.Len() || c.Chain() != s.Chain() || c.Bytes() != s.Bytes() {
		t.Error("a clone has another size")
	}
	wantAll(t, c, ns[:20_000])
	n := s.Len()
	c.AddAll(ns)
	if s.Len() != n {
		t.Error("adding to a clone changed the set")
	}
	wantAll(t, c, ns)
	if got := falsePositives(s, 10_000, func(i uint64) uint64 { return ns[20_000+i] }); got > 0.01 {
		t.Errorf("the set says yes to %g of what only its clone holds", got)
	}
}

// Random operations against a map: there is never a false no, and the counts of
// the Set stay near the map's.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// At this rate a partition holds some 550 numbers: chains come soon.
		const fpr = 0.000001
		s := New(rapid.Uint64Range(0, 5000).Draw(t, "capacity"), fpr)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		model := map[uint64]bool{}
		remember := func(n int) []uint64 {
			start := rng.Uint64N(5000)
			ns := sequence(uint64(n), func(i uint64) uint64 { return nanp(start + i) })
			for _, n := range ns {
				model[n] = true
			}
			return ns
		}
		size := rapid.IntRange(0, 500)
		t.Repeat(map[string]func(*rapid.T){
			"Add":    func(*rapid.T) { s.Add(remember(1)[0]) },
			"AddAll": func(t *rapid.T) { s.AddAll(remember(size.Draw(t, "n"))) },
			"Clone":  func(*rapid.T) { s = s.Clone() },
			"Reload": func(t *rapid.T) { s = reload(t, s) },
			"Rebuild": func(*rapid.T) {
				s = build(slices.Collect(maps.Keys(model)), s.Capacity()/2, fpr)
			},
			"": func(t *rapid.T) {
				for n := range model {
					if !s.Test(n) {
						t.Fatalf("Test says no to a number that was added")
					}
				}
				if got, want := s.Len(), uint64(len(model)); got > want || got < want-want/100 {
					t.Fatalf("Len = %d, want about %d", got, want)
				}
			},
		})
	})
}
