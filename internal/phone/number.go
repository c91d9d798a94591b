// Package phone holds telephone numbers: their E.164 form, the regions they belong to, and prefixes of them.
//
// It promises:
//   - A Number made by Parse or FromDigits has a known calling code and a length that this code has. Two ways of
//     writing one number give one Number; no country is ever guessed.
//   - A number is personal data: String, every verb of package fmt and log/slog show the calling code alone, the
//     encoders of text and JSON refuse it, and no error repeats a digit of its input. The full form is asked for by
//     name: E164. (fmt cannot see the methods of an unexported struct field: print no struct that holds one.)
//   - In doubt a number belongs to more regions, so that a list of any of them applies to it.
//   - It needs the standard library and its own tables only, which are generated from libphonenumber's metadata.
package phone

import (
	"math/bits"
	"strconv"
)

//go:generate go run ./internal/gen

// MaxDigits is the most digits that an E.164 number has, calling code included.
const MaxDigits = 15

// Number is an E.164 number as the integer of its digits, calling code first: 14155550123 is +1 415 555 0123.
// Order and equality are the integer's. The zero Number is none.
type Number uint64

// FromDigits returns the number that has these digits, calling code first. The errors are Parse's: ErrEmpty for
// zero, ErrCallingCode, ErrTrunk and ErrLength.
func FromDigits(u uint64) (Number, error) {
	if u == 0 {
		return 0, ErrEmpty
	}
	return validate(u, decimalLen(u))
}

// E164 returns the full form, "+14155550123": personal data, for whoever needs the number itself. It is "" for the
// zero Number.
func (n Number) E164() string {
	if n == 0 {
		return ""
	}
	var b [1 + 20]byte
	return string(n.AppendE164(b[:0]))
}

// AppendE164 appends E164 to b.
func (n Number) AppendE164(b []byte) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendUint(append(b, '+'), uint64(n), 10)
}

// Digits returns how many digits the number has, calling code included.
func (n Number) Digits() int { return decimalLen(uint64(n)) }

// CallingCode returns the country's calling code, such as 1 or 358; 0 for a Number that has none.
func (n Number) CallingCode() int { return int(planOf(uint64(n), n.Digits()).code) }

var pow10 = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// decimalLen returns the number of decimal digits of u, 0 for 0.
func decimalLen(u uint64) int {
	n := bits.Len64(u) * 1233 >> 12 // log10(2) is a little over 1233/4096
	if u >= pow10[n] {
		n++
	}
	return n
}
