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

// isBlank reports a character that is invisible: a space, or one that only directs how text is set, such as the marks
// around numbers that are copied from a phone's contacts.
func isBlank(r rune) bool {
	const firstFormat = '\u00ad' // of unicode.Cf: what is below need not be looked for there
	return unicode.IsSpace(r) || r >= firstFormat && unicode.Is(unicode.Cf, r)
}

// Bare returns the number in a text as it was written, without its wrapping, the scheme of an address, and the .0 of a
// program that took it for a fraction.
func Bare(s string) (string, error) {
	s, err := withoutScheme(Unwrap(s))
	if err != nil {
		return "", err
	}
	return withoutFraction(Unwrap(s))
}

// withoutScheme returns the user part of an address, without its parameters. The others do not change who is called.
func withoutScheme(s string) (string, error) {
	scheme, user, _ := strings.Cut(s, ":")
	switch strings.ToLower(scheme) {
	case "tel", "whatsapp":
	case "sip", "sips":
		var host string
		user, host, _ = strings.Cut(user, "@")
		if strings.ContainsAny(host, "@,/| \t\n") { // another address follows
			return "", ErrSeveral
		}
		if name, _, hasPassword := strings.Cut(user, ":"); hasPassword && host != "" {
			user = name
		}
	default:
		return s, nil
	}
	number, parameters, _ := strings.Cut(user, ";")
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, _, _ := strings.Cut(strings.ToLower(parameter), "=")
		switch {
		case name == "ext":
			return "", ErrExtension
		case name == "phone-context": // the number is a local one of somewhere
			return "", ErrSyntax
		case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") != "":
			return user, nil // no parameter: the next reader refuses it
		}
	}
	return number, nil
}

// withoutFraction removes .0 from plain digits, which a program adds that took the number for a fraction. Read as
// punctuation, the point would make the number longer. Any other fraction may be a number that lost digits.
func withoutFraction(s string) (string, error) {
	i := strings.LastIndexAny(s, ".,")
	if i < 1 || strings.ContainsAny(s[:i], ".,") {
		return s, nil // points that group the digits
	}
	whole, fraction := s[:i], s[i+1:]
	isPlain := strings.Trim(strings.TrimPrefix(whole, "+"), asciiDigits) == "" && whole != "+"
	isPlainOrNegative := isPlain || strings.Trim(strings.TrimLeft(whole, "+-"), asciiDigits) == ""
	switch {
	case fraction == "0" && isPlain && s[i] == '.':
		return whole, nil
	case fraction == "0" && hasDigit(whole), fraction == "00" && isPlainOrNegative:
		return "", ErrSpreadsheet
	}
	return s, nil
}

func hasDigit(s string) bool { return strings.ContainsAny(s, asciiDigits) }
