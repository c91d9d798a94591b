package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/dncd/dncd/internal/registry"
)

// columnsOf is the JSON of how the columns of one file were taken. A key is null where the file has no such column.
type columnsOf struct {
	File      string                           `json:"file"`
	Number    []string                         `json:"number"`
	Fields    map[registry.RecordField]*string `json:"fields"`
	DateOrder *string                          `json:"date_order"`
	Unused    []unusedColumn                   `json:"unused"`
	Rows      int64                            `json:"rows"`
}

type unusedColumn struct {
	Column           string `json:"column"`
	LooksLikeNumbers bool   `json:"looks_like_numbers"`
}

// columnsJSON is what was chosen of each file.
func columnsJSON(choices []registry.Choice, consents bool) []columnsOf {
	list := []columnsOf{}
	for _, c := range choices {
		one := columnsOf{File: c.File, Number: c.Numbers, Fields: map[registry.RecordField]*string{}, Unused: []unusedColumn{}, Rows: c.Rows}
		for name := range strings.SplitSeq(registry.RecordFieldNames(consents), ", ") {
			one.Fields[registry.RecordField(name)] = nil
		}
		delete(one.Fields, registry.FieldNumber)
		for _, f := range c.Fields {
			one.Fields[f.Field] = &f.Column
		}
		if order := c.DateOrder.String(); order != "" {
			one.DateOrder = &order
		}
		for _, u := range c.Unused {
			one.Unused = append(one.Unused, unusedColumn(u))
		}
		list = append(list, one)
	}
	return list
}

// extended is the JSON of an object, followed by the members of another.
func extended(object, more any) ([]byte, error) {
	own, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	others, err := json.Marshal(more)
	return append(append(own[:len(own)-1], ','), others[1:]...), err
}

// sayChoices says how the columns of files were taken, once for files that have the same.
func sayChoices(w io.Writer, choices []registry.Choice, describe func(registry.Choice) string) {
	for len(choices) > 0 {
		text, same := describe(choices[0]), 1
		for same < len(choices) && describe(choices[same]) == text {
			same++
		}
		name := choices[0].File
		if name == "-" {
			name = "standard input"
		}
		if same > 1 {
			name += fmt.Sprintf(" and %d more", same-1)
		}
		fmt.Fprintf(w, "dnc: %s: %s\n", name, text)
		choices = choices[same:]
	}
}

// describeChoice says how the columns of a file of opt-outs were taken.
func describeChoice(c registry.Choice) string {
	parts := []string{"number from " + columnNames(c.Numbers)}
	if len(c.Numbers) == 0 {
		parts[0] = "no number"
	}
	for _, f := range c.Fields {
		parts = append(parts, fmt.Sprintf("%s from %s", f.Field, columnName(f.Column)))
	}
	if order := c.DateOrder.String(); order != "" {
		parts = append(parts, "dates with the "+order+" first")
	}
	if c.Rows == 0 {
		parts = append(parts, "no rows")
	}
	return strings.Join(append(parts, unused(c.Unused)...), "; ")
}

// describeNumbers is describeChoice where only the number counts.
func describeNumbers(c registry.Choice) string {
	var others []registry.UnusedColumn
	for _, u := range c.Unused {
		if u.LooksLikeNumbers {
			others = append(others, u)
		}
	}
	return strings.Join(append([]string{"number from " + columnNames(c.Numbers)}, unused(others)...), "; ")
}

// describeRows is describeNumbers for files of which each row is answered. In a file of one column the header may be a
// number that cannot be read, so it is named.
func describeRows(c registry.Choice) string {
	text := describeNumbers(c)
	if c.Layout.Width == 1 && c.Layout.Header != nil {
		text += "; the first line is its title and is not checked"
	}
	return text
}

// mostUnused bounds the columns that are named; JSON has them all.
const mostUnused = 20

func unused(columns []registry.UnusedColumn) []string {
	if len(columns) == 0 {
		return nil
	}
	var names []string
	for _, u := range columns[:min(len(columns), mostUnused)] {
		name := columnName(u.Column)
		if u.LooksLikeNumbers {
			name += " (looks like phone numbers)"
		}
		names = append(names, name)
	}
	if more := len(columns) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return []string{"not used: " + strings.Join(names, ", ")}
}

func columnNames(columns []string) string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = columnName(column)
	}
	return strings.Join(names, " and ")
}

// columnName is a column's title in quotes; its place where it has none.
func columnName(column string) string {
	if place, ok := strings.CutPrefix(column, "column "); ok {
		if _, err := strconv.Atoi(place); err == nil {
			return column
		}
	}
	return fmt.Sprintf("%q", column)
}
