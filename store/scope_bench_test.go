package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// elsewhere are other countries with a registry: the first digits of numbers of each, and how many follow.
var elsewhere = []struct {
	region string
	first  uint64
	room   uint64
}{
	{"FR", 33_612_000_000, 80_000_000}, {"GB", 447_400_000_000, 90_000_000}, {"CA", 14_162_000_000, 8_000_000},
	{"ES", 34_612_000_000, 80_000_000}, {"IT", 393_200_000_000, 90_000_000}, {"DE", 4_915_100_000_000, 90_000_000},
	{"AU", 61_412_000_000, 80_000_000},
}

// BenchmarkScope asks about numbers of the US of which one in a hundred is listed, where a list of the US is in scope alone,
// and where those of seven other countries are too, each with a tenth of its numbers. One: a number at a time; Thousand: in
// batches. docs/performance.md has the command that compares two builds.
func BenchmarkScope(b *testing.B) {
	dir, numbers := b.TempDir(), denseNumbers(*benchNumbers)
	fillList(b, dir, numbers)
	s := open(b, dir)
	asked := shuffled(numbers)
	for i := range asked {
		if i%100 > 0 {
			asked[i]++ // some of them are listed all the same
		}
	}
	benchScope(b, s, asked, 1)
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range elsewhere {
		createList(b, s, strings.ToLower(c.region), Settings{Kind: policy.ListRegistry, Jurisdiction: []string{c.region}})
		other := make([]uint64, len(numbers)/10)
		for i := range other {
			other[i] = c.first + r.Uint64N(c.room)
		}
		slices.Sort(other)
		load(b, s, strings.ToLower(c.region), Replace, other, Commit{})
	}
	benchScope(b, s, asked, 1+len(elsewhere))
	closeStore(b, s)
}

func benchScope(b *testing.B, s *Store, asked []phone.Number, lists int) {
	now, at := s.Now(), 0
	const batch = 1000
	next := func() []phone.Number {
		if at += batch; at+batch > len(asked) {
			at = 0
		}
		return asked[at : at+batch]
	}
	measure := func(name string, ask func(numbers []phone.Number)) {
		b.Run(fmt.Sprintf("%s/lists=%d", name, lists), func(b *testing.B) {
			before := processorTime(b)
			for b.Loop() {
				ask(next())
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/batch, "cpu-ns/number")
		})
	}
	facts := new(policy.Facts)
	measure("One", func(numbers []phone.Number) {
		for _, n := range numbers {
			facts.Reset()
			s.View().Lookup(n, facts)
			policy.Decide(facts, nil, now)
		}
	})
	many := new(Findings)
	measure("Thousand", func(numbers []phone.Number) {
		s.View().LookupMany(numbers, Call{}, many)
		for i := range many.Facts {
			policy.Decide(&many.Facts[i], nil, now)
		}
	})
}
