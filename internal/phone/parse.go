package phone

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Parse returns the number that s is, written in E.164: a plus, calling code and national number in ASCII digits, at
// most 15, with spaces, dots, dashes, brackets and slashes anywhere between them. It accepts what Unwrap removes around
// the number, "tel:", "whatsapp:" or "sip:" before it, and ".0" behind plain digits. A zero in brackets behind the
// calling code, "+44 (0)20", is dropped if it is a trunk prefix; if both readings are possible it is an error. The plus
// is required: package national reads national forms.
//
// The error is one of ErrEmpty, ErrNoPlus (nothing is wrong but the missing plus), ErrSyntax (ErrExtension,
// ErrSpreadsheet and ErrSeveral are kinds of it), ErrCallingCode, ErrLength, ErrTrunk and ErrNoSuchNumber.
func Parse(s string) (Number, error) {
	if len(s) < 4 || len(s) > 1+MaxDigits || s[0] != '+' || s[1] == '0' {
		return parseText(s)
	}
	var u uint64
	for i := 1; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return parseText(s)
		}
		u = u*10 + uint64(d)
	}
	return validate(u, len(s)-1)
}

// parseText reads what is more than a plus and digits.
func parseText(s string) (Number, error) {
	s, err := Bare(s)
	if err != nil {
		return 0, err
	}
	n, err := parsePunctuated(s)
	before, after, ok := strings.Cut(s, bracketedZero)
	if !ok {
		return n, err
	}
	without, errWithout := parsePunctuated(before + after)
	switch {
	case errors.Is(err, ErrTrunk), err != nil && errWithout == nil:
		return without, errWithout
	case err != nil || errWithout != nil || n.isLandlineOfItaly():
		return n, err
	}
	return 0, errBracket
}

// bracketedZero is the notation for a zero that is dialled only inside the country. In some countries the zero belongs
// to the number, which does not exist without it.
const bracketedZero = "(0)"

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

// scan describes a string of nothing but digits and punctuation.
type scan struct {
	plus        bool
	leadingZero bool
	digits      int
	value       uint64 // of the first 16 digits, which is enough to know that there are too many
	slash       int    // digits before the last slash
	whole       bool   // the digits before a slash were a complete number
}

func (sc *scan) read(s string) error {
	for i := 0; i < len(s); {
		c := s[i]
		width := 1
		switch {
		case c-'0' <= 9:
			sc.digit(c - '0')
		case c == '+' && !sc.plus && sc.digits == 0:
			sc.plus = true
		default:
			if width = punctuation(s[i:]); width == 0 {
				return diagnose(s, i, sc.digits)
			}
		}
		if c == '/' {
			sc.divide()
		}
		i += width
	}
	if sc.whole && sc.digits > sc.slash || sc.slash >= manyDigits && sc.digits-sc.slash >= manyDigits {
		return ErrSeveral
	}
	return nil
}

// manyDigits are the digits of a complete number in most countries: that many on either side of a slash are two
// numbers.
const manyDigits = 7

// divide handles a slash. It may follow an area code, or separate the groups of a number. After a complete number it
// separates two numbers, and the second gives only the digits that differ: +49 30 1234567/68.
func (sc *scan) divide() {
	sc.slash = sc.digits
	if sc.plus && !sc.leadingZero {
		n, err := validate(sc.value, sc.digits)
		sc.whole = sc.whole || err == nil && n.IsWhole()
	}
}

// maxAreaCode is the most digits that an area code has, without its trunk prefix.
const maxAreaCode = 5

// IsWhole reports a number that is longer than a calling code with an area code. Some plans have numbers of any length.
func (n Number) IsWhole() bool {
	return n.Digits()-int(planOf(uint64(n), n.Digits()).digits) > maxAreaCode
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

// punctuation returns how many bytes of punctuation s begins with, 0 for none. Besides ASCII these are the spaces
// and dashes that word processors put into numbers.
func punctuation(s string) int {
	switch s[0] {
	case ' ', '\t', '.', '-', '(', ')', '[', ']', '/':
		return 1
	}
	r, width := utf8.DecodeRuneInString(s)
	switch {
	case unicode.Is(unicode.Zs, r): // spaces
		return width
	case r >= '\u2010' && r <= '\u2015', r == '\u2212': // dashes
		return width
	}
	return 0
}
