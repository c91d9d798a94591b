package main

import (
	"context"
	"iter"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/registry"
)

// A lot is full at so many rows, or at so many bytes of text: a row may have 64 KiB.
// The numbers of so many rows take less than 32 KiB; a message of more comes out of
// gRPC's pool of 1 MiB buffers, which it clears each time.
const (
	lotRows  = 4000
	lotBytes = 512 << 10
)

// lot is rows that follow each other, whose numbers are checked in one call.
type lot struct {
	text    []byte        // the rows as they are written, but for what is found
	ends    []int         // of each row, in text
	cells   []int         // of each row, as a place behind its last cell
	columns []int         // of each cell, by its place among those of the number
	numbers []uint64      // E.164 digits of the cells that have a number, in order
	invalid []invalidCell // the other cells, in order

	done  chan struct{} // closed once the rest is set
	batch client.BatchResult
	err   error
}

// invalidCell is a cell without a valid number.
type invalidCell struct {
	cell   int // its place in the lot
	reason string
}

// fill reads the next rows. The error is that of reading: io.EOF at the end of the file.
func (l *lot) fill(rows *registry.Rows, how *layout) error {
	l.text, l.ends, l.numbers, l.invalid = l.text[:0], l.ends[:0], l.numbers[:0], l.invalid[:0]
	l.cells, l.columns = l.cells[:0], l.columns[:0]
	l.done, l.batch, l.err = make(chan struct{}), client.BatchResult{}, nil
	for len(l.columns) < lotRows && len(l.text) < lotBytes {
		row, err := rows.Next()
		if err != nil {
			return err
		}
		l.text = how.append(l.text, &row)
		for _, cell := range row.Cells {
			if cell.Reason == "" {
				l.numbers = append(l.numbers, uint64(cell.Number))
			} else {
				l.invalid = append(l.invalid, invalidCell{len(l.columns), cell.Reason})
			}
			l.columns = append(l.columns, cell.Column)
		}
		l.ends, l.cells = append(l.ends, len(l.text)), append(l.cells, len(l.columns))
	}
	return nil
}

// ask has the numbers checked.
func (l *lot) ask(ctx context.Context, c *client.Client, options []client.CheckOption) {
	defer close(l.done)
	if len(l.numbers) > 0 {
		l.batch, l.err = c.CheckBatch(ctx, l.numbers, options...)
	}
}

// findings yields the text of each row and what was found about it: the strictest of its numbers.
func (l *lot) findings() iter.Seq2[[]byte, finding] {
	return func(yield func([]byte, finding) bool) {
		start, cell, next := 0, 0, l.found()
		for row, end := range l.ends {
			f := next()
			for cell++; cell < l.cells[row]; cell++ {
				if other := next(); other.isStricter(&f) {
					f = other
				}
			}
			if !yield(l.text[start:end], f) {
				return
			}
			start = end
		}
	}
}

// found returns what was found about each cell, one by one.
func (l *lot) found() func() finding {
	cell, asked, bad, details := -1, -1, l.invalid, l.batch.Details
	return func() finding {
		cell++
		if len(bad) > 0 && bad[0].cell == cell {
			f := finding{verdict: invalid, reason: bad[0].reason, column: l.columns[cell]}
			bad = bad[1:]
			return f
		}
		asked++
		f := finding{batch: &l.batch, number: phone.Number(l.numbers[asked]), verdict: l.batch.Verdict(asked), column: l.columns[cell]}
		if len(details) > 0 && details[0].Index == asked {
			f.explain(&details[0])
			details = details[1:]
		}
		return f
	}
}
