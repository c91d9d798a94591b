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
			if n, err := phone.Parse("+" + there(rng)); err == nil && d.abroad != "" {
				if got, ok := d.quick([]byte(d.abroad + n.E164()[1:])); !ok || got != n {
					t.Errorf("%s in %s behind %s: %s", n.E164(), r, d.abroad, got.E164())
				}
			}
			for _, s := range []string{
				digits, d.trunk + digits, "0" + digits, d.code + digits, digits[1:],
			} {
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

// there returns the digits of an international number, valid or not.
func there(rng *rand.Rand) string {
	d := &rules()[1+phone.Region(rng.IntN(int(phone.World)-1))]
	return d.code + fmt.Sprint(1+rng.Uint64N(power(d.full)-1))
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
