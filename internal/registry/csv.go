package registry

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/dncd/dncd/internal/phone"
)

// table is csv whose number columns are known.
type table struct {
	content
	split   splitter
	numbers []int    // the columns that hold numbers
	looks   []look   // of the columns
	titles  []string // of the columns: the header, else the first record
	header  []string // nil: the file has none
	above   []entry  // records of nothing but delimiters before the first, when it is not a header
	first   *entry   // the first record, when it is not a header

	row  entry // the record at hand
	left []int // its columns of numbers that are still to be read
}

func openCSV(in content) (decoder, error) { return openTable(in) }

func openTable(in content) (*table, error) {
	t := &table{content: in, split: splitter{lines: in.lines, reject: in.reject, hollow: in.opts.hollow}}
	if err := in.lines.refuseOther(); err != nil {
		return nil, err
	}
	if err := t.findDelimiter(); err != nil {
		return nil, err
	}
	first, err := t.top()
	if err == io.EOF {
		return t, nil // an empty file has no numbers
	}
	if errors.Is(err, errRejected) {
		return nil, errors.New("the first line is not csv: its quotes do not match, or it is too long")
	}
	if err != nil {
		return nil, err
	}
	t.titles = first.all()
	t.looks = looksOf(t.ahead(), len(t.titles), in.opts.Region)
	for _, name := range in.opts.taken {
		if column, _, err := findColumn(t.titles, name); err == nil {
			t.looks[column] = taken
		}
	}
	found, err := findColumns(t.titles, in.opts.Column, t.looks)
	if err != nil {
		return nil, err
	}
	t.numbers = found.at
	if found.header {
		t.header, t.above = t.titles, nil
		return t, nil
	}
	t.first = &first
	return t, nil
}

// ahead returns the fields of records that are at hand, without reading them.
func (t *table) ahead() [][]string {
	if len(t.titles) == 1 {
		return nil // there is nothing to choose
	}
	in := t.content
	in.lines, in.reject = newLines(bytes.NewReader(bytes.Clone(t.lines.window()))), func(int64, string, []byte) {}
	next := &table{content: in, split: splitter{lines: in.lines, delim: t.split.delim, reject: in.reject}}
	return next.sample(lookRecords)
}

// maxAbove bounds the records that are kept above the first that holds something.
const maxAbove = 10_000

// top returns the first record that holds something, and keeps those above it.
func (t *table) top() (entry, error) {
	for {
		first, err := t.split.next()
		if err != nil || !t.split.empty(first.text) {
			return first, err
		}
		if len(t.above) == maxAbove {
			return entry{}, fmt.Errorf("the first %d rows hold nothing", maxAbove)
		}
		text := bytes.Clone(first.text)
		first.text, first.bare = text, text
		t.above = append(t.above, first)
	}
}

// findDelimiter sets the delimiter: the one asked for, else the one that the first line names, as Excel does, or shows.
func (t *table) findDelimiter() error {
	line, err := t.lines.filled()
	long := errors.Is(err, errLongLine)
	if err != nil && err != io.EOF && !long {
		return err
	}
	asked := t.opts.Delimiter
	if len(line) == 5 && bytes.HasPrefix(bytes.ToLower(line), []byte("sep=")) {
		asked = cmp.Or(asked, rune(line[4]))
	} else if err != io.EOF {
		t.split.again = []textLine{{t.lines.number, line, t.lines.cut, long}}
	}
	if asked == 0 {
		t.split.delim = findDelimiter(line)
		return nil
	}
	t.split.delim, err = checkDelimiter(asked)
	return err
}

func (t *table) next(batch []phone.Number) (int, error) {
	return fill(batch, t.one)
}

func (t *table) one() (phone.Number, error) {
	if len(t.left) == 0 {
		rec, err := t.record()
		if err != nil {
			return 0, err
		}
		if t.shifted(&rec) {
			t.reject(rec.line, ReasonShifted, rec.text)
			return 0, errRejected
		}
		t.take(rec)
	}
	return t.cell()
}

// take begins a record: cell reads its numbers one by one.
func (t *table) take(rec entry) {
	t.row, t.left = rec, t.numbers
}

// cell returns the next number of the record at hand. Its error is errRejected for a cell without one.
func (t *table) cell() (phone.Number, error) {
	column := t.left[0]
	t.left = t.left[1:]
	if len(t.left) > 0 {
		t.account.beside++ // the record's last cell stands for it
	}
	number, reason := t.value(&t.row, column)
	switch reason {
	case "":
		return number, nil
	case ReasonEmpty:
		t.account.Empty++
	default:
		t.reject(t.row.line, reason, t.row.text)
	}
	return 0, errRejected
}

func (t *table) record() (entry, error) {
	if len(t.above) > 0 {
		first := t.above[0]
		t.above = t.above[1:]
		return first, nil
	}
	if t.first != nil {
		first := *t.first
		t.first = nil
		return first, nil
	}
	return t.split.next()
}

// shifted reports whether a record has more cells than there are columns, as when
// a delimiter within a text was not quoted: the cells are then not those of
// their titles.
func (t *table) shifted(rec *entry) bool {
	return t.header != nil && rec.filledFrom(len(t.header))
}

// value returns the number in a column of a record, or the reason why there is none: ReasonEmpty when nothing is there.
func (t *table) value(rec *entry, column int) (phone.Number, string) {
	field, ok := rec.column(column)
	cut := rec.cut && rec.last(column)
	switch {
	case !ok && rec.cut:
		return 0, ReasonCut
	case !ok && t.holdsOther(rec):
		return 0, ReasonEmpty
	case !ok:
		return 0, ReasonColumns
	}
	number, reason := parseValue(field, t.opts.Region, cut)
	if reason != "" && isVoid(field) && !cut {
		reason = ReasonEmpty
	}
	return number, reason
}

// isKnown reports whether the columns of the number are sure to be that, without a row to show it: the header names
// them, or the user did.
func (t *table) isKnown() bool {
	return t.header != nil && (t.opts.Column != "" || obvious(t.titles[t.numbers[0]]))
}

// holdsOther reports whether a record that ends early has another of the columns of numbers.
func (t *table) holdsOther(rec *entry) bool {
	_, ok := rec.column(slices.Min(t.numbers))
	return ok
}

// isVoid reports whether a cell says that there is nothing, as databases and spreadsheets write it.
func isVoid(field []byte) bool {
	switch string(bytes.ToLower(bytes.TrimSpace(field))) {
	case "", "null", `\n`, "n/a", "nan", "-":
		return true
	}
	return false
}
