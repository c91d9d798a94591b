package registry

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/dncd/dncd/internal/phone"
)

// findColumn returns the index, from 0, of the column that holds the number,
// and whether the first record is a header. want is what the user asked for.
func findColumn(first []string, want string) (column int, header bool, err error) {
	if index, err := strconv.Atoi(want); err == nil {
		if index < 1 || index > len(first) {
			return 0, false, fmt.Errorf("no column %d: the first line has %s", index, describe(first))
		}
		return index - 1, isTitle(first[index-1]), nil
	}
	if want == "" && len(first) == 1 {
		return 0, isTitle(first[0]), nil
	}
	matches := func(title string) bool { return plainTitle(title) == plainTitle(want) }
	if want == "" {
		matches = obvious
	}
	column = -1
	for i, title := range first {
		if !matches(title) {
			continue
		}
		if column >= 0 {
			return 0, false, fmt.Errorf("more than one column could be meant, say which by its place instead of its name: the first line has %s", describe(first))
		}
		column = i
	}
	switch {
	case column >= 0:
		return column, true, nil
	case want != "":
		return 0, false, fmt.Errorf("no column %q: the first line has %s", want, describe(first))
	}
	return 0, false, fmt.Errorf("which column holds the number? say --column NAME or INDEX: the first line has %s", describe(first))
}

// obvious reports whether a title can only mean the number.
func obvious(title string) bool {
	switch titleKey(title) {
	case "phone", "phonenumber", "phoneno", "number", "telephone", "telephonenumber", "telephoneno", "tel", "telno",
		"mobile", "mobilenumber", "mobilephone", "msisdn",
		"numero", "numerodetelephone", "numerotelephone", "ndetelephone", "numtel", "ntel", "portable", "telephoneportable", "telephonemobile":
		return true
	}
	return false
}

// titleKey folds a title to its letters and digits.
func titleKey(title string) string { return strings.Map(letterOnly, plainTitle(title)) }

func letterOnly(r rune) rune {
	if unicode.IsLetter(r) || unicode.IsDigit(r) {
		return r
	}
	return -1
}

// plainTitle folds what people vary in a title: case, outer spaces, accents,
// whether these are written as one character or as two.
func plainTitle(title string) string {
	return strings.Map(withoutMark, norm.NFD.String(strings.ToLower(strings.TrimSpace(title))))
}

func withoutMark(r rune) rune {
	if unicode.Is(unicode.Mn, r) {
		return -1
	}
	return r
}

// isTitle reports whether a field is a column's title rather than a number:
// it has a letter and hardly a digit.
func isTitle(field string) bool {
	letters, digits := 0, 0
	for _, r := range field {
		switch {
		case unicode.IsLetter(r):
			letters++
		case unicode.IsDigit(r):
			digits++
		}
	}
	_, err := phone.Parse(field)
	return letters > 0 && digits < 5 && !errors.Is(err, phone.ErrSpreadsheet)
}

// describe lists columns for an error. What is not a title may be a phone
// number, and is not shown.
func describe(first []string) string {
	const most = 40
	list := make([]string, 0, len(first))
	for i, field := range first[:min(len(first), most)] {
		if isTitle(field) && len(field) <= most {
			list = append(list, fmt.Sprintf("%d %q", i+1, field))
		} else {
			list = append(list, fmt.Sprintf("%d (no title)", i+1))
		}
	}
	if len(first) > most {
		list = append(list, "...")
	}
	return strings.Join(list, ", ")
}

// findDelimiter returns the delimiter of a csv by its first line: what it has
// most of, outside quotes.
func findDelimiter(line []byte) byte {
	var count [256]int
	quoted := false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted {
			count[c]++
		}
	}
	best := byte(',')
	for _, c := range []byte{';', '\t'} {
		// On a tie not the comma: it is the one that occurs within texts.
		if count[c] > 0 && count[c] >= count[best] {
			best = c
		}
	}
	return best
}

// checkDelimiter returns a delimiter that was asked for.
func checkDelimiter(r rune) (byte, error) {
	if r == 0 || r >= 0x80 || r == '"' || r == '\r' || r == '\n' || unicode.IsDigit(r) || unicode.IsLetter(r) {
		return 0, errors.New("the delimiter must be one ASCII character, no letter, digit or quote")
	}
	return byte(r), nil
}
