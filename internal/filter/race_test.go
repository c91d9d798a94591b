package filter

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
)

// Adders and testers at once, on few partitions so that they meet in them: each
// number is asked for as soon as its Add has returned, by its adder, by testers
// that learn of it through an atomic counter, and at the end. A bit that one
// adder's copy takes from another's is a false no. Meanwhile the set is encoded,
// and what was there before must be in the file.
func TestAddersAndTesters(t *testing.T) {
	const adders, each = 4, 3000
	s := New(1, 0.001) // one partition, and then a chain
	var done [adders]atomic.Uint64
	number := func(adder int, i uint64) uint64 { return nanp(uint64(adder)*740_000 + i) }
	check := func(adder int, i uint64) {
		if !s.Test(number(adder, i)) {
			t.Errorf("Test says no to number %d of adder %d after its Add returned", i, adder)
		}
	}
	var adding, asking sync.WaitGroup
	for a := range adders {
		adding.Go(func() {
			for i := uint64(0); i < each; i += 3 {
				s.Add(number(a, i))
				check(a, i)
				s.AddAll([]uint64{number(a, i+1), number(a, i+2)})
				done[a].Store(i + 3)
			}
		})
		asking.Go(func() {
			for upTo := uint64(0); upTo < each; { // again and again, the old ones too
				upTo = done[a].Load()
				for i := uint64(0); i < upTo; i += 1 + upTo/64 {
					check(a, upTo-1-i)
				}
			}
		})
	}
	for range 5 {
		before := done[0].Load()
		r := reload(t, s)
		for i := range before {
			if !r.Test(number(0, i)) {
				t.Errorf("the file lost number %d, which was added before it was written", i)
			}
		}
	}
	adding.Wait()
	asking.Wait()
	for a := range adders {
		for i := range uint64(each) {
			check(a, i)
		}
	}
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// reload returns s as it comes back from a file.
func reload(t fataler, s *Set) *Set {
	t.Helper()
	var buf bytes.Buffer
	if err := s.Encode(&buf, testHeader); err != nil {
		t.Fatalf("Encode: %v", err)
	}
	r, h, err := Decode(&buf, int64(buf.Len()))
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	if h != testHeader {
		t.Fatalf("header = %+v, want %+v", h, testHeader)
	}
	return r
}
