package phone

import (
	"strings"
	"unicode"
)

// Unwrap returns the text of a cell without what programs put around it: spaces and invisible characters of any
// kind, quotes, the apostrophe by which a spreadsheet keeps a text as it is, and the formula ="...".
func Unwrap(s string) string {
	for {
		inner := unwrapOnce(s)
		if len(inner) == len(s) {
			return inner
		}
		s = inner
	}
}

func unwrapOnce(s string) string {
	s = strings.TrimFunc(s, isBlank)
	if inner, ok := strings.CutPrefix(s, "'"); ok {
		return strings.TrimSuffix(inner, "'")
	}
	inner, open := strings.CutPrefix(strings.TrimPrefix(s, "="), `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	if open && closed {
		return inner
	}
	return s
}

// isBlank reports a character that shows as nothing: a space, or one that only directs how text is set, such as the
// marks around numbers that are copied from a phone's contacts.
func isBlank(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }
