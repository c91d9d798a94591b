package main

import (
	"context"
	"iter"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/registry"
)

// A batch is full at that many rows, or that many bytes of text: a row may have 64 KiB.
// The numbers of 4,000 rows take less than 32 KiB. A larger message would come from
// gRPC's pool of 1 MiB buffers, which it clears each time.
const (
	batchRows  = 4000
	batchBytes = 512 << 10
)

// rowBatch is consecutive rows whose numbers are checked in one call.
type rowBatch struct {
	text    []byte        // the rows as they are written, without the answers
	ends    []int         // where each row ends in text
	cells   []int         // of each row, the index after its last cell
	columns []int         // of each cell, its index among the columns of the number
	numbers []uint64      // E.164 digits of the cells that have a number, in order
	invalid []invalidCell // the other cells, in order

	done  chan struct{} // closed once the rest is set
	batch client.BatchResult
	err   error
}

// invalidCell is a cell without a valid number.
type invalidCell struct {
	cell   int // its index in the batch
	reason string
}

// fill reads the next rows. The error is that of reading: io.EOF at the end of the file.
func (b *rowBatch) fill(rows *registry.Rows, how *layout) error {
	b.text, b.ends, b.numbers, b.invalid = b.text[:0], b.ends[:0], b.numbers[:0], b.invalid[:0]
	b.cells, b.columns = b.cells[:0], b.columns[:0]
	b.done, b.batch, b.err = make(chan struct{}), client.BatchResult{}, nil
	for len(b.columns) < batchRows && len(b.text) < batchBytes {
		row, err := rows.Next()
		if err != nil {
			return err
		}
		b.text = how.append(b.text, &row)
		for _, cell := range row.Cells {
			if cell.Reason == "" {
				b.numbers = append(b.numbers, uint64(cell.Number))
			} else {
				b.invalid = append(b.invalid, invalidCell{len(b.columns), cell.Reason})
			}
			b.columns = append(b.columns, cell.Column)
		}
		b.ends, b.cells = append(b.ends, len(b.text)), append(b.cells, len(b.columns))
	}
	return nil
}

// ask checks the numbers.
func (b *rowBatch) ask(ctx context.Context, c *client.Client, options []client.CheckOption) {
	defer close(b.done)
	if len(b.numbers) > 0 {
		b.batch, b.err = c.CheckBatch(ctx, b.numbers, options...)
	}
}

// findings yields the text of each row and its finding: the strictest of its numbers.
func (b *rowBatch) findings() iter.Seq2[[]byte, finding] {
	return func(yield func([]byte, finding) bool) {
		start, cell, next := 0, 0, b.found()
		for row, end := range b.ends {
			f := next()
			for cell++; cell < b.cells[row]; cell++ {
				if other := next(); other.isStricter(&f) {
					f = other
				}
			}
			if !yield(b.text[start:end], f) {
				return
			}
			start = end
		}
	}
}

// found returns a function that returns the finding of each cell in turn.
func (b *rowBatch) found() func() finding {
	cell, asked, bad, details := -1, -1, b.invalid, b.batch.Details
	return func() finding {
		cell++
		if len(bad) > 0 && bad[0].cell == cell {
			f := finding{verdict: invalid, reason: bad[0].reason, column: b.columns[cell]}
			bad = bad[1:]
			return f
		}
		asked++
		f := finding{batch: &b.batch, number: phone.Number(b.numbers[asked]), verdict: b.batch.Verdict(asked), column: b.columns[cell]}
		if len(details) > 0 && details[0].Index == asked {
			f.explain(&details[0])
			details = details[1:]
		}
		return f
	}
}
