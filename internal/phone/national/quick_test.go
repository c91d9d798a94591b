package national

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

// What quick reads, slow must read the same.
func TestQuickAgreesWithSlow(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	quick := 0
	for r := phone.Region(1); r < phone.World; r++ {
		d := &rules()[r]
		for range 60 {
			digits := fmt.Sprintf("%0*d", d.full, rng.Uint64N(1e12)%power(d.full))
			for _, s := range []string{digits, d.trunk + digits, "0" + digits, d.code + digits, digits[1:]} {
				got, ok := d.quick([]byte(s))
				if !ok {
					continue
				}
				quick++
				if want, err := d.slow(s); got != want || err != nil {
					t.Errorf("%s in %s: quick %s, slow %s, %v", s, r, got.E164(), want.E164(), err)
				}
			}
		}
	}
	if quick < 5000 {
		t.Errorf("quick read %d of the numbers, want more than 5000", quick)
	}
}

func power(n int) uint64 {
	v := uint64(1)
	for range n {
		v *= 10
	}
	return v
}

func TestEveryRegionHasRules(t *testing.T) {
	for r := phone.Region(1); r < phone.World; r++ {
		if d := &rules()[r]; d.region != r.String() || d.code == "" || d.full == 0 {
			t.Errorf("%s has rules %+v", r, *d)
		}
	}
}
