package phone_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

// A Checker that has seen a number must say of those around it what FromDigits says.
func TestCheckerAgreesWithFromDigits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var c phone.Checker
	valid := 0
	for power := uint64(10); power <= 1e16; power *= 10 {
		for range 3000 {
			seen := power + r.Uint64N(9*power)
			for distance := uint64(1); distance <= power; distance *= 10 {
				for _, u := range []uint64{seen, seen + r.Uint64N(distance), seen - r.Uint64N(distance), seen/distance*distance - 1} {
					n, want := phone.FromDigits(u)
					if got, err := c.Check(u); got != n || !errors.Is(err, want) {
						t.Fatalf("digits near a number of %d digits: %s, %v, FromDigits says %s, %v", len(phone.Number(seen).E164())-1, got.E164(), err, n.E164(), want)
					}
					if want == nil {
						valid++
					}
				}
			}
		}
	}
	if valid < 10_000 {
		t.Errorf("only %d numbers were valid", valid)
	}
}

func BenchmarkChecker(b *testing.B) {
	var c phone.Checker
	u := uint64(14155550100)
	for b.Loop() {
		if _, err := c.Check(u); err != nil {
			b.Fatal(err)
		}
		u = 14155550100 + (u+7)%100
	}
}
