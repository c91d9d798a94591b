package main

import (
	"fmt"
	"slices"
	"strings"
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
