package main

import (
	"errors"
	"fmt"
	"strings"
)

// account counts the entries that were read, by outcome.
type account struct {
	read, accepted, duplicates, rejected, empty uint64
	rows                                        uint64 // that held them; 0: not known
}

// String leaves out empty cells where there are none, and rows where each holds one entry.
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

// parseDelimiter reads the delimiter of a csv; 0: not given.
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
