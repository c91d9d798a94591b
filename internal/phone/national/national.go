// Package national reads telephone numbers as people and files write them inside a country, over libphonenumber's
// metadata. It promises:
//   - No country is guessed: a national form needs the caller's region.
//   - Whatever package phone reads it reads the same, region or not.
//   - A form that libphonenumber cannot tell to be whole, such as an Italian number whose leading zero a spreadsheet
//     took, is an error, not another number.
package national

import (
	"errors"
	"strings"

	"github.com/dncd/dncd/internal/phone"
)

var (
	// ErrSpreadsheet is phone.ErrSpreadsheet: the text is what a spreadsheet left of a number.
	ErrSpreadsheet = phone.ErrSpreadsheet
	// ErrExtension is phone.ErrExtension.
	ErrExtension = phone.ErrExtension
	// ErrNoSuchNumber: digits that are no number of the region, or not the whole of one.
	ErrNoSuchNumber = errors.New("no such number in the region: check it, or write it with + and the country code")
)

// maxDigits is the most digits of a national form: an E.164 number behind the longest international prefix.
const maxDigits = 24

// Parse returns the number that s is when dialled in the region: a national number with or without its trunk prefix,
// an international one behind the region's prefix (00, 011) or behind 00, or what phone.Parse takes. A bracketed zero,
// "+44 (0)20", is left out where it is a trunk prefix. With the zero Region only international forms are read.
//
// The errors are phone.Parse's, and ErrNoSuchNumber. No digit of s is in them.
func Parse(s string, region phone.Region) (phone.Number, error) {
	n, err := phone.Parse(s)
	if err == nil {
		return n, nil
	}
	if plain, ok := withoutTrunkZero(s, err); ok {
		return phone.Parse(plain)
	}
	if !errors.Is(err, phone.ErrNoPlus) {
		return 0, err
	}
	var buf [maxDigits]byte
	digits, ok := collect(&buf, s)
	switch {
	case !ok:
		return 0, phone.ErrLength
	case region != 0 && region != phone.World:
		return inRegion(digits, region)
	case digits[0] == '0' && len(digits) > 1 && digits[1] == '0':
		return Parse("+"+afterDigits(s, 2), 0)
	}
	return 0, phone.ErrNoPlus
}

// withoutTrunkZero returns s without the zero that is written in brackets after a country code to say that callers
// inside the country dial it. Where the zero belongs to the number, as in Italy, there was no error.
func withoutTrunkZero(s string, err error) (string, bool) {
	if !errors.Is(err, phone.ErrTrunk) && !errors.Is(err, phone.ErrLength) {
		return "", false
	}
	before, after, ok := strings.Cut(s, "(0)")
	return before + after, ok
}

// afterDigits returns what follows the first n digits of s, which has as many.
func afterDigits(s string, n int) string {
	for i := range len(s) {
		if s[i]-'0' <= 9 {
			n--
		}
		if n == 0 {
			return s[i+1:]
		}
	}
	return ""
}

// collect gathers the digits of s, and reports whether there is room for all.
func collect(buf *[maxDigits]byte, s string) ([]byte, bool) {
	digits := buf[:0]
	for i := range len(s) {
		if s[i]-'0' > 9 {
			continue
		}
		if len(digits) == len(buf) {
			return nil, false
		}
		digits = append(digits, s[i])
	}
	return digits, true
}

func inRegion(digits []byte, region phone.Region) (phone.Number, error) {
	r := &rules()[region]
	if n, ok := r.quick(digits); ok {
		return n, nil
	}
	return r.slow(string(digits))
}
