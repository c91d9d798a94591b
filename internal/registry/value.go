package registry

import (
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/phone/national"
)

// parseValue reads one number as people write it: international with + or
// tel:, or of a region. It returns the number or the reason why there is none.
// A value that ends with its file (cut) counts only when no longer number
// begins with it: otherwise the rest may be missing.
func parseValue(text []byte, region phone.Region, cut bool) (phone.Number, string) {
	number, err := national.Parse(string(text), region)
	switch {
	case cut && (err != nil || extends(number)):
		return 0, ReasonCut
	case err != nil:
		return 0, phone.Reason(err)
	}
	return number, ""
}

// extends reports whether a longer number begins with n.
func extends(n phone.Number) bool {
	for digits := uint64(n) * 10; digits < 1e15; digits *= 10 {
		if _, err := phone.FromDigits(digits); err == nil {
			return true
		}
	}
	return false
}
