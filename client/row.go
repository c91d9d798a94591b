package client

import (
	"cmp"
	"context"
	"iter"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
)

// SourceOptOut is the Source of rows that come from opt-outs.
const SourceOptOut = "opt-out"

// Row is one prohibition that a subscriber holds: Number may not be called at Scope and below. There is at most one row
// for each Number, Scope and Source.
type Row struct {
	// Number is the digits of E.164 without the plus.
	Number uint64 `json:"number"`
	// Scope: empty is everyone.
	Scope string `json:"scope" empty:"kept"`
	// Source is SourceOptOut, or the id of a list such as "7.0".
	Source string `json:"source"`
	// Until is when the row ends; zero: never. An end makes no change: compare it with the clock.
	Until time.Time `json:"until"`
}

// Compare orders rows as their digest does: by Number, then Scope, then Source.
func (r Row) Compare(o Row) int {
	return cmp.Or(cmp.Compare(r.Number, o.Number), strings.Compare(r.Scope, o.Scope), strings.Compare(r.Source, o.Source))
}

// EditKind is what an Edit does to the rows of a base.
type EditKind uint8

// The kinds of edits. None of them is about orphans, but EditPut, which ends the orphan that it covers.
const (
	_ EditKind = iota
	// EditPut adds Row, or gives the row of its Number, Scope and Source its Until. An orphan of the
	// same Number, Scope and Source that does not end later is one no longer: delete it.
	EditPut
	// EditDelete deletes the row of Number, Scope and Source, if it is there.
	EditDelete
	// EditMove gives all rows of Source this Scope.
	EditMove
	// EditDrop deletes all rows of Source.
	EditDrop
)

// Edit is one step of a Batch.
type Edit struct {
	Kind EditKind
	Row
}

// digestOf is that of the rows that had not ended at a time. The rows come in the order of Row.Compare.
func digestOf(ctx context.Context, rows iter.Seq2[Row, error], at time.Time) (feed.Digest, error) {
	d := feed.NewDigester()
	var line []byte
	for row, err := range rows {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return feed.Digest{}, err
		}
		if !row.Until.IsZero() && !at.Before(row.Until) {
			continue
		}
		r, err := toFeedRow(row)
		if err != nil {
			return feed.Digest{}, err
		}
		line = r.AppendText(line[:0])
		if err := d.Add(line); err != nil {
			return feed.Digest{}, err
		}
	}
	return d.Digest(), nil
}

func toFeedRow(r Row) (feed.Row, error) {
	source, err := feed.ParseSource(r.Source)
	return feed.Row{Number: phone.Number(r.Number), Scope: feed.Scope(r.Scope), Source: source, Until: r.Until}, err
}
