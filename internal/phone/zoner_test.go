package phone_test

import (
	"math/rand/v2"
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

// A Zoner that has seen a number must say of those around it what Zone says, and hold no number of another zone.
func TestZonerAgreesWithZone(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var z phone.Zoner
	held := 0
	for power := uint64(1); power <= 1e16; power *= 10 {
		for range 3000 {
			seen := power + r.Uint64N(9*power)
			if r.IntN(3) == 0 {
				seen = 10_000_000_000 + r.Uint64N(10_000_000_000)
			}
			for distance := uint64(1); distance <= seen; distance *= 10 {
				near := []uint64{seen, seen + r.Uint64N(distance), seen - r.Uint64N(distance), seen/distance*distance - 1, 1_310_0000 + r.Uint64N(10_000)}
				for _, u := range near {
					if got, want := z.Zone(phone.Number(u)), phone.Number(u).Zone(); got != want {
						t.Fatalf("a number of %d digits is of zone %d, want %d", phone.Number(u).Digits(), got, want)
					}
					if last := phone.Number(u + r.Uint64N(distance)); z.Holds(last) {
						held++
						if got, want := last.Zone(), phone.Number(u).Zone(); got != want {
							t.Fatalf("%d numbers on it is zone %d, want %d", uint64(last)-u, got, want)
						}
					}
				}
			}
		}
	}
	if held < 10_000 {
		t.Errorf("only %d were held", held)
	}
}
