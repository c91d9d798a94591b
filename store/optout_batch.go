package store

import (
	"context"
	"errors"
	"slices"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/stories"
)

// RecordRow is one record of many, with its own story: an objection or, where Consent is set, a consent. ReceivedAt of a consent is
// when it was obtained.
type RecordRow struct {
	OptOut
	Consent *policy.Consent
	Story   Story
}

// Outcome is what became of one row.
type Outcome struct {
	ID        policy.EventID // that recorded it, now or before
	Duplicate bool           // the number held it already: nothing was recorded
	Err       error          // refused for itself: ErrNumber, ErrTooManyRecords, ErrConsentWithdrawn, ErrTooLarge or a time out of range
}

const (
	batchRows   = 500 // rows that are committed together: single writes wait for that many
	batchesOpen = 3   // that may wait
)

// RecordOptOuts records many objections in order, in as few revisions as there is room for. A row that says what its
// number already holds is a duplicate: the same scope, channel and received_at, or, without a received_at, the same
// scope and channel, of an opt-out in force, also one that an earlier row recorded.
//
// The outcomes are those of the rows that are durable or refused, from the first on: all of them, unless an error ended
// the work. Then rows after them may have been recorded too; to record all of them again does no harm. Errors: those of
// every write, and the context's.
func (s *Store) RecordOptOuts(ctx context.Context, rows []RecordRow) (outcomes []Outcome, err error) {
	if s.isClosing() {
		return nil, ErrClosed
	}
	done := make(chan struct{})
	s.run(func() { // what reads is waited for when the store closes
		defer close(done)
		outcomes, err = s.recordOptOuts(ctx, rows)
	})
	<-done
	return outcomes, err
}

func (s *Store) recordOptOuts(ctx context.Context, rows []RecordRow) ([]Outcome, error) {
	outcomes := make([]Outcome, 0, len(rows))
	b := s.bulk(ctx, func(o []Outcome) error {
		outcomes = append(outcomes, o...)
		return nil
	})
	if err := b.add(rows); err != nil {
		return outcomes, err
	}
	return outcomes, b.end()
}

// bulk records batches of rows, several at a time, and reports their outcomes in order.
type bulk struct {
	s          *Store
	ctx        context.Context
	onOutcomes func([]Outcome) error
	opened     []*batch // waiting for their commit, oldest first
}

func (s *Store) bulk(ctx context.Context, onOutcomes func([]Outcome) error) *bulk {
	return &bulk{s: s, ctx: ctx, onOutcomes: onOutcomes}
}

// add submits rows, which it keeps. It waits for earlier ones when too many are open. After an error nothing more is
// reported.
func (b *bulk) add(rows []RecordRow) error {
	all, v := newBatch(b.ctx, rows), b.s.View()
	v.findDesks(rows)
	v.findHeld(all)
	for at := 0; at < len(rows); at += batchRows {
		if err := b.submit(all.slice(at, min(at+batchRows, len(rows)))); err != nil {
			return err
		}
	}
	return nil
}

// submit submits a batch.
func (b *bulk) submit(next *batch) error {
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

// settle waits for the oldest batches, until no more than open are left, and reports their outcomes.
func (b *bulk) settle(open int) error {
	for len(b.opened) > open {
		oldest := b.opened[0]
		if err := b.s.await(b.ctx, oldest); err != nil {
			return err
		}
		b.opened = b.opened[1:]
		outcomes, err := oldest.results()
		if err = errors.Join(b.onOutcomes(outcomes), err); err != nil {
			b.abandon()
			return err
		}
	}
	return nil
}

// abandon waits for what is open and never reports what became of it: rows before it were refused, and
// a caller that counts outcomes would take its rows for those. The work ends here.
func (b *bulk) abandon() {
	for _, one := range b.opened {
		if b.s.await(b.ctx, one) != nil {
			break
		}
	}
	b.opened = nil
}

// batch is rows on their way through the committer, which takes them in order: together, unless a group has less room.
type batch struct {
	ctx      context.Context
	rows     []RecordRow
	outcomes []Outcome // of all rows; those that are refused for themselves, or known as duplicates, before the committer
	next     int       // the first row that the committer has not taken
	durable  int       // the rows before are answered
	err      error     // that ended the work
	over     bool
	done     chan struct{} // closed when it is over
}

func newBatch(ctx context.Context, rows []RecordRow) *batch {
	b := &batch{ctx: ctx, rows: rows, outcomes: make([]Outcome, len(rows)), done: make(chan struct{})}
	for i := range rows {
		b.outcomes[i].Err = rows[i].check()
	}
	return b
}

// slice is the batch of some rows of b, with what is known of them.
func (b *batch) slice(from, to int) *batch {
	return &batch{ctx: b.ctx, rows: b.rows[from:to], outcomes: b.outcomes[from:to:to], done: make(chan struct{})}
}

// isOpen reports whether the row was not judged yet.
func (o Outcome) isOpen() bool { return o == Outcome{} }

// check refuses what never could be recorded.
func (r *RecordRow) check() error {
	if r.Consent != nil {
		c := r.consent()
		return errors.Join(c.check(), stories.Check(r.Story))
	}
	if err := errors.Join(r.OptOut.check(), stories.Check(r.Story)); err != nil {
		return err
	}
	if len(r.Scope)+stories.Size(r.Story) > maxEventBytes {
		return ErrTooLarge
	}
	return nil
}

// answer notes that the rows before upTo are durable, or what ended the work. It runs in the committer, or where the batch
// never gets there.
func (b *batch) answer(upTo int, err error) {
	if b.over {
		return
	}
	if err == nil {
		b.durable = upTo
	}
	if b.err, b.over = err, err != nil || upTo == len(b.rows); b.over {
		close(b.done)
	}
}

// results are the outcomes of the rows that are durable or refused, and what ended the work. Once done is closed.
func (b *batch) results() ([]Outcome, error) { return b.outcomes[:b.durable], b.err }

// submitBatch queues a batch, and waits for room instead of refusing.
func (s *Store) submitBatch(ctx context.Context, b *batch) error {
	err := s.health.stopped()
	if s.isClosing() {
		err = ErrClosed
	}
	if !slices.ContainsFunc(b.outcomes, Outcome.isOpen) && err == nil {
		b.answer(len(b.rows), nil) // the view that showed them is durable
		return nil
	}
	if err == nil {
		select {
		case s.rows <- &pendingEvent{ctx: ctx, batch: b}:
			return nil
		case <-ctx.Done():
			err = ctx.Err()
		case <-s.stopped:
			err = ErrClosed
		}
	}
	b.answer(0, err)
	return err
}

// await waits until a batch has its answer.
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
