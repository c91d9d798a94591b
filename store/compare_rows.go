package store

import (
	"context"
	"iter"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/state"
)

// comparedRow is a row that blocks a number now, or did when the export was taken.
type comparedRow struct {
	number  uint64
	scope   policy.Scope
	list    *List // nil: opt-outs
	since   time.Time
	owed    bool // the export must hold the number
	inForce bool // now
}

// compareBatch is how many rows are read at once.
const compareBatch = 4096

// optOuts yields the rows of opt-outs, by number, in batches that are valid until the next.
//
// The records of the view are enough to say what was there before: a withdrawal takes a record away, and an opt-out that is
// recorded again is another one. So a record that is not younger than upTo blocked all the time.
func (c *comparer) optOuts(ctx context.Context) iter.Seq2[[]comparedRow, error] {
	return func(yield func([]comparedRow, error) bool) {
		batch, stopped := make([]comparedRow, 0, compareBatch), false
		err := c.v.eachRecordSet(ctx, func(n phone.Number, set *storev1.RecordSet) bool {
			if batch = c.appendRows(batch, n, set); len(batch) >= compareBatch {
				stopped = !yield(batch, nil)
				batch = batch[:0]
			}
			return !stopped
		})
		switch {
		case stopped:
		case err != nil:
			yield(nil, err)
		default:
			yield(batch, nil)
		}
	}
}

// appendRows appends the rows of one number, one for each scope that concerns the subscriber.
func (c *comparer) appendRows(rows []comparedRow, n phone.Number, set *storev1.RecordSet) []comparedRow {
	from := len(rows)
	for _, m := range set.GetRecords() {
		r := state.Record(m)
		if r.Kind != policy.RecordOptOut || !c.sub.Filter.Concerns(r.Scope) {
			continue
		}
		row := comparedRow{
			number: uint64(n), scope: r.Scope, since: r.RecordedAt,
			owed: r.ID.Revision <= c.result.UpTo && r.InForce(c.owedAt), inForce: r.InForce(c.now),
		}
		if row.owed || row.inForce {
			rows = join(rows, from, row)
		}
	}
	return rows
}

// join adds a record to the row of its scope, among the rows from a place on.
func join(rows []comparedRow, from int, row comparedRow) []comparedRow {
	for i := from; i < len(rows); i++ {
		r := &rows[i]
		if r.scope != row.scope {
			continue
		}
		if row.owed && !r.owed || row.owed == r.owed && row.since.Before(r.since) {
			r.since = row.since
		}
		r.owed, r.inForce = r.owed || row.owed, r.inForce || row.inForce
		return rows
	}
	return append(rows, row)
}

// ofList yields the rows of a list's content now, as optOuts. A number of it is owed if the content at upTo held it too: what the
// list held between the two is not looked at.
func (c *comparer) ofList(ctx context.Context, l *List) iter.Seq2[[]comparedRow, error] {
	return func(yield func([]comparedRow, error) bool) {
		b, err := c.openBlocks(l)
		if err != nil {
			yield(nil, err)
			return
		}
		defer b.now.close()
		var rows []comparedRow
		for more := true; more; {
			if rows, more, err = b.next(rows[:0]); err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(rows) > 0 && !yield(rows, nil) {
				return
			}
			runtime.Gosched() // a comparison must not keep its processor from a check
		}
	}
}

// comparedBlocks reads a list's content now, block by block, with what it was.
type comparedBlocks struct {
	list       *List
	now        *blockCursor
	before     *List // the list with the content that upTo shows; of revision 0: none
	since      time.Time
	sinceOfNow time.Time
}

func (c *comparer) openBlocks(l *List) (b *comparedBlocks, err error) {
	b = &comparedBlocks{list: l, before: &List{ID: l.ID}}
	st, _, err := c.v.s.listStateAt(l.ID, c.result.UpTo)
	if err != nil {
		return nil, err
	}
	b.before.ContentRevision = st.GetVisible()
	if b.since, err = c.v.loadedAt(b.before); err != nil {
		return nil, err
	}
	if b.sinceOfNow, err = c.v.loadedAt(l); err != nil {
		return nil, err
	}
	b.now, err = c.v.s.openBlocks(l, l.ContentRevision)
	return b, err
}

// loadedAt is when the content of a list came to count; zero: it has none.
func (v *View) loadedAt(l *List) (time.Time, error) {
	if l.ContentRevision == 0 {
		return time.Time{}, nil
	}
	e, err := v.importAt(l.ID, l.ContentRevision)
	return e.EndedAt, err
}

// next appends the rows of the next block; more is false behind the last one.
func (b *comparedBlocks) next(rows []comparedRow) (_ []comparedRow, more bool, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	at, more := b.now.peek()
	if !more {
		return rows, false, nil
	}
	var now, before block.Bitmap
	if b.before.ContentRevision != 0 && at.version <= b.before.ContentRevision { // it is the same block
		packed, err := b.now.packed()
		if err != nil {
			return rows, false, err
		}
		packed.AddTo(&now)
		before = now
	} else if err := b.now.readBoth(b.before, &before, &now); err != nil {
		return rows, false, err
	}
	b.now.advance()
	for n := range now.Numbers(at.number) {
		row := comparedRow{number: n, scope: b.list.Scope, list: b.list, since: b.sinceOfNow, inForce: true}
		if before.Holds(n) {
			row.owed, row.since = true, b.since
		}
		rows = append(rows, row)
	}
	return rows, true, nil
}
