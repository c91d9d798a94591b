package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/dncd/dncd/internal/phone"
)

// table is csv whose number column is known.
type table struct {
	content
	split  splitter
	column int
	header []string // nil: the file has none
	above  []entry  // records of delimiters alone before the first, when it is not a header
	first  *entry   // the first record, when it is not a header
}

func openCSV(in content) (decoder, error) { return openTable(in) }

func openTable(in content) (*table, error) {
	t := &table{content: in, split: splitter{lines: in.lines, reject: in.reject, hollow: in.opts.hollow}}
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
	titles := first.all()
	column, header, err := findColumn(titles, in.opts.Column)
	if err != nil {
		return nil, err
	}
	t.column = column
	if header {
		t.header, t.above = titles, nil
		return t, nil
	}
	t.first = &first
	return t, nil
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

// findDelimiter sets the delimiter: the one asked for, or by the first line
// that is not blank.
func (t *table) findDelimiter() error {
	if t.opts.Delimiter != 0 {
		delim, err := checkDelimiter(t.opts.Delimiter)
		t.split.delim = delim
		return err
	}
	line, err := t.lines.filled()
	if err == nil && len(line) == 5 && bytes.HasPrefix(bytes.ToLower(line), []byte("sep=")) {
		t.split.delim, err = checkDelimiter(rune(line[4])) // as Excel says it
		return err
	}
	long := errors.Is(err, errLongLine)
	if err == nil || long {
		t.split.delim = findDelimiter(line)
		t.split.again = []textLine{{t.lines.number, line, t.lines.cut, long}}
		return nil
	}
	if err == io.EOF {
		t.split.delim = ','
		return nil
	}
	return err
}

func (t *table) next(batch []phone.Number) (int, error) {
	return fill(batch, t.one)
}

func (t *table) one() (phone.Number, error) {
	rec, err := t.record()
	if err != nil {
		return 0, err
	}
	number, reason := t.listed(&rec)
	if reason != "" {
		t.reject(rec.line, reason, rec.text)
		return 0, errRejected
	}
	return number, nil
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

// listed is value for a record whose cells must be those of their titles.
func (t *table) listed(rec *entry) (phone.Number, string) {
	if t.shifted(rec) {
		return 0, ReasonShifted
	}
	return t.value(rec)
}

// shifted reports whether a record has more cells than there are columns, as when
// a delimiter within a text was not quoted: the cells are then not those of
// their titles.
func (t *table) shifted(rec *entry) bool {
	return t.header != nil && rec.filledFrom(len(t.header))
}

// value returns a record's number, or the reason why it has none.
func (t *table) value(rec *entry) (phone.Number, string) {
	field, ok := rec.column(t.column)
	cut := rec.cut && rec.last(t.column)
	switch {
	case !ok && rec.cut:
		return 0, ReasonCut
	case !ok:
		return 0, ReasonColumns
	}
	return parseValue(field, t.opts.Region, cut)
}
