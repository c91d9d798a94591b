package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// OptOutRow is one objection of many, with its own story.
type OptOutRow struct {
	OptOut
	Story Story
}

// Outcome is what became of one row.
type Outcome struct {
	ID        policy.EventID // that recorded it, now or before
	Duplicate bool           // the number held it already: nothing was recorded
	Err       error          // refused for itself: ErrNumber, ErrTooManyRecords, ErrTooLarge or a time out of range
}

const (
	batchRows   = maxGroupEvents // rows that wait for their commit together
	batchesOpen = 3              // so many batches may wait
)

// RecordOptOuts records many objections in order, in as few revisions as there is room for. A row that says what its
// number already holds is a duplicate: the same scope, channel and received_at, or, without a received_at, the same
// scope and channel, of an opt-out in force, also one that an earlier row recorded.
//
// The outcomes are those of the rows that are durable or refused, from the first on: all of them, unless an error ended
// the work. Then rows after them may have been recorded too; to record all of them again does no harm. Errors: those of
// every write, and the context's.
func (s *Store) RecordOptOuts(ctx context.Context, rows []OptOutRow) ([]Outcome, error) {
	outcomes := make([]Outcome, 0, len(rows))
	b := s.bulk(ctx, func(o []Outcome) error {
		outcomes = append(outcomes, o...)
		return nil
	})
	for len(rows) > 0 {
		n := min(len(rows), batchRows)
		if err := b.add(rows[:n]); err != nil {
			return outcomes, err
		}
		rows = rows[n:]
	}
	return outcomes, b.end()
}

// bulk records batches of rows, several at a time, and tells their outcomes in order.
type bulk struct {
	s      *Store
	ctx    context.Context
	tell   func([]Outcome) error
	opened []*batch // waiting for their commit, oldest first
}

func (s *Store) bulk(ctx context.Context, tell func([]Outcome) error) *bulk {
	return &bulk{s: s, ctx: ctx, tell: tell}
}

// add submits a batch. It waits for earlier ones when too many are open. After an error nothing more is told.
func (b *bulk) add(rows []OptOutRow) error {
	next, err := newBatch(b.ctx, rows)
	if err != nil {
		b.abandon()
		return err
	}
	if err := b.settle(batchesOpen - 1); err != nil {
		return err
	}
	b.opened = append(b.opened, next)
	if err := b.s.submitBatch(b.ctx, next); err != nil {
		b.abandon()
		return err
	}
	return nil
}

// end waits for all that was added.
func (b *bulk) end() error { return b.settle(0) }

// settle waits for the oldest batches, until no more than open are left, and tells their outcomes.
func (b *bulk) settle(open int) error {
	for len(b.opened) > open {
		oldest := b.opened[0]
		if err := b.s.await(b.ctx, oldest); err != nil {
			return err
		}
		b.opened = b.opened[1:]
		outcomes, err := oldest.results()
		if err = errors.Join(b.tell(outcomes), err); err != nil {
			b.abandon()
			return err
		}
	}
	return nil
}

// abandon waits for what is open without telling what became of it: the work ends here.
func (b *bulk) abandon() {
	for _, one := range b.opened {
		if b.s.await(b.ctx, one) != nil {
			return
		}
	}
}

// batch is rows on their way through the committer.
type batch struct {
	writes  []*write // of the rows that were not refused before
	answers []answer // of all rows
	waiting atomic.Int64
	done    chan struct{} // closed when no answer is awaited any more
}

func newBatch(ctx context.Context, rows []OptOutRow) (*batch, error) {
	b := &batch{answers: make([]answer, len(rows)), writes: make([]*write, 0, len(rows)), done: make(chan struct{})}
	for i := range rows {
		w, err := rows[i].write()
		if isRowError(err) {
			b.answers[i].err = err
			continue
		}
		if err != nil {
			return nil, err
		}
		w.ctx, w.batch, w.place = ctx, b, i
		b.writes = append(b.writes, w)
	}
	b.waiting.Store(int64(len(b.writes)))
	if len(b.writes) == 0 {
		close(b.done)
	}
	return b, nil
}

// write is the event of a row, refused where it never could be recorded.
func (r *OptOutRow) write() (*write, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", errRow, err)
	}
	t, err := newTale(r.Story)
	if err != nil {
		return nil, err
	}
	m := r.OptOut.message()
	m.Unique = true
	e := &storev1.Event{StoryHash: t.hashBytes(), Change: &storev1.Event_OptOut{OptOut: m}}
	w := &write{event: e, story: r.Story, tale: t}
	if err := w.encode(); err != nil {
		return nil, fmt.Errorf("%w: %w", errRow, err)
	}
	return w, nil
}

// errRow wraps what is wrong with one row alone.
var errRow = errors.New("the row cannot be recorded")

// isRowError tells what refuses one row from what ends the work.
func isRowError(err error) bool { return errors.Is(err, errRow) || errors.Is(err, ErrTooManyRecords) }

// tell notes the answer to one row, once.
func (b *batch) tell(place int, a answer) {
	b.answers[place] = a
	if b.waiting.Add(-1) == 0 {
		close(b.done)
	}
}

// results are the outcomes up to the first answer that is about more than its row.
func (b *batch) results() ([]Outcome, error) {
	outcomes := make([]Outcome, 0, len(b.answers))
	for _, a := range b.answers {
		if a.err != nil && !isRowError(a.err) {
			return outcomes, a.err
		}
		outcomes = append(outcomes, Outcome{ID: a.receipt.ID, Duplicate: a.receipt.Duplicate, Err: a.err})
	}
	return outcomes, nil
}

// submitBatch queues the writes of a batch, and waits for room instead of refusing.
func (s *Store) submitBatch(ctx context.Context, b *batch) error {
	err := s.health.stopped()
	if s.isClosing() {
		err = ErrClosed
	}
	if err != nil {
		b.refuse(0, err)
		return err
	}
	for i, w := range b.writes {
		select {
		case s.rows <- w:
			continue
		case <-ctx.Done():
			err = ctx.Err()
		case <-s.stopped:
			err = ErrClosed
		}
		b.refuse(i, err)
		return err
	}
	return nil
}

// refuse answers the writes from the i-th on, which nobody took.
func (b *batch) refuse(i int, err error) {
	for _, w := range b.writes[i:] {
		w.tell(answer{err: err})
	}
}

// await waits until every write of a batch has its answer.
func (s *Store) await(ctx context.Context, b *batch) error {
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
	}
	select {
	case <-b.done:
		return nil
	default:
		return ErrClosed
	}
}
