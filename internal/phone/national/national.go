// Package national reads telephone numbers as people and files write them inside a country, with libphonenumber's
// metadata. It promises:
//   - No country is guessed: a national form needs the caller's region.
//   - Whatever package phone reads, it reads as the same number, region or not.
//   - A form that libphonenumber does not recognise as complete, such as an Italian number whose leading zero
//     a spreadsheet removed, is an error, not another number.
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
	// ErrNoSuchNumber is phone.ErrNoSuchNumber: digits that are no number of the region, or not the whole of one.
	ErrNoSuchNumber = phone.ErrNoSuchNumber
)

// maxDigits is the most digits of a national form: an E.164 number behind the longest international prefix.
const maxDigits = 24

// Parse returns the number that s is when dialled in the region: a national number with or without its trunk prefix,
// an international one behind the region's prefix (00, 011) or behind 00, or what phone.Parse takes. With the zero
// Region only international forms are read.
//
// The errors are phone.Parse's, and ErrNoSuchNumber. No digit of s is in them.
func Parse(s string, region phone.Region) (phone.Number, error) {
	if region == phone.World {
		region = 0
	}
	if region != 0 && isPlain(s) {
		return dialled(s, region)
	}
	n, err := phone.Parse(s)
	if !errors.Is(err, phone.ErrNoPlus) {
		return n, err
	}
	if s, err = phone.Bare(s); err != nil {
		return 0, err
	}
	if holdsTwo(s, region) {
		return 0, phone.ErrSeveral
	}
	return dialled(s, region)
}

// isPlain reports digits with the plainest punctuation, for which phone.Parse has no error but ErrNoPlus.
func isPlain(s string) bool {
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c-'0' <= 9:
			digits++
		case c != ' ' && c != '-' && c != '(' && c != ')':
			return false
		}
	}
	return digits > 0
}

// dialled reads digits without a plus, and the punctuation between them.
func dialled(s string, region phone.Region) (phone.Number, error) {
	var buf [maxDigits]byte
	digits, ok := collect(&buf, s)
	isAbroad := len(digits) > 1 && string(digits[:2]) == "00"
	switch {
	case !ok:
		return 0, phone.ErrLength
	case isAbroad:
		return fromZeros(s, digits, region)
	case region == 0:
		return 0, phone.ErrNoPlus
	}
	return inRegion(digits, region)
}

// fromZeros reads 00 as the prefix of an international number, as it is written everywhere and dialled nearly everywhere.
// Where something else begins so too, the reading counts that makes a number of a known range; if both do, neither.
func fromZeros(s string, digits []byte, region phone.Region) (phone.Number, error) {
	r := &rules()[region]
	if n, ok := r.quick(digits); ok && r.abroad == "00" && !strings.Contains(s, "(0)") {
		return n, nil
	}
	n, err := phone.Parse("+" + afterDigits(s, 2))
	refused := errors.Is(err, phone.ErrSyntax) || errors.Is(err, ErrNoSuchNumber)
	if region == 0 || refused || err == nil && r.abroad == "00" {
		return n, err
	}
	inside, errInside := inRegion(digits, region)
	switch {
	case err != nil:
		return inside, errInside
	case errInside != nil || inside == n || isKnown(n) && !isKnown(inside):
		return n, nil //nolint:nilerr // it is no number of the region: it is one from abroad
	case isKnown(inside) && !isKnown(n):
		return inside, nil
	}
	return 0, ErrNoSuchNumber
}

// holdsTwo reports a slash behind digits that are a number of the region themselves, as phone.Parse does behind a plus.
func holdsTwo(s string, region phone.Region) bool {
	for i, c := range s {
		if c != '/' || strings.Trim(s[i:], "/ ") == "" || strings.Trim(s[:i], "()[]/ ") == "" {
			continue
		}
		if n, err := dialled(s[:i], region); err == nil && n.IsWhole() {
			return true
		}
	}
	return false
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
	if r.code == mexico {
		digits = withoutOldPrefix(digits)
	}
	if n, ok := r.quick(digits); ok {
		return n, nil
	}
	return r.slow(string(digits))
}
