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

// answers writes rows with what was found about them, and counts them.
type answers struct {
	app     *app
	out     *outFile
	line    *csvLine
	counts  map[client.Verdict]uint64
	tails   map[string]*tail // of the lot at hand, by finding.key
	last    *tail            // of the row before, if that is in the same lot
	key     []byte
	columns []string // those of the number
}

// tail is what a row is written with behind its columns, and how many rows are.
type tail struct {
	key     string
	verdict client.Verdict
	text    []byte
	rows    uint64
}

// maxTails bounds those of a lot in which hardly any two rows have the same.
const maxTails = 512

func (a *app) newAnswers(out *outFile, delim rune, columns []string) *answers {
	return &answers{app: a, out: out, line: newCSVLine(delim), columns: columns, counts: map[client.Verdict]uint64{}, tails: map[string]*tail{}}
}

// header writes the titles, if the file has them.
func (a *answers) header(titles []string) error {
	if titles == nil || a.app.output == "json" {
		return nil
	}
	_, err := a.out.Write(a.line.encode(append(titles[:len(titles):len(titles)], answerColumns...)...))
	return err
}

// write writes a lot that is answered.
func (a *answers) write(l *lot) error {
	isJSON := a.app.output == "json"
	for text, f := range l.findings() {
		var err error
		if isJSON {
			err = a.writeObject(text, &f)
		} else {
			err = a.writeRow(text, &f)
		}
		if err != nil {
			return err
		}
	}
	a.settle() // the next lot may have another revision
	return a.out.Flush()
}

// writeRow writes the row's own columns and three more.
func (a *answers) writeRow(columns []byte, f *finding) error {
	t := a.tail(f)
	t.rows++
	if _, err := a.out.Write(columns); err != nil {
		return err
	}
	_, err := a.out.Write(t.text)
	return err
}

// tail returns that of a finding, mostly the one before.
func (a *answers) tail(f *finding) *tail {
	a.key = f.key(a.key[:0])
	if a.last != nil && string(a.key) == a.last.key {
		return a.last
	}
	a.last = a.tails[string(a.key)]
	if a.last == nil {
		a.last = a.newTail(f)
	}
	return a.last
}

func (a *answers) newTail(f *finding) *tail {
	if len(a.tails) == maxTails {
		a.settle()
	}
	t := &tail{key: string(a.key), verdict: f.verdict}
	if f.verdict == invalid {
		t.text = append(t.text, a.line.encode("", string(invalid), a.say(f, f.reason), "")...)
	} else {
		r := f.result()
		t.text = append(t.text, a.line.encode("", string(r.Verdict), a.say(f, describeResult(r)), strconv.FormatUint(r.Revision, 10))...)
	}
	a.tails[t.key] = t
	return t
}

// say is a reason with whose it is, in a row of several numbers.
func (a *answers) say(f *finding, reason string) string {
	if len(a.columns) < 2 || reason == "" {
		return reason
	}
	return a.columns[f.column] + ": " + reason
}

// settle counts the rows that were written, and forgets the tails.
func (a *answers) settle() {
	for _, t := range a.tails {
		a.counts[t.verdict] += t.rows
	}
	clear(a.tails)
	a.last = nil
}

// writeObject writes a row as JSON. All there is of its own columns is what an invalid one has instead of a number.
func (a *answers) writeObject(typed []byte, f *finding) error {
	a.counts[f.verdict]++
	object := checkJSON{}
	if f.column < len(a.columns) { // a plain file has none
		object.Column = &a.columns[f.column]
	}
	if f.verdict == invalid {
		object.Number, object.Error = string(typed), &itemError{string(invalid), f.reason}
	} else {
		object.Result = f.result()
	}
	return a.app.printTo(a.out, object)
}

func (a *answers) summary() string {
	total, parts := uint64(0), []string{}
	for _, verdict := range []client.Verdict{client.Allow, client.Block, client.NotNow, client.Unknown, invalid} {
		if n := a.counts[verdict]; n > 0 {
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
func (a *answers) rows() (total uint64) {
	for _, n := range a.counts {
		total += n
	}
	return total
}

// strictest are the verdicts in the order in which they count for a row of several numbers.
var strictest = []client.Verdict{client.Block, invalid, client.Unknown, client.NotNow, client.Allow}

// isStricter reports whether a finding counts before another of the same row.
func (f *finding) isStricter(other *finding) bool {
	return slices.Index(strictest, f.verdict) < slices.Index(strictest, other.verdict)
}

// invalid is the verdict of a row without a valid number.
const invalid client.Verdict = "INVALID"

// finding is what was found about a row.
type finding struct {
	verdict client.Verdict
	reason  string // of an invalid row
	column  int    // its place among those of the number
	batch   *client.BatchResult
	number  phone.Number
	detail  *client.BatchDetail // nil: there is nothing more to tell
}

// explain takes over more about the number: that it is none, for one.
func (f *finding) explain(d *client.BatchDetail) {
	if d.Err != nil {
		f.verdict, f.reason = invalid, d.Err.Error()
		return
	}
	f.detail = d
}

// key appends what tells apart the findings of one batch that are written differently.
func (f *finding) key(to []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(f.column))
	to = append(append(to, f.verdict...), f.reason...)
	if f.detail == nil {
		return to
	}
	to = append(append(to, 0), f.detail.Cause...)
	to = binary.BigEndian.AppendUint64(append(to, 0), uint64(f.detail.OpensAt.Unix()))
	for _, place := range f.detail.Reasons {
		to = binary.BigEndian.AppendUint32(to, place)
	}
	return to
}

// result is what a check of the number alone would have returned.
func (f *finding) result() client.Result {
	r := client.Result{
		Number: f.number.E164(), Verdict: f.verdict, Reasons: []client.Reason{},
		Position: f.batch.Position, CheckedAt: f.batch.CheckedAt, PolicyVersion: f.batch.PolicyVersion,
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
