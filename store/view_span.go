package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/dncd/dncd/store/internal/journal"
)

// Span is a time during which one revision was the newest. It is for reads of many moments in their order, which share what is
// read of a revision. The zero Span holds no time.
type Span struct {
	view  *View         // nil: nothing is known, for err
	err   error         // ErrHistoryGone
	ahead time.Duration // of the revision's commit

	from, until time.Time // from the one on and before the other; zero: not bounded
	last        uint64    // up to which no revision is after from
}

// SpanAt is the span that holds t. It is found quickly where that is soon after another span; without one that is the zero Span.
// Where revisions are gone, nothing is known from the last one before them until the first one after.
// Errors: ErrFutureRevision for a time that has not come, ErrDamaged.
func (s *Store) SpanAt(t time.Time, before Span) (span Span, err error) {
	now := s.View()
	if at, _ := now.Clock(); t.After(at) {
		return Span{}, ErrFutureRevision
	}
	if before.last > now.revision || t.Before(before.from) {
		before.last = 0
	}
	txn := s.db.NewTransactionAt(now.revision, false)
	defer txn.Discard()
	if span.last, err = s.notAfter(txn, t, before.last, now.revision); err != nil {
		return Span{}, err
	}
	if span.last < now.revision {
		if span.until, err = s.revisionTime(txn, span.last+1); err != nil {
			return Span{}, fmt.Errorf("find revision by time: %w", err)
		}
	}
	at, found, err := journal.Last(txn, span.last)
	if err != nil {
		return Span{}, fmt.Errorf("find revision by time: %w", err)
	}
	switch {
	case !found:
		span.err = fmt.Errorf("%w: the journal begins later", ErrHistoryGone)
	case at.Revision < span.last: // the time is within a gap, or right before it
		span.err = fmt.Errorf("%w: what came after revision %d is not known: a loss was accepted, or a copy was put back", ErrHistoryGone, at.Revision)
		span.from, err = s.revisionTime(txn, at.Revision)
	default:
		err = span.open(s, at.Revision)
	}
	return span, err
}

// open takes the view of the span's revision.
func (p *Span) open(s *Store, revision uint64) (err error) {
	p.view, err = s.ViewAt(revision)
	if errors.Is(err, ErrHistoryGone) {
		p.err = err
		return nil
	}
	if err != nil {
		return err
	}
	p.from = p.view.time
	p.ahead, err = p.view.aheadAtCommit()
	return err
}

// Holds reports whether t is within the span.
func (p *Span) Holds(t time.Time) bool {
	known := p.view != nil || p.err != nil
	return known && !t.Before(p.from) && (p.until.IsZero() || t.Before(p.until))
}

// At is the store as of a time that the span holds: what ViewOf returns for that time alone. Errors: ErrHistoryGone.
func (p *Span) At(t time.Time) (*View, error) {
	if p.view == nil {
		return nil, p.err
	}
	return p.view.at(moment{t, max(0, p.ahead-t.Sub(p.from))}), nil
}
