package phone

import (
	"strings"
	"unicode/utf8"
)

// Parse returns the number that s is, written in E.164: a plus, calling code and national number in ASCII digits, at
// most 15, with spaces, dots, dashes, brackets and slashes anywhere between them, and "tel:" before. The plus is
// needed: national forms are package national's.
//
// The error is one of ErrEmpty, ErrNoPlus (nothing is wrong but the missing plus), ErrSyntax (ErrExtension and
// ErrSpreadsheet are kinds of it), ErrCallingCode, ErrLength and ErrTrunk.
func Parse(s string) (Number, error) {
	if len(s) < 4 || len(s) > 1+MaxDigits || s[0] != '+' || s[1] == '0' {
		return parsePunctuated(s)
	}
	var u uint64
	for i := 1; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return parsePunctuated(s)
		}
		u = u*10 + uint64(d)
	}
	return validate(u, len(s)-1)
}

func parsePunctuated(s string) (Number, error) {
	var sc scan
	if err := sc.read(s); err != nil {
		return 0, err
	}
	switch {
	case sc.digits == 0 && !sc.plus:
		return 0, ErrEmpty
	case sc.digits == 0:
		return 0, errShort
	case !sc.plus:
		return 0, ErrNoPlus
	case sc.leadingZero:
		return 0, ErrCallingCode
	}
	return validate(sc.value, sc.digits)
}

// scan is what a string consists of, when it is digits and punctuation alone.
type scan struct {
	plus        bool
	leadingZero bool
	digits      int
	value       uint64 // of the first 16 digits, which is enough to know that there are too many
}

func (sc *scan) read(s string) error {
	if isDecimal(s) {
		return ErrSpreadsheet
	}
	rest := trimScheme(strings.TrimSpace(s))
	for i := 0; i < len(rest); {
		c := rest[i]
		width := 1
		switch {
		case c-'0' <= 9:
			sc.digit(c - '0')
		case c == '+' && !sc.plus && sc.digits == 0:
			sc.plus = true
		default:
			if width = punctuation(rest[i:]); width == 0 {
				return diagnose(rest, i, sc.digits)
			}
		}
		i += width
	}
	return nil
}

func (sc *scan) digit(d byte) {
	if sc.digits == 0 {
		sc.leadingZero = d == 0
	}
	if sc.digits <= MaxDigits {
		sc.value = sc.value*10 + uint64(d)
	}
	sc.digits++
}

func trimScheme(s string) string {
	const scheme = "tel:"
	if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
		return s[len(scheme):]
	}
	return s
}

// punctuation returns how many bytes of punctuation s begins with, 0 for none. Besides ASCII these are the spaces
// and dashes that word processors put into numbers.
func punctuation(s string) int {
	switch s[0] {
	case ' ', '\t', '.', '-', '(', ')', '[', ']', '/':
		return 1
	}
	r, width := utf8.DecodeRuneInString(s)
	switch {
	case r == '\u00a0', r == '\u202f', r >= '\u2000' && r <= '\u200a': // spaces
		return width
	case r >= '\u2010' && r <= '\u2015', r == '\u2212': // dashes
		return width
	}
	return 0
}
