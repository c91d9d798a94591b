package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/stage"
)

// comparer compares an export with the rows of a subscriber, number by number.
type comparer struct {
	ctx      context.Context
	v        *View
	sub      *Subscriber
	now      time.Time // that is certainly over: an opt-out that may still be in force is
	owedAt   time.Time // when the export was taken, or now if that is earlier
	removals bool
	report   func(Difference) error
	progress func(numbers uint64)

	result    Compared
	removable uint64
	missing   *stage.Writer // hashes the missing numbers
	done      uint64        // numbers
	heads     []*comparedHead
	rows      []comparedRow // of one number
}

func (s *Store) newComparer(ctx context.Context, v *View, sub *Subscriber, q CompareQuery) (*comparer, error) {
	now, ahead := v.Clock()
	c := &comparer{ctx: ctx, v: v, sub: sub, now: now.Add(-ahead), removals: q.Removals, missing: stage.NewWriter(io.Discard)}
	c.result = Compared{TakenAt: q.TakenAt, Epoch: sub.Epoch}
	if q.TakenAt.IsZero() {
		c.result.TakenAt = now
	}
	if c.owedAt = c.result.TakenAt; c.now.Before(c.owedAt) { // times of the journal may be ahead of the true one
		c.owedAt = c.now
	}
	var err error
	c.result.Acknowledged, c.result.UpTo, err = s.expectedUpTo(v, sub, c.result.TakenAt)
	return c, err
}

// run compares ascending numbers, each once, with all rows.
func (c *comparer) run(exported io.Reader) error {
	defer c.open()()
	file := ascending.NewReader(exported)
	n, err := file.Next()
	for err == nil || errors.Is(err, io.EOF) {
		more := err == nil
		at, blocked, failed := c.least()
		switch {
		case failed != nil:
			return failed
		case !more && !blocked:
			return c.end()
		case more && (!blocked || n < at):
			failed = c.meet(n, true, nil)
		default:
			failed = c.meet(at, more && n == at, c.take(at))
		}
		if failed != nil {
			return failed
		}
		if more && (!blocked || n <= at) {
			n, err = file.Next()
		}
	}
	return fmt.Errorf("%w: %w", ErrStage, err)
}

func (c *comparer) end() error {
	if err := errors.Join(c.missing.Flush(), c.v.complete()); err != nil {
		return err
	}
	c.result.MissingSHA256 = c.missing.Sum()
	c.progress(c.done)
	return nil
}

// comparedHead is a source of rows, and what was read of it.
type comparedHead struct {
	next func() ([]comparedRow, error, bool)
	rows []comparedRow // not compared yet
}

// fill reads on if nothing is left. It reports whether there is a row.
func (h *comparedHead) fill() (bool, error) {
	for len(h.rows) == 0 {
		rows, err, more := h.next()
		if err != nil || !more {
			return false, err
		}
		h.rows = rows
	}
	return true, nil
}

// open opens the sources of rows. close must be called.
func (c *comparer) open() (close func()) {
	sources := []iter.Seq2[[]comparedRow, error]{c.optOuts(c.ctx)}
	for _, id := range c.sub.Filter.Lists {
		switch l := c.v.listByID(id); {
		case l == nil: // its rows are gone
		case l.ContentRevision != 0:
			sources = append(sources, c.ofList(c.ctx, l))
		case l.wasLoaded():
			c.result.InDoubt = append(c.result.InDoubt, id)
		}
	}
	var stops []func()
	for _, source := range sources {
		next, stop := iter.Pull2(source)
		c.heads, stops = append(c.heads, &comparedHead{next: next}), append(stops, stop)
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// least is the lowest number that has a row; false: there is none any more.
func (c *comparer) least() (n uint64, found bool, err error) {
	for i := 0; i < len(c.heads); i++ {
		h := c.heads[i]
		switch more, err := h.fill(); {
		case err != nil:
			return 0, false, err
		case !more:
			c.heads = slices.Delete(c.heads, i, i+1)
			i--
		case !found || h.rows[0].number < n:
			n, found = h.rows[0].number, true
		}
	}
	return n, found, nil
}

// take takes the rows of a number, which is the lowest. The rows of one number in one source come in one batch.
func (c *comparer) take(n uint64) []comparedRow {
	c.rows = c.rows[:0]
	for _, h := range c.heads {
		for len(h.rows) > 0 && h.rows[0].number == n {
			c.rows, h.rows = append(c.rows, h.rows[0]), h.rows[1:]
		}
	}
	return c.rows
}

// compareStep is how many numbers are compared between two looks at the caller.
const compareStep = 1 << 16

// meet counts a number that is exported, blocked, or both.
func (c *comparer) meet(n uint64, exported bool, rows []comparedRow) error {
	if c.done++; c.done%compareStep == 0 {
		if err := c.v.s.feedStopped(c.ctx); err != nil {
			return err
		}
		c.progress(c.done)
	}
	owed := slices.ContainsFunc(rows, func(r comparedRow) bool { return r.owed })
	if owed {
		c.result.Expected++
	}
	switch {
	case exported && len(rows) == 0:
		c.result.Extra++
		return c.extra(phone.Number(n))
	case exported:
		return nil
	case owed:
		c.result.Missing++
		if err := c.missing.Add([]uint64{n}); err != nil {
			return err
		}
		return c.report(differenceOf(Missing, rows))
	}
	c.result.InFlight++
	return c.report(differenceOf(InFlight, rows))
}

// differenceOf names the row that tells most: one that is owed, and in force.
func differenceOf(kind DifferenceKind, rows []comparedRow) Difference {
	rank := func(r comparedRow) (rank int) {
		if r.owed {
			rank = 2
		}
		if r.inForce {
			rank++
		}
		return -rank
	}
	best := slices.MinFunc(rows, func(a, b comparedRow) int { return rank(a) - rank(b) })
	return Difference{
		Number: phone.Number(best.number), Kind: kind, Scope: best.scope, List: best.list, Since: best.since,
		InForce: slices.ContainsFunc(rows, func(r comparedRow) bool { return r.inForce }),
	}
}

// extra reports a number that no row blocks, if a withdrawal explains that.
func (c *comparer) extra(n phone.Number) error {
	if !c.removals {
		return nil
	}
	withdrawn, err := c.v.lastWithdrawal(n, c.sub)
	if err != nil || withdrawn == nil {
		return err
	}
	c.removable++
	return c.report(Difference{Number: n, Kind: Removable, Scope: withdrawn.Scope, Since: withdrawn.Time})
}

// lastWithdrawal is the last withdrawal of a number that concerns a subscriber; nil: there is none.
func (v *View) lastWithdrawal(n phone.Number, sub *Subscriber) (last *HistoryEvent, err error) {
	if held, err := v.hasHistory(n); err != nil || !held {
		return nil, err
	}
	const some = 64
	for after, more := (policy.EventID{}), true; more; {
		var events []HistoryEvent
		if events, more, err = v.History(n, after, some); err != nil {
			return nil, err
		}
		for i := range events {
			after = events[i].ID
			if e := &events[i]; e.Kind == EventOptOutWithdrawn && sub.Filter.Concerns(e.Scope) {
				last = e
			}
		}
	}
	return last, nil
}

// hasHistory reports whether there is a key of history of a number: most have none, and reading a key costs less than a history.
func (v *View) hasHistory(n phone.Number) (found bool, err error) {
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	prefix := keys.History(uint64(n), policy.EventID{})[:9]
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	it.Rewind()
	return it.Valid(), nil
}
