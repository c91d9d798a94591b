package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dncd/dncd/internal/registry"
)

// answerColumns are what `dnc check --file` adds to a row.
var answerColumns = []string{"verdict", "reason", "revision"}

// reasonWide is why a row is not asked about: which of its fields is the number is not sure.
const reasonWide = "more fields than the file has columns: quote a field that holds the delimiter"

// checkTitles refuses a file that has a column of the answer: which one counts would not be told.
func checkTitles(titles []string, output string) error {
	if output == "json" {
		return nil // the columns of the file are not written
	}
	for _, title := range titles {
		if slices.Contains(answerColumns, strings.ToLower(strings.TrimSpace(title))) {
			return withHint(fmt.Errorf("the file has a column %q already, which the answer would add", title),
				"rename or drop the column, or write the answers with -o json")
		}
	}
	return nil
}

// fit gives a row as many fields as the file has columns. Empty fields at the end of a
// wider one are dropped; other ones go into its last column, and it has no number then.
func (s *scrub) fit(row *registry.Row) {
	if s.width == 0 {
		s.width = len(row.Fields)
	}
	for len(row.Fields) > s.width && row.Fields[len(row.Fields)-1] == "" {
		row.Fields = row.Fields[:len(row.Fields)-1]
	}
	if len(row.Fields) > s.width {
		last := s.width - 1
		row.Fields = append(row.Fields[:last:last], strings.Join(row.Fields[last:], string(s.rows.Delimiter())))
		row.Reason = reasonWide
	}
	for len(row.Fields) < s.width {
		row.Fields = append(row.Fields, "")
	}
}
