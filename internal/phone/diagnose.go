package phone

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// diagnose returns the error that tells best what the character at s[i], which no number has, comes from. That many
// digits stand before it.
func diagnose(s string, i, digits int) error {
	if isExponent(s) {
		return ErrSpreadsheet
	}
	r, _ := utf8.DecodeRuneInString(s[i:])
	switch {
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

// isDecimal reports a number as a program writes it that took it for a fraction: 33199001234.0, with point or comma.
// Read as punctuation, the point would make a longer number of it.
func isDecimal(s string) bool {
	s = strings.TrimSpace(s)
	i := strings.IndexAny(s, ".,")
	if i < 5 || len(s)-i > len(".00") || i == len(s)-1 {
		return false
	}
	return strings.Trim(s[i+1:], "0") == "" && strings.Trim(strings.TrimLeft(s[:i], "+-"), asciiDigits) == ""
}

const asciiDigits = "0123456789"
