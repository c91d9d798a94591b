package main

import (
	"errors"
	"fmt"
	"strings"
)

// account is what became of all that was read.
type account struct {
	read, accepted, duplicates, rejected, empty uint64
	rows                                        uint64 // that it stood in; 0: not told
}

// String leaves out what says nothing: no empty cells, and a row for each entry.
func (a account) String() string {
	text := fmt.Sprintf("read %d = %d accepted + %s + %d rejected", a.read, a.accepted, count(a.duplicates, "duplicate"), a.rejected)
	if a.empty > 0 {
		text += fmt.Sprintf(" + %d empty", a.empty)
	}
	if a.rows > 0 && a.rows != a.read {
		text += " in " + count(a.rows, "row")
	}
	return text
}

// parseDelimiter reads what stands between the columns of a csv; 0: not said.
func parseDelimiter(text string) (rune, error) {
	if text == "" {
		return 0, nil
	}
	if strings.EqualFold(text, "tab") || text == `\t` {
		return '\t', nil
	}
	if runes := []rune(text); len(runes) == 1 {
		return runes[0], nil
	}
	return 0, errors.New("--delimiter is one character, such as ; or |, or tab")
}
