package phone_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

// NextFormer passes over no former spelling, and stops at few numbers that are stored under their own digits.
func TestNextFormer(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, code := range []uint64{33, 262, 508, 590, 594, 596} {
		for range 20_000 {
			n := phone.Number(code*1e9 + r.Uint64N(1e9))
			if r.IntN(4) == 0 { // at the edge of a range
				n = n/1e4*1e4 - phone.Number(r.IntN(2))
			}
			next := phone.NextFormer(n)
			if _, isFormer := n.Present(); isFormer && next != n {
				t.Fatalf("%s is a former spelling, and is passed over", n.E164())
			}
			if _, err := phone.FromDigits(uint64(n)); err == nil && next == n {
				if _, isFormer := n.Present(); !isFormer {
					t.Fatalf("%s is stored under its own digits, and is looked at", n.E164())
				}
			}
		}
	}
	for n, want := range map[phone.Number]phone.Number{0: 33262000000, 14155550123: 33262000000, 33692123456: 33692123456, 33199001234: 33262000000, 597000000000: 0} {
		if got := phone.NextFormer(n); got != want {
			t.Errorf("the first from %s on is %s, want %s", n.E164(), got.E164(), want.E164())
		}
	}
}

func TestPresent(t *testing.T) {
	for n, want := range map[phone.Number]phone.Number{33692123456: 262692123456, 508508410024: 508410024, 262801234567: 33801234567, 262692123456: 262692123456, 999: 999} {
		if got, isFormer := n.Present(); got != want || isFormer != (got != n) {
			t.Errorf("%s is stored as %s, %v, want %s", n.E164(), got.E164(), isFormer, want.E164())
		}
	}
}
