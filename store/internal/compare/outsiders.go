package compare

import (
	"math/bits"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
)

// outsiders counts numbers of regions for which a list does not speak.
type outsiders struct {
	list  *policy.List
	zoner phone.Zoner
	zone  phone.Zone // the last that was looked at,
	out   bool       // and whether the list does not speak for it
	known bool
}

// count returns how many numbers of a block they are. Nearly every block is in one zone.
func (o *outsiders) count(number uint64, numbers *block.Bitmap) (outside uint64) {
	if o.list.Jurisdiction.IsEmpty() {
		return 0
	}
	for i, w := range numbers {
		for ; w != 0; w &= w - 1 {
			out := o.isOut(phone.Number(number<<block.Bits + uint64(i<<6+bits.TrailingZeros64(w))))
			if o.zoner.Holds(phone.Number(number<<block.Bits + block.Mask)) {
				return outside + o.rest(numbers, i, w, out)
			}
			if out {
				outside++
			}
		}
	}
	return outside
}

// rest counts what is left of a block, all of one zone, from the word w at i on.
func (o *outsiders) rest(numbers *block.Bitmap, i int, w uint64, out bool) (outside uint64) {
	if !out {
		return 0
	}
	outside = uint64(bits.OnesCount64(w))
	for _, w := range numbers[i+1:] {
		outside += uint64(bits.OnesCount64(w))
	}
	return outside
}

func (o *outsiders) isOut(n phone.Number) bool {
	if zone := o.zoner.Zone(n); !o.known || zone != o.zone {
		o.zone, o.out, o.known = zone, !o.list.SpeaksFor(zone.Regions()), true
	}
	return o.out
}
