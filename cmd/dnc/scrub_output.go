package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
)

// scrubOutput writes rows with their findings, and counts them.
type scrubOutput struct {
	app     *app
	out     *outFile
	line    *csvLine
	counts  map[client.Verdict]uint64
	tails   map[string]*tail // of the current batch, by finding.key
	last    *tail            // of the row before, if it is in the same batch
	key     []byte
	columns []string // of the number
	tables  string   // with which the rows were answered; empty: none was yet
}

// tail is what is written after the columns of a row, and the number of rows that have it.
type tail struct {
	key     string
	verdict client.Verdict
	text    []byte
	rows    uint64
}

// maxTails bounds the tails of a batch in which hardly any two rows have the same.
const maxTails = 512

func (a *app) newScrubOutput(out *outFile, delim rune, columns []string) *scrubOutput {
	return &scrubOutput{app: a, out: out, line: newCSVLine(delim), columns: columns, counts: map[client.Verdict]uint64{}, tails: map[string]*tail{}}
}

// header writes the titles, if the file has them.
func (o *scrubOutput) header(titles []string) error {
	if titles == nil || o.app.output == "json" {
		return nil
	}
	_, err := o.out.Write(o.line.encode(append(titles[:len(titles):len(titles)], answerColumns...)...))
	return err
}

// write writes a batch that was answered.
func (o *scrubOutput) write(b *rowBatch) error {
	isJSON := o.app.output == "json"
	if b.batch.TablesVersion != "" {
		o.tables = b.batch.TablesVersion
	}
	o.app.warnOfTables(b.batch.TablesDifference)
	for text, f := range b.findings() {
		var err error
		if isJSON {
			err = o.writeObject(text, &f)
		} else {
			err = o.writeRow(text, &f)
		}
		if err != nil {
			return err
		}
	}
	o.settle() // the next batch may have another revision
	return o.out.Flush()
}

// writeRow writes the row's own columns and three more.
func (o *scrubOutput) writeRow(columns []byte, f *finding) error {
	t := o.tail(f)
	t.rows++
	if _, err := o.out.Write(columns); err != nil {
		return err
	}
	_, err := o.out.Write(t.text)
	return err
}

// tail returns the tail of a finding, which mostly is that of the row before.
func (o *scrubOutput) tail(f *finding) *tail {
	o.key = f.key(o.key[:0])
	if o.last != nil && string(o.key) == o.last.key {
		return o.last
	}
	o.last = o.tails[string(o.key)]
	if o.last == nil {
		o.last = o.newTail(f)
	}
	return o.last
}

func (o *scrubOutput) newTail(f *finding) *tail {
	if len(o.tails) == maxTails {
		o.settle()
	}
	t := &tail{key: string(o.key), verdict: f.verdict}
	if f.verdict == invalid {
		t.text = append(t.text, o.line.encode("", string(invalid), o.say(f, f.reason), "")...)
	} else {
		r := f.result()
		t.text = append(t.text, o.line.encode("", string(r.Verdict), o.say(f, describeResult(r)), strconv.FormatUint(r.Revision, 10))...)
	}
	o.tails[t.key] = t
	return t
}

// say is a reason, with the column that it is about where a row has several numbers.
func (o *scrubOutput) say(f *finding, reason string) string {
	if len(o.columns) < 2 || reason == "" {
		return reason
	}
	return o.columns[f.column] + ": " + reason
}

// settle counts the rows that were written, and drops the tails.
func (o *scrubOutput) settle() {
	for _, t := range o.tails {
		o.counts[t.verdict] += t.rows
	}
	clear(o.tails)
	o.last = nil
}

// writeObject writes a row as JSON. Of the columns of the file it holds only what an invalid row has instead of a number.
func (o *scrubOutput) writeObject(typed []byte, f *finding) error {
	o.counts[f.verdict]++
	object := checkJSON{}
	if f.column < len(o.columns) { // a plain file has none
		object.Column = &o.columns[f.column]
	}
	if f.verdict == invalid {
		object.Number, object.Error = string(typed), &itemError{string(invalid), f.reason}
	} else {
		object.Result = f.result()
	}
	return o.app.printTo(o.out, object)
}

func (o *scrubOutput) summary() string {
	total, parts := uint64(0), []string{}
	for _, verdict := range []client.Verdict{client.Allow, client.Block, client.NotNow, client.Unknown, invalid} {
		if n := o.counts[verdict]; n > 0 {
			total += n
			parts = append(parts, fmt.Sprintf("%s %d", verdict, n))
		}
	}
	if total == 0 {
		return "0 rows"
	}
	return count(total, "row") + ": " + strings.Join(parts, ", ")
}

// rows is how many were answered.
func (o *scrubOutput) rows() (total uint64) {
	for _, n := range o.counts {
		total += n
	}
	return total
}

// strictest are the verdicts in their order of precedence for a row of several numbers.
var strictest = []client.Verdict{client.Block, invalid, client.Unknown, client.NotNow, client.Allow}

// isStricter reports whether a finding takes precedence over another of the same row.
func (f *finding) isStricter(other *finding) bool {
	return slices.Index(strictest, f.verdict) < slices.Index(strictest, other.verdict)
}

// invalid is the verdict of a row without a valid number.
const invalid client.Verdict = "INVALID"

// finding is what was found about a row.
type finding struct {
	verdict client.Verdict
	reason  string // of an invalid row
	column  int    // its index among the columns of the number
	batch   *client.BatchResult
	number  phone.Number
	detail  *client.BatchDetail // nil: there are no details
}

// explain adds the details of the number, such as the error of one that is not valid.
func (f *finding) explain(d *client.BatchDetail) {
	if d.Err != nil {
		f.verdict, f.reason = invalid, d.Err.Error()
		return
	}
	f.detail = d
}

// key appends a key that differs for findings of one batch that are written differently.
func (f *finding) key(to []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(f.column))
	to = append(append(to, f.verdict...), f.reason...)
	if f.detail == nil {
		return to
	}
	to = append(append(to, 0), f.detail.Cause...)
	to = binary.BigEndian.AppendUint64(append(to, 0), uint64(f.detail.OpensAt.Unix()))
	to = binary.BigEndian.AppendUint64(to, uint64(f.detail.ValidUntil.Unix()))
	for _, place := range f.detail.Reasons {
		to = binary.BigEndian.AppendUint32(to, place)
	}
	return to
}

// result is what a check of only this number would have returned.
func (f *finding) result() client.Result {
	r := client.Result{
		Number: f.number.E164(), Verdict: f.verdict, Reasons: []client.Reason{},
		Position: f.batch.Position, CheckedAt: f.batch.CheckedAt, PolicyVersion: f.batch.PolicyVersion, ClockAhead: f.batch.ClockAhead,
		TablesVersion: f.batch.TablesVersion, TablesDifference: f.batch.TablesDifference,
	}
	if f.detail == nil {
		return r
	}
	r.Cause, r.ValidUntil, r.OpensAt = f.detail.Cause, f.detail.ValidUntil, f.detail.OpensAt
	for _, place := range f.detail.Reasons {
		r.Reasons = append(r.Reasons, f.batch.Reasons[place])
	}
	return r
}
