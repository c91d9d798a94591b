package client

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// TestBudgetStaysWithinBounds gives and takes from many goroutines.
func TestBudgetStaysWithinBounds(t *testing.T) {
	t.Parallel()
	b := newBudget(3)
	var tasks sync.WaitGroup
	for range 8 {
		tasks.Go(func() {
			for range 20_000 {
				if rand.IntN(tokenParts) == 0 {
					b.take()
				} else {
					b.give()
				}
				if left := b.left.Load(); left < 0 || left > b.most {
					t.Errorf("%d parts are left of %d", left, b.most)
				}
			}
		})
	}
	tasks.Wait()
}

// BenchmarkBudget measures what a success costs, by goroutines that give at once: with a
// full budget, and with one that is being filled.
func BenchmarkBudget(b *testing.B) {
	for name, missing := range map[string]int64{"full": 0, "filling": 1 << 40} {
		b.Run(name, func(b *testing.B) {
			budget := newBudget(1 << 40)
			budget.left.Add(-missing)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					budget.give()
				}
			})
		})
	}
}
