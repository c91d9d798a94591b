package store

import (
	"time"

	"github.com/dncd/dncd/store/internal/journal"
)

// Past is a moment of the past: a revision, and the time that counted as now. At least one of the two is set. Of a time alone,
// the clock counts as far ahead as it was when the revision was committed, less what has passed since.
type Past struct {
	Revision uint64        // 0: the last one at or before Now
	Now      time.Time     // zero: the time of the revision
	Ahead    time.Duration // with Now: how far it may have been ahead of the true time, as Clock gave it then
}

// moment is a time that counts as now for a view, and how far it may be ahead of the true time.
type moment struct {
	now   time.Time
	ahead time.Duration
}

// Clock is the time to answer at from the view, and how far it may be ahead of the true time: an opt-out that expires counts by
// the time less that. It is the clock's time, and never before the view's last event; of a view that ViewOf made, that of its
// moment.
func (v *View) Clock() (now time.Time, ahead time.Duration) {
	if v.then != nil {
		return v.then.now, v.then.ahead
	}
	return v.s.clock.Now(v.time)
}

// ViewOf is the store as of a moment of the past: what it answers was answered then. Errors: ErrFutureRevision for a moment
// that has not come, ErrHistoryGone where nothing was recorded yet, or what was is lost, ErrPast.
func (s *Store) ViewOf(p Past) (*View, error) {
	if now, _ := s.View().Clock(); p.Now.After(now) {
		return nil, ErrFutureRevision
	}
	if p.Revision == 0 {
		span, err := s.SpanAt(p.Now, Span{})
		if err != nil {
			return nil, err
		}
		return span.At(p.Now)
	}
	v, err := s.ViewAt(p.Revision)
	if err != nil {
		return nil, err
	}
	then, err := v.momentOf(p)
	if err != nil {
		return nil, err
	}
	return v.at(*then), nil
}

// at is the view as it answers at a moment.
func (v *View) at(m moment) *View {
	c := *v
	c.then, c.next = &m, nil
	return &c
}

// momentOf is the time that counts as now in v, which is the view of p's revision.
func (v *View) momentOf(p Past) (*moment, error) {
	switch {
	case p.Now.IsZero():
		ahead, err := v.aheadAtCommit()
		return &moment{v.time, ahead}, err
	case p.Now.Before(v.time):
		return nil, ErrPast
	}
	return &moment{p.Now, p.Ahead}, nil
}

// aheadAtCommit is how far the time of the view's last event may have been ahead of the true time.
func (v *View) aheadAtCommit() (time.Duration, error) {
	if v.revision == 0 {
		return 0, nil
	}
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	rev, err := journal.ReadRevision(txn, v.revision)
	return time.Duration(rev.GetAhead()), err
}
