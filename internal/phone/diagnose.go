package phone

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// diagnose returns the error that best explains the character at s[i], which no number has. That many digits precede
// it.
func diagnose(s string, i, digits int) error {
	if isExponent(s) {
		return ErrSpreadsheet
	}
	r, _ := utf8.DecodeRuneInString(s[i:])
	switch {
	case digits > 0 && isSecond(s[i:], digits):
		return ErrSeveral
	case digits > 0 && isExtension(s[i:]):
		return ErrExtension
	case r > unicode.MaxASCII && (unicode.IsDigit(r) || r == '＋'):
		return errForeignDigits
	case unicode.IsLetter(r):
		return errLetters
	case unicode.Is(unicode.Cf, r):
		return errInvisible
	}
	return ErrSyntax
}

// isExtension reports text that follows a number to name an extension of it.
func isExtension(s string) bool {
	s = strings.ToLower(s)
	for _, mark := range []string{"x", "ext", ";ext", "#", ","} {
		rest, ok := strings.CutPrefix(s, mark)
		rest = strings.TrimLeft(rest, "tensio.:=# ")
		if ok && rest != "" && strings.Trim(rest, asciiDigits) == "" {
			return true
		}
	}
	return false
}

// isSecond reports text behind that many digits that holds another number, whatever separates the two; or, behind a
// word or a character that separates two numbers, the digits in which the second differs.
func isSecond(s string, digits int) bool {
	more := len(s) - len(strings.Map(withoutDigits, s))
	if digits < manyDigits || more == 0 {
		return false
	}
	rest := strings.ToLower(strings.TrimLeft(s, " "))
	for _, divider := range []string{":", ";", "|", "&", "\n", "\r", "or ", "ou ", "oder ", "and ", "et ", "und ", "y ", "o ", "e "} {
		if after, ok := strings.CutPrefix(rest, divider); ok && strings.Trim(after, asciiDigits+" +-./()&:|;\r\n") == "" {
			return true
		}
	}
	return more >= manyDigits
}

func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// isExponent reports a number as a spreadsheet shows it when it is long: 3.36123E+10, with point or comma.
func isExponent(s string) bool {
	i := strings.IndexAny(s, "eE")
	if i < 1 {
		return false
	}
	mantissa := strings.TrimLeft(s[:i], "+-")
	exponent := strings.TrimLeft(s[i+1:], "+-")
	return mantissa != "" && exponent != "" &&
		strings.Trim(mantissa, asciiDigits+".,") == "" && strings.Trim(exponent, asciiDigits) == ""
}

const asciiDigits = "0123456789"
