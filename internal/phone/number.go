// Package phone holds telephone numbers: their E.164 form, the regions they belong to, and prefixes of them.
//
// It promises:
//   - A Number made by Parse or FromDigits has a known calling code and a length that this code has. Two ways of
//     writing one number give one Number. No country is ever guessed.
//   - A number is personal data. String, every verb of package fmt and log/slog show only the calling code, the
//     encoders of text and JSON refuse it, and no error repeats a digit of its input. Only E164 returns the full
//     form. (fmt cannot see the methods of an unexported struct field: print no struct that holds one.)
//   - In doubt a number belongs to more regions, so that a list of any of them applies to it.
//   - It needs only the standard library and its own tables, which are generated from libphonenumber's metadata.
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

// FromDigits returns the number that has these digits, calling code first. The digits of the result may differ, as with
// Parse: see respell. The errors are Parse's: ErrEmpty for zero, ErrCallingCode, ErrTrunk, ErrLength and
// ErrNoSuchNumber.
func FromDigits(u uint64) (Number, error) {
	if u-firstNANP < 2e10-firstNANP {
		return Number(u), nil
	}
	if u == 0 {
		return 0, ErrEmpty
	}
	return validate(u, decimalLen(u))
}

// firstNANP is the first number of +1 that has an area code. All integers of eleven digits from here on are numbers,
// since an area code begins with 2 to 9. A test compares this with the plan of +1.
const firstNANP = 1_200_000_0000

// E164 returns the full form, "+14155550123". It is personal data, for callers that need the number itself. It is ""
// for the zero Number.
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

// reciprocal is 2^(63+shift) / 10^i, rounded up: the factor that replaces a division by 10^i.
type reciprocal struct {
	times uint64
	shift uint8
}

var reciprocals = func() (r [len(pow10)]reciprocal) {
	for i, p := range pow10 {
		shift := bits.Len64(p) - 1
		times, rest := bits.Div64(1<<shift>>1, 1<<shift<<63, p) // 10^i >= 2^shift, so it fits
		if rest > 0 {
			times++
		}
		r[i] = reciprocal{times, uint8(shift)}
	}
	return r
}()

// without returns u without its last digits, u/10^digits, in a quarter of the time of a division by a variable. Below
// 2^62 the product's error, under u/2^(63+shift), is less than what u/10^digits lacks of the next integer.
func without(u uint64, digits int) uint64 {
	if u >= 1<<62 {
		return u / pow10[digits]
	}
	r := &reciprocals[digits]
	quotient, _ := bits.Mul64(u<<1, r.times)
	return quotient >> (r.shift % 64)
}

// decimalLen returns the number of decimal digits of u, 0 for 0.
func decimalLen(u uint64) int {
	n := bits.Len64(u) * 1233 >> 12 // log10(2) is a little over 1233/4096
	if u >= pow10[n] {
		n++
	}
	return n
}
