package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dncd/dncd/internal/registry"
)

// answerColumns are what `dnc check --file` adds to a row.
var answerColumns = []string{"verdict", "reason", "revision"}

// reasonWide is why a row is not checked: it is not certain which of its fields is the number.
const reasonWide = "more fields than the file has columns: quote a field that holds the delimiter"

// checkTitles refuses a file that already has a column of those that are added: readers of the output could not tell them apart.
func checkTitles(titles []string, output string, added []string) error {
	if output == "json" {
		return nil // the columns of the file are not written
	}
	for _, title := range titles {
		if slices.Contains(added, strings.ToLower(strings.TrimSpace(title))) {
			return withHint(fmt.Errorf("the file has a column %q already, which the answer would add", title),
				"rename or drop the column, or write the answers with -o json")
		}
	}
	return nil
}

// layout is how the columns of the file are written.
type layout struct {
	delim  byte
	width  int   // columns of the file: of its header, else of its first row that holds something
	number []int // the columns that hold the numbers
	json   bool  // only what an invalid row has instead of a number is written
	line   *csvLine
}

func newLayout(rows *registry.Rows, json bool) *layout {
	delim := rows.Delimiter()
	return &layout{delim: byte(delim), width: rows.Width(), number: rows.Columns(), json: json, line: newCSVLine(delim)}
}

// append appends a row's columns, as many as the file has, as encoding/csv writes
// them, without a line end. It may find why the row has no number after all.
func (w *layout) append(to []byte, row *registry.Row) []byte {
	if w.json {
		return w.appendTyped(to, row)
	}
	if text, ok := row.Text(); ok {
		if n := w.asRead(text); n > 0 && n <= w.width {
			to = append(to, text...)
			for ; n < w.width; n++ {
				to = append(to, w.delim)
			}
			return to
		}
	}
	return append(to, bytes.TrimSuffix(w.line.encode(w.fit(row)...), newline)...)
}

// appendTyped appends what an invalid row has where its number should be.
func (w *layout) appendTyped(to []byte, row *registry.Row) []byte {
	fields := w.fit(row)
	for _, cell := range row.Cells {
		if at := w.number[cell.Column]; cell.Reason != "" && at < len(fields) {
			return append(to, fields[at]...)
		}
	}
	return to
}

// asRead returns how many fields a text without quotes has, if encoding/csv writes
// every one of them as it is; else 0.
func (w *layout) asRead(text []byte) int {
	if bytes.IndexByte(text, '\r') >= 0 {
		return 0
	}
	for n := 1; ; n++ {
		if len(text) > 0 && text[0] != w.delim && isQuoted(text) {
			return 0
		}
		end := bytes.IndexByte(text, w.delim)
		if end < 0 {
			return n
		}
		text = text[end+1:]
	}
}

// isQuoted reports whether encoding/csv may write quotes around a field for how it begins.
func isQuoted(field []byte) bool {
	if first := field[0]; first < utf8.RuneSelf {
		return first <= ' ' || first == '\\'
	}
	first, _ := utf8.DecodeRune(field)
	return unicode.IsSpace(first)
}

// fit returns a row's fields, as many as the file has columns. Empty fields at the end
// of a wider row are dropped; other ones go into its last column, and it has no number then.
func (w *layout) fit(row *registry.Row) []string {
	fields := row.Fields()
	if w.width == 0 {
		w.width = len(fields)
	}
	for len(fields) > w.width && fields[len(fields)-1] == "" {
		fields = fields[:len(fields)-1]
	}
	if len(fields) > w.width {
		last := w.width - 1
		fields = append(fields[:last:last], strings.Join(fields[last:], string(w.delim)))
		row.Cells = append(row.Cells[:0], registry.Cell{Reason: reasonWide})
	}
	for len(fields) < w.width {
		fields = append(fields, "")
	}
	return fields
}

// csvLine encodes records one by one.
type csvLine struct {
	buf bytes.Buffer
	csv *csv.Writer
}

var newline = []byte("\n")

func newCSVLine(delim rune) *csvLine {
	l := new(csvLine)
	l.csv = csv.NewWriter(&l.buf)
	l.csv.Comma = delim
	return l
}

// encode returns a record as a line, valid until the next.
func (l *csvLine) encode(fields ...string) []byte {
	l.buf.Reset()
	_ = l.csv.Write(fields) // into memory, and package registry knows what may delimit
	l.csv.Flush()
	return l.buf.Bytes()
}
