package registry

import (
	"errors"
	"fmt"
	"io"

	"github.com/dncd/dncd/internal/phone"
)

// Rows reads one csv or plain file in order, with its columns: for work that
// gives each row an answer, such as scrubbing a file of leads.
type Rows struct {
	reader *Reader
	table  *table
	plain  *plain
	broken Row // the record rejected last
	cells  []Cell
}

// Row is one record, valid until the next is read.
type Row struct {
	Line int64
	// Cells are what could be its numbers: one for each of Rows.Columns, except empty ones beside others.
	Cells []Cell

	record entry
}

// Cell is what could be a number. Number is 0 when Reason says why it is none.
type Cell struct {
	Column int // its place among Rows.Columns
	Number phone.Number
	Reason string
}

// Fields returns all columns, copied; of a record that cannot be split, its text.
func (r *Row) Fields() []string { return r.record.all() }

// Text returns the fields, in UTF-8 and without quotes, with the delimiter between them.
// Not of a record with a field that holds a delimiter, a quote or a line end.
func (r *Row) Text() (text []byte, ok bool) { return r.record.bare, r.record.fields == nil }

// OpenRows opens the file at path, "-" for standard input; a zip may hold one
// file. The options are those of Open, OnReject is not used. Close the Rows.
func OpenRows(path string, opts Options) (*Rows, error) {
	if opts.Format != CSV && opts.Format != Plain {
		return nil, fmt.Errorf("rows are read from %s and %s, not from %q", CSV, Plain, string(opts.Format))
	}
	opts.hollow = true // each row gets an answer, so that the place of a row identifies it
	rows := &Rows{}
	r, err := Open([]string{path}, opts)
	if err != nil {
		return nil, err
	}
	if len(r.sources) > 1 {
		return nil, fmt.Errorf("%s holds more than one file", path)
	}
	if err := r.begin(); err != nil {
		r.Close()
		return nil, err
	}
	rows.reader = r
	rows.table, _ = r.decoder.(*table)
	rows.plain, _ = r.decoder.(*plain)
	if rows.table != nil {
		rows.table.split.reject = rows.keep
	}
	return rows, nil
}

// Header returns the titles of the columns, nil when the file has none.
func (r *Rows) Header() []string {
	if r.table == nil {
		return nil
	}
	return r.table.header
}

// Width is how many columns the header has, else the first row that holds something; 0 without either.
func (r *Rows) Width() int {
	switch {
	case r.table == nil:
		return 1
	case r.table.header == nil && r.table.first != nil:
		return len(r.table.first.all())
	}
	return len(r.table.header)
}

// Columns are the indexes, from 0, of the fields that hold the numbers.
func (r *Rows) Columns() []int {
	if r.table == nil {
		return []int{0}
	}
	return r.table.numbers
}

// IsKnown reports whether it is sure that a column holds numbers, even without a row to show it.
func (r *Rows) IsKnown() bool { return r.table == nil || r.table.isKnown() }

// Choice is how the columns are taken; of a plain file there is nothing to choose.
func (r *Rows) Choice() Choice {
	if r.table == nil {
		return Choice{File: r.reader.sources[0].Name}
	}
	return r.reader.choiceOf(r.table)
}

// Delimiter is the one of a csv, a comma for a plain file.
func (r *Rows) Delimiter() rune {
	if r.table == nil {
		return ','
	}
	return rune(r.table.split.delim)
}

// BytesRead and TotalBytes are those of a Reader.
func (r *Rows) BytesRead() int64 { return r.reader.BytesRead() }

// TotalBytes is the size of the file on disk; 0 when it has none.
func (r *Rows) TotalBytes() int64 { return r.reader.TotalBytes() }

// Close ends the reading.
func (r *Rows) Close() error { return r.reader.Close() }

// Next returns the next row that is not blank, including rows of nothing but delimiters, and io.EOF after the last. Any
// other error means that the file could not be read to its end.
func (r *Rows) Next() (Row, error) {
	next := r.line
	if r.table != nil {
		next = r.tableRow
	}
	row, err := next()
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read %s: %w", r.reader.sources[0].Name, damaged(err))
	}
	return row, err
}

func (r *Rows) tableRow() (Row, error) {
	rec, err := r.table.record()
	if errors.Is(err, errRejected) {
		return r.broken, nil
	}
	if err != nil {
		return Row{}, err
	}
	r.cells = r.cells[:0]
	for place, column := range r.table.numbers {
		number, reason := r.table.value(&rec, column)
		if reason != ReasonEmpty {
			r.cells = append(r.cells, Cell{place, number, reason})
		}
	}
	if len(r.cells) == 0 {
		r.cells = append(r.cells, Cell{Reason: ReasonEmpty})
	}
	return Row{Line: rec.line, Cells: r.cells, record: rec}, nil
}

// keep makes a row of what the splitter rejects.
func (r *Rows) keep(line int64, reason string, text []byte) {
	r.broken = Row{Line: line, Cells: []Cell{{Reason: reason}}, record: entry{fields: []string{string(text)}}}
}

func (r *Rows) line() (Row, error) {
	d := r.plain
	line, err := d.lines.filled()
	if err != nil && !errors.Is(err, errLongLine) {
		return Row{}, err
	}
	cell := Cell{Reason: ReasonTooLong}
	if err == nil {
		cell.Number, cell.Reason = parseValue(line, d.opts.Region, d.lines.cut)
	}
	r.cells = append(r.cells[:0], cell)
	return Row{Line: d.lines.number, Cells: r.cells, record: entry{fields: []string{string(line)}}}, nil
}
