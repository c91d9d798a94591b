package phone

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// The quick way of FromDigits says what the plan of +1 does, for each area code and at the edges.
func TestFromDigitsAgreesWithThePlan(t *testing.T) {
	us := []uint64{1e10 - 1, firstNANP - 1, firstNANP, 2e10 - 1, 2e10, 1e16, 1<<64 - 1}
	for area := uint64(1000); area < 2000; area++ {
		us = append(us, area*1e7, area*1e7+9_999_999, area*1e6, area*1e8)
	}
	for _, u := range us {
		want, wantErr := validate(u, decimalLen(u))
		if got, err := FromDigits(u); got != want || !errors.Is(err, wantErr) {
			t.Errorf("FromDigits(%d) = %v, the plan says %v", u, err, wantErr)
		}
	}
}

// Multiplying gives what dividing does, at the edges of each quotient and at random.
func TestWithoutDivides(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(u uint64, digits int) {
		if got, want := without(u, digits), u/pow10[digits]; got != want {
			t.Fatalf("without(%d, %d) = %d, want %d", u, digits, got, want)
		}
	}
	for digits, p := range pow10 {
		for range 20_000 {
			u := r.Uint64() >> r.UintN(64)
			edge := u / p * p
			for _, u := range []uint64{u, edge, edge - 1, edge + p - 1, 1<<62 - 1, 1 << 62} {
				check(u, digits)
			}
		}
	}
}

// A zone is below Zones, and stands for some region.
func TestZonesAreFew(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		n := Number(r.Uint64N(pow10[1+r.IntN(MaxDigits)]))
		if z := n.Zone(); int(z) >= Zones || z.Regions().IsEmpty() {
			t.Fatalf("a number of calling code %d has zone %d, of regions %v", n.CallingCode(), z, z.Regions())
		}
	}
}
