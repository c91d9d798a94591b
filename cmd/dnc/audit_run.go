package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/registry"
)

// A part of a file is that many rows, or that many bytes of text that is written again. It bounds the memory.
const (
	partRows  = 500_000
	partBytes = 64 << 20
)

// auditRun is one pass over a file of calls. It reads a part, asks about its calls in order of time, and writes its rows in their own
// order.
type auditRun struct {
	client *client.Client
	calls  *registry.Calls
	flags  auditFlags
	counts *callCounts

	layout *layout
	out    *outFile // nil: rows are not written
	line   *csvLine // of it

	rows    []callRow
	byTime  []int32           // the rows that are calls
	text    []byte            // of the rows, as they are written
	scopes  map[string]string // each once
	answers []byte            // what is added to rows

	done atomic.Int64 // bytes of the file whose calls were answered
}

// callRow is a row of a file.
type callRow struct {
	number  phone.Number
	time    time.Time
	scope   string
	invalid string // why it is no call
	text    int    // where it ends in the text
	answer  [2]int // where its answer is
}

func (r *auditRun) writeTo(out *outFile) {
	r.out, r.line = out, newCSVLine(r.calls.Delimiter())
}

// progress is how much of the file was answered. Reading it takes little of the time.
func (r *auditRun) progress() progressState {
	return progressState{what: "auditing", done: r.done.Load(), total: r.calls.TotalBytes(), isBytes: true}
}

// all audits the whole file.
func (r *auditRun) all(ctx context.Context) error {
	if err := r.header(); err != nil {
		return err
	}
	for more := true; more; {
		err := r.read(ctx)
		if more = err == nil; !more && !errors.Is(err, io.EOF) {
			return err
		}
		if err := r.ask(ctx); err != nil {
			return stoppedAudit(ctx, err)
		}
		if err := r.write(); err != nil {
			return err
		}
	}
	return nil
}

// stoppedAudit says what to do when an audit ended early.
func stoppedAudit(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = fmt.Errorf("stopped before the end of the file: %w", ctx.Err())
	}
	switch {
	case ctx.Err() != nil:
		return withHint(err, "run it again: an audit changes nothing on the server")
	case errors.Is(err, client.ErrUnavailable):
		return withHint(err, "run it again when the server in --addr is reachable: an audit changes nothing on it")
	}
	return err
}

func (r *auditRun) header() error {
	if r.out == nil || r.calls.Header() == nil {
		return nil
	}
	_, err := r.out.Write(r.line.encode(append(slices.Clone(r.calls.Header()), callColumns...)...))
	return err
}

// read reads a part of the file; io.EOF with the last.
func (r *auditRun) read(ctx context.Context) error {
	r.rows, r.byTime, r.text, r.answers, r.scopes = r.rows[:0], r.byTime[:0], r.text[:0], r.answers[:0], map[string]string{}
	for len(r.rows) < partRows && len(r.text) < partBytes {
		if err := ctx.Err(); err != nil {
			return stoppedAudit(ctx, err)
		}
		row, err := r.calls.Next()
		if err != nil {
			return err
		}
		r.add(&row)
	}
	return nil
}

func (r *auditRun) add(row *registry.Row) {
	text := r.layout.append(r.text, row) // may find that it is no call after all
	if r.out != nil {
		r.text = text
	}
	cell := row.Cells[0]
	c := callRow{number: cell.Number, invalid: cell.Reason, text: len(r.text)}
	at, scope, reason := r.calls.Call(row)
	c.time, c.scope, c.invalid = at, r.scopeOf(scope), cmp.Or(c.invalid, reason)
	if c.invalid == "" {
		r.byTime = append(r.byTime, int32(len(r.rows)))
	}
	r.rows = append(r.rows, c)
}

// scopeOf is the scope of a row as the server keeps it, once for all rows.
func (r *auditRun) scopeOf(typed string) string {
	scope := cmp.Or(typed, r.flags.scope)
	if kept, ok := r.scopes[scope]; ok {
		return kept
	}
	kept := stored(scope)
	r.scopes[scope] = kept
	return kept
}

// inOrder yields the calls of the part in order of time.
func (r *auditRun) inOrder() iter.Seq[client.Call] {
	slices.SortStableFunc(r.byTime, func(a, b int32) int { return r.rows[a].time.Compare(r.rows[b].time) })
	return func(yield func(client.Call) bool) {
		for _, i := range r.byTime {
			row := &r.rows[i]
			if !yield(client.Call{Number: uint64(row.number), Time: row.time, Scope: row.scope, Purpose: client.Purpose(r.flags.purpose)}) {
				return
			}
		}
	}
}

// ask asks about the calls of the part.
func (r *auditRun) ask(ctx context.Context) error {
	asked, from, part := 0, r.done.Load(), r.calls.BytesRead()-r.done.Load()
	for answer, err := range r.client.Audit(ctx, r.inOrder(), client.AuditOptions{Subscriber: r.flags.subscriber}) {
		if err != nil {
			return err
		}
		row := &r.rows[r.byTime[asked]]
		asked++
		r.done.Store(from + part*int64(asked)/int64(len(r.byTime)))
		f := findingOf(&answer, r.flags.subscriber != "")
		if err := r.counts.add(r.day(row.time), row.scope, f.key()); err != nil {
			return err
		}
		if r.out != nil {
			row.answer = r.keep(f.columns(&answer)...)
		}
	}
	if asked != len(r.byTime) {
		return errors.New("the server answered fewer calls than the file has: run it again")
	}
	r.done.Store(from + part) // also of a part without a call
	return nil
}

// day is the day of a call, by the clock of the file.
func (r *auditRun) day(t time.Time) string {
	if r.calls.Location() != nil {
		t = t.In(r.calls.Location())
	}
	return t.Format(time.DateOnly)
}

// keep keeps what is added to a row, and returns where.
func (r *auditRun) keep(columns ...string) [2]int {
	from := len(r.answers)
	r.answers = append(r.answers, r.line.encode(append([]string{""}, columns...)...)...)
	return [2]int{from, len(r.answers)}
}

// write counts the rows that are no calls, and writes all of the part.
func (r *auditRun) write() error {
	start := 0
	for i := range r.rows {
		row := &r.rows[i]
		if row.invalid != "" {
			if err := r.counts.add("", row.scope, findingKey{verdict: invalid, reason: row.invalid}); err != nil {
				return err
			}
		}
		if r.out == nil {
			continue
		}
		if row.invalid != "" {
			row.answer = r.keep(invalidColumns(row.invalid)...)
		}
		if _, err := r.out.Write(r.text[start:row.text]); err != nil {
			return err
		}
		if _, err := r.out.Write(r.answers[row.answer[0]:row.answer[1]]); err != nil {
			return err
		}
		start = row.text
	}
	return nil
}
