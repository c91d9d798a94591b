package filter

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// benchSet is built once; the benchmarks that read share it.
var benchSet = sync.OnceValue(func() *Set {
	b := NewBuilder(*benchN, 0.001)
	buf := make([]uint64, 1<<16)
	for i := uint64(0); i < *benchN; i += uint64(len(buf)) {
		b.Add(fillBuf(buf, i, *benchN))
	}
	return b.Build()
})

// fillBuf fills buf with the registry's numbers from the i-th on, up to the n-th.
func fillBuf(buf []uint64, i, n uint64) []uint64 {
	buf = buf[:min(uint64(len(buf)), n-i)]
	for j := range buf {
		buf[j] = nanp(i + uint64(j))
	}
	return buf
}

func BenchmarkTest(b *testing.B) {
	s := benchSet()
	b.Run("absent", func(b *testing.B) {
		i, yes := uint64(0), uint64(0)
		for b.Loop() {
			i += 7919
			if s.Test(33_100_000_000 + i%600_000_000 + yes) { // waits for the one before
				yes++
			}
		}
	})
	b.Run("present", func(b *testing.B) {
		i, no := uint64(0), uint64(0)
		for b.Loop() {
			i += 7919
			if !s.Test(nanp(i%*benchN + no)) {
				no++
			}
		}
	})
}

// One op is one number.
func BenchmarkAdd(b *testing.B) {
	b.Run("one", func(b *testing.B) {
		s, i := benchSet().Clone(), uint64(0)
		for b.Loop() {
			s.Add(33_100_000_000 + i)
			i++
		}
	})
	b.Run("group of 100", func(b *testing.B) {
		s, i := benchSet().Clone(), uint64(0)
		ns := make([]uint64, 100)
		b.ResetTimer()
		for range b.N / len(ns) {
			for j := range ns {
				ns[j] = 33_100_000_000 + i
				i++
			}
			s.AddAll(ns)
		}
	})
}

// BenchmarkBuild compares ways to fill a set from two goroutines: the time of a
// number, and of the processor.
func BenchmarkBuild(b *testing.B) {
	sorted := nanp
	shuffled := func(i uint64) uint64 { return nanp(i * 2_654_435_761 % *benchN) } // by a prime
	builder := func() (func([]uint64), func()) {
		bu := NewBuilder(*benchN, 0.001)
		return bu.Add, func() { bu.Build() }
	}
	ways := []struct {
		name   string
		at     func(uint64) uint64
		target func() (add func([]uint64), end func())
	}{
		{"the numbers alone", sorted, func() (func([]uint64), func()) { return func([]uint64) {}, func() {} }},
		{"builder, sorted", sorted, builder},
		{"builder, shuffled", shuffled, builder},
		{"a lock a number, shuffled", shuffled, lockEach},
		{"atomic or, shuffled", shuffled, atomicOr},
	}
	rounds, processor := contest{}, contest{}
	for b.Loop() {
		for _, c := range ways {
			before := processorTime(b)
			rounds.time(c.name, *benchN, func() {
				add, end := c.target()
				buildWith(add, c.at)
				end()
			})
			processor.keep(c.name, float64(processorTime(b)-before)/float64(*benchN))
		}
	}
	for name, ns := range processor.best {
		rounds.note(name, fmt.Sprintf("processor %.1f ns", ns))
	}
	rounds.log(b)
}

// processorTime is what the process has taken so far, on all cores.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// buildWith adds *benchN numbers in the batches that a load has.
func buildWith(add func([]uint64), at func(uint64) uint64) {
	const batch = 1 << 15
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			buf := make([]uint64, batch)
			for i := next.Add(batch) - batch; i < *benchN; i = next.Add(batch) - batch {
				ns := buf[:min(batch, *benchN-i)]
				for j := range ns {
					ns[j] = at(i + uint64(j))
				}
				add(ns)
			}
		})
	}
	wg.Wait()
}

// lockEach is the builder without grouping.
func lockEach() (func([]uint64), func()) {
	s := New(*benchN, 0.001)
	locks := make([]sync.Mutex, s.parts)
	return func(ns []uint64) {
		for _, n := range ns {
			at := placeOf(n, s.parts)
			locks[at.part].Lock()
			s.put(at, s.limit())
			locks[at.part].Unlock()
		}
	}, func() {}
}

// atomicOr sets bits in one array without locks, and does not count.
func atomicOr() (func([]uint64), func()) {
	lines := shapeFor(*benchN, 0.001).capacity() / 32
	words := make([]atomic.Uint64, lines*lineWords)
	return func(ns []uint64) {
		for _, n := range ns {
			x, pos := mix(n)
			line, _ := bits.Mul64(x, lines)
			for range maxK {
				words[line*lineWords+pos>>6%lineWords].Or(1 << (pos % 64))
				pos >>= posBits
			}
		}
	}, func() {}
}

func BenchmarkEncode(b *testing.B) {
	s := benchSet()
	b.SetBytes(int64(s.Bytes()))
	for b.Loop() {
		if err := s.Encode(io.Discard, testHeader); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	path := filepath.Join(b.TempDir(), "filter")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	if err := benchSet().Encode(w, testHeader); err != nil || w.Flush() != nil || f.Close() != nil {
		b.Fatal("the file was not written", err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("file", func(b *testing.B) {
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			decodeFile(b, path)
		}
	})
	b.Run("sha256 of it alone", func(b *testing.B) {
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			sha256.Sum256(file)
		}
	})
}

func decodeFile(b *testing.B, path string) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := Decode(f, info.Size()); err != nil {
		b.Fatal(err)
	}
}
