package radix

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSort(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 2, few, few + 1, 5000, 70_000} {
		for name, draw := range map[string]func(i int) uint64{
			"all bits":       func(int) uint64 { return r.Uint64() },
			"one digit":      func(int) uint64 { return 1<<40 + r.Uint64N(digits) },
			"two digits":     func(int) uint64 { return r.Uint64N(1 << (digitBits + 1)) },
			"phone numbers":  func(int) uint64 { return 10_000_000_000 + r.Uint64N(10_000_000_000) },
			"equal":          func(int) uint64 { return 7 },
			"ends of uint64": func(i int) uint64 { return uint64(i%2) * math.MaxUint64 },
			"descending":     func(i int) uint64 { return uint64(size - i) },
			"ascending":      func(i int) uint64 { return uint64(i) },
		} {
			got := make([]uint64, size)
			for i := range got {
				got[i] = draw(i)
			}
			want := slices.Sorted(slices.Values(got))
			if Sort(got, make([]uint64, size/2)); !slices.Equal(got, want) {
				t.Errorf("%d numbers, %s: not sorted", size, name)
			}
		}
	}
}

func FuzzSort(f *testing.F) {
	f.Add(uint64(1), uint64(100), 1000)
	f.Fuzz(func(t *testing.T, seed, span uint64, size int) {
		r := rand.New(rand.NewPCG(seed, 0))
		got := make([]uint64, min(max(size, 0), 10_000))
		for i := range got {
			got[i] = r.Uint64N(max(span, 1))
		}
		want := slices.Sorted(slices.Values(got))
		if Sort(got, nil); !slices.Equal(got, want) {
			t.Errorf("seed %d, span %d: not sorted", seed, span)
		}
	})
}

// BenchmarkSort sorts a chunk, as the client does, and a bucket, as the store does.
func BenchmarkSort(b *testing.B) {
	for name, size := range map[string]int{"chunk": 64 << 10, "bucket": 2 << 20} {
		r := rand.New(rand.NewPCG(1, 2))
		drawn := make([]uint64, size)
		for i := range drawn {
			drawn[i] = 12_000_000_000 + r.Uint64N(8_000_000_000)
		}
		a, scratch := make([]uint64, size), []uint64(nil)
		for how, sort := range map[string]func(){
			"radix":  func() { scratch = Sort(a, scratch) },
			"slices": func() { slices.Sort(a) },
		} {
			b.Run(name+"/"+how, func(b *testing.B) {
				for b.Loop() {
					copy(a, drawn)
					sort()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size), "ns/number")
			})
		}
	}
}
