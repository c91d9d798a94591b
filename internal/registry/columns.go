package registry

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/dncd/dncd/internal/phone"
)

// numberColumns are the columns of a csv that hold numbers.
type numberColumns struct {
	at     []int // from 0, none twice
	header bool  // the first record is one
}

// findColumns returns the columns that hold numbers. want is what the user asked for; looks says of each column what its
// cells look like. Where more than one column could be meant, it is an error: an objection in the other would be lost.
func findColumns(first []string, want string, looks []look) (numberColumns, error) {
	switch {
	case want != "":
		return wantedColumns(first, want)
	case len(first) == 1:
		return numberColumns{[]int{0}, isTitle(first[0])}, nil
	}
	titled := false
	var could []int
	for i, title := range first {
		is := obvious(title) && looks[i] != taken
		titled = titled || is
		if is || looks[i].plausible(title) {
			could = append(could, i)
		}
	}
	switch {
	case !titled:
		return numberColumns{}, fmt.Errorf("which column holds the number? use --column NAME or INDEX, and --delimiter if columns are not divided by %s: the first line has %s",
			delimiterNames, describe(first))
	case len(could) > 1:
		return numberColumns{}, fmt.Errorf("more than one column could hold the number: use --column with the one that does, or %s for several: the first line has %s",
			askFor(first, could), describe(first))
	}
	return numberColumns{could, true}, nil
}

// askFor is the flag that asks for columns.
func askFor(first []string, columns []int) string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = first[column]
		if _, _, err := findColumn(first, names[i]); err != nil || strings.Contains(names[i], ",") || !isTitle(names[i]) {
			names[i] = strconv.Itoa(column + 1)
		}
	}
	return fmt.Sprintf("--column %q", strings.Join(names, ","))
}

// wantedColumns returns the columns asked for: one, or several separated by commas.
func wantedColumns(first []string, want string) (numberColumns, error) {
	column, header, err := findColumn(first, want)
	if err == nil || !strings.Contains(want, ",") {
		return numberColumns{[]int{column}, header}, err
	}
	var c numberColumns
	for name := range strings.SplitSeq(want, ",") {
		column, header, err := findColumn(first, name)
		if err != nil {
			return c, err
		}
		if slices.Contains(c.at, column) {
			return c, fmt.Errorf("--column names a column twice: %q", name)
		}
		c.at, c.header = append(c.at, column), c.header || header
	}
	// A number among them is of the first row, whatever stands beside it.
	c.header = c.header && !slices.ContainsFunc(c.at, func(i int) bool { return lookOf(first[i], 0) > looksOther })
	return c, nil
}

// findColumn returns the index, from 0, of the column that the user asked for by its title or its place, and whether
// the first record is a header.
func findColumn(first []string, want string) (column int, header bool, err error) {
	if index, err := strconv.Atoi(strings.TrimSpace(want)); err == nil {
		if index < 1 || index > len(first) {
			return 0, false, fmt.Errorf("no column %d: the first line has %s", index, describe(first))
		}
		return index - 1, isTitle(first[index-1]), nil
	}
	column = -1
	for i, title := range first {
		if plainTitle(title) != plainTitle(want) {
			continue
		}
		if column >= 0 {
			return 0, false, fmt.Errorf("more than one column could be meant, say which by its place instead of its name: the first line has %s", describe(first))
		}
		column = i
	}
	if column < 0 {
		return 0, false, fmt.Errorf("no column %q: the first line has %s", want, describe(first))
	}
	return column, true, nil
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

// delimiterNames are the delimiters that findDelimiter recognises.
const delimiterNames = "comma, semicolon, tab or |"

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
	for _, c := range []byte{';', '\t', '|'} {
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
