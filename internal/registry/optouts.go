package registry

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/phone"
)

// Record is one row of a file of opt-outs. A field at its zero value is not set:
// the file has no column for it, or the row's cell is empty.
type Record struct {
	File   string // as in Reject
	Source int
	Line   int64
	Number phone.Number // always set

	Scope       string
	Channel     Channel
	ChannelText string // the channel as the file has it
	Desk        string
	ReceivedAt  time.Time
	Evidence    string
	Note        string // may have several lines
	ExpiresAt   time.Time

	Consent ConsentCells // of a file of consents; ReceivedAt is then when it was obtained

	// Remarks say what else the row holds that could not be read: without it, the row counts all the same.
	Remarks []string

	Text string // the row as the file has it, when RecordOptions.KeepText; as in Reject
}

// RecordOptions says how to read files of opt-outs.
type RecordOptions struct {
	// Columns name the column of a field: by its title (any case, with or without
	// accents) or its place from 1; "-" for none. The number may have several, separated
	// by commas: each is an opt-out. A field that is not here has the
	// column whose title says so in English or French. Others are ignored.
	Columns map[RecordField]string
	// Region for national numbers. Zero: numbers must be international.
	Region phone.Region
	// DateOrder says whether 9/10/2026 is in October (DayFirst) or in September
	// (MonthFirst). With any other order such a date cannot be read.
	DateOrder DateOrder
	// Location of times without an offset. A date without a time is its midnight there. Nil: UTC.
	Location *time.Location
	// Delimiter of the csv. Zero: found in the first line.
	Delimiter rune
	// KeepText sets Record.Text.
	KeepText bool
	// Consents: the rows are consents. A row that cannot be read in full is a reject.
	Consents bool
	// NeedScope: of consents, a row without a scope is a reject too.
	NeedScope bool
	// OnReject is called for each reject, in order, by the goroutine that calls
	// Next. May be nil.
	OnReject func(Reject)

	seen *datesSeen // the files are read only for their dates
}

// Records yields the rows of files of opt-outs, csv or one JSON object a line, one file after the
// other. Each file has columns, or keys, of its own.
type Records struct {
	reader *Reader
}

// OpenRecords prepares to read the files at paths, which may be what Open takes.
// Close the Records.
func OpenRecords(paths []string, opts RecordOptions) (*Records, error) {
	for field := range opts.Columns {
		if !opts.isField(field) {
			return nil, fmt.Errorf("unknown field %q: use %s", string(field), RecordFieldNames(opts.Consents))
		}
	}
	if opts.Location == nil {
		opts.Location = time.UTC
	}
	r, err := open(paths, Options{
		Format: CSV, Column: opts.Columns[FieldNumber], Region: opts.Region, Delimiter: opts.Delimiter, OnReject: opts.OnReject,
		taken: opts.taken(),
	})
	if err != nil {
		return nil, err
	}
	for i := range r.sources {
		r.sources[i].Format = CSV
	}
	r.format = format{name: CSV, open: func(in content) (decoder, error) {
		if startsObject(in.lines) {
			r.sources[r.at].Format = JSONL
		}
		return openRecords(in, opts)
	}}
	return &Records{reader: r}, nil
}

// taken are the columns that were named for other fields than the number.
func (o *RecordOptions) taken() []string {
	var list []string
	for field, column := range o.Columns {
		if field != FieldNumber && column != "-" {
			list = append(list, column)
		}
	}
	return list
}

// Choices says how the columns of the files were read, as far as they were read.
func (r *Records) Choices() []Choice { return r.reader.Choices() }

// Next fills batch with rows and returns how many. It returns fewer than fit
// only at the end, then 0 and io.EOF. Any other error means that a file could
// not be read whole.
func (r *Records) Next(batch []Record) (int, error) {
	in := r.reader
	n := 0
	for n < len(batch) && in.ready() {
		got, err := in.decoder.(recordDecoder).fill(batch[n:])
		for i := range batch[n : n+got] {
			batch[n+i].File, batch[n+i].Source = in.sources[in.at].Name, in.at
		}
		n += got
		in.took(got, err)
	}
	if in.err != nil && (in.err != io.EOF || n == 0) {
		return 0, in.err
	}
	return n, nil
}

// Totals counts what was read so far.
func (r *Records) Totals() Totals { return r.reader.Totals() }

// CutFiles counts the files read so far that end inside a row.
func (r *Records) CutFiles() int { return r.reader.CutFiles() }

// Sources returns the files in the order in which they are read.
func (r *Records) Sources() []Source { return r.reader.Sources() }

// BytesRead is how much was read from disk, of TotalBytes. Like TotalBytes it
// may be called by other goroutines.
func (r *Records) BytesRead() int64 { return r.reader.BytesRead() }

// TotalBytes is the size of the files on disk; 0 when one has no size.
func (r *Records) TotalBytes() int64 { return r.reader.TotalBytes() }

// Close ends the reading, wherever it is.
func (r *Records) Close() error { return r.reader.Close() }

var (
	// errNothing: a failed export leaves such a file behind. A csv without opt-outs has at least a header. A jsonl
	// without any looks the same as a failed export.
	errNothing = errors.New("the file is empty, without even a header: export it again, or leave it out")
	// errNoColumn: what failed may leave its error message behind instead.
	errNoColumn = errors.New("no column holds a number: export the file again, or leave it out, or use --column, " +
		"and --delimiter if its columns are not divided by " + delimiterNames + "; the titles must be its first line")
	// errNoNumber: the column may be another one.
	errNoNumber = errors.New("no row holds a number: use --column if another column does, or leave the file out")
)

// recordTable is csv whose columns are known.
type recordTable struct {
	*table
	opts     RecordOptions
	at       recordColumns
	cells    []string // of the record at hand
	fields   Record   // of the record at hand, without its number
	dates    dates
	some     bool   // a number was found
	why      string // the reason of the first reject
	before   Totals // of the files before
	channels channelMemory
}

// recordDecoder is a decoder of opt-outs.
type recordDecoder interface {
	decoder
	// fill is next for records.
	fill(batch []Record) (int, error)
}

func openRecords(in content, opts RecordOptions) (decoder, error) {
	if startsObject(in.lines) {
		return openRecordObjects(in, opts), nil
	}
	r := &recordTable{opts: opts, channels: channelMemory{}, before: *in.account, dates: newDates(in, &opts)}
	reject := in.reject
	in.reject = func(line int64, reason string, text []byte) {
		r.why = cmp.Or(r.why, reason)
		reject(line, reason, text)
	}
	t, err := openTable(in)
	if err != nil {
		return nil, err
	}
	if t.header == nil && t.first == nil {
		return nil, errNothing
	}
	r.table = t
	r.at, err = findRecordColumns(t, &opts)
	return r, err
}

// choice implements chooser.
func (t *recordTable) choice() Choice {
	c := t.choose(t.at.list(&t.opts))
	c.DateOrder = t.dates.order
	return c
}

func (t *recordTable) fill(batch []Record) (int, error) {
	return fill(batch, t.one)
}

func (t *recordTable) one() (Record, error) {
	if len(t.left) == 0 {
		if err := t.advance(); err != nil {
			return Record{}, err
		}
	}
	number, err := t.cell()
	if err != nil {
		return Record{}, err
	}
	t.some = true
	row := t.fields
	row.Number = number
	return row, nil
}

// advance begins the next record and reads its fields.
func (t *recordTable) advance() error {
	rec, err := t.record()
	if err == io.EOF {
		return t.end()
	}
	if err != nil {
		return err
	}
	t.divide(&rec)
	fields, reason, err := t.row(&rec)
	if err != nil {
		return err
	}
	if t.opts.Consents && reason == "" {
		reason = t.consent(&fields)
	}
	if reason != "" {
		t.reject(rec.line, reason, rec.text)
		return errRejected
	}
	t.take(rec)
	t.fields = fields
	t.fields.Line = rec.line
	if t.opts.KeepText {
		t.fields.Text = string(rec.text)
	}
	return nil
}

// end returns io.EOF after the last record, or says that none had a number.
func (t *recordTable) end() error {
	isGuessed := t.header != nil && !t.isKnown()
	switch now := *t.account; {
	case t.some:
		return io.EOF
	case isGuessed && t.why != "":
		return fmt.Errorf("%w (of the first row: %s)", errNoColumn, t.why)
	case isGuessed:
		return errNoColumn
	case now.Rejects > t.before.Rejects:
		return io.EOF
	case now.Empty > t.before.Empty:
		return errNoNumber
	case !t.isKnown():
		return errNoColumn
	}
	return io.EOF
}

// divide sets the cells to those of a record.
func (t *recordTable) divide(rec *entry) {
	if rec.fields != nil {
		t.cells = append(t.cells[:0], rec.fields...)
		return
	}
	t.cells = t.cells[:0]
	rest, delim := string(rec.bare), rec.delim
	for {
		end := strings.IndexByte(rest, delim)
		if end < 0 {
			break
		}
		t.cells = append(t.cells, rest[:end])
		rest = rest[end+1:]
	}
	t.cells = append(t.cells, rest)
}

// text returns a cell without outer spaces, "" for none.
func (t *recordTable) text(i int) string {
	if i < 0 || i >= len(t.cells) {
		return ""
	}
	return strings.TrimSpace(t.cells[i])
}

// row reads all cells but the number, or returns the reason why the record is none.
func (t *recordTable) row(rec *entry) (row Record, reason string, err error) {
	switch {
	case t.shifted(rec):
		row.Remarks = []string{ReasonShiftedRow}
		return row, "", nil
	case rec.open && len(t.cells) < len(t.header):
		return row, ReasonCut, nil // the cell that is there last may be the beginning of one
	}
	row.Scope = t.text(t.at.scope)
	row.Desk = t.text(t.at.desk)
	row.Evidence = t.text(t.at.evidence)
	row.Note = t.text(t.at.note)
	row.ChannelText = t.text(t.at.channel)
	row.Channel = t.channels.of(row.ChannelText)
	if row.ReceivedAt, reason, err = t.date(t.opts.received(), t.at.receivedAt, rec, &row); reason != "" || err != nil {
		return row, reason, err
	}
	row.ExpiresAt, reason, err = t.date(FieldExpiresAt, t.at.expiresAt, rec, &row)
	return row, reason, err
}

// date reads a date. One that cannot be read is none, and a remark of the row; the reason is why the record is none.
func (t *recordTable) date(field RecordField, column int, rec *entry, row *Record) (time.Time, string, error) {
	text := t.text(column)
	if text == "" {
		return time.Time{}, "", nil
	}
	when, reason, err := t.dates.parse(text)
	if rec.cut && column == len(t.cells)-1 && (reason != "" || len(text) < len("2026-09-09")) {
		return time.Time{}, ReasonCut, nil
	}
	if reason != "" {
		row.remark(field, reason)
	}
	return when, "", err
}

// remark notes that a field cannot be read.
func (r *Record) remark(field RecordField, reason string) {
	r.Remarks = append(r.Remarks, string(field)+": "+reason)
}
