package store

import (
	"time"

	"github.com/dncd/dncd/internal/feed"
)

// Lag is how far a subscriber is behind, by stage from received on.
type Lag [feed.Applied]StageLag

// Of is the lag at a stage.
func (l *Lag) Of(stage feed.Stage) *StageLag { return &l[stage-feed.Received] }

// StageLag is how far a subscriber is behind at one stage.
type StageLag struct {
	Acknowledged *Acknowledgement // the newest; nil: none in this epoch
	Pending      uint64           // changes that concern it and are not acknowledged; the snapshot of an epoch is one
	Oldest       time.Time        // when the oldest of them was recorded; zero: none is pending
}

// Age is how old the oldest pending change is.
func (l *StageLag) Age(now time.Time) time.Duration {
	if l.Oldest.IsZero() {
		return 0
	}
	return max(now.Sub(l.Oldest), 0)
}

// Late reports whether that is more than a subscriber has time for.
func (l *StageLag) Late(now time.Time, deadline time.Duration) bool { return l.Age(now) > deadline }

// Lags works out how far subscribers of the view are behind. It reads counts and an index, never the changes themselves, and
// what several subscribers have in common once. Errors: ErrDamaged.
func (v *View) Lags(subs []*Subscriber) ([]Lag, error) {
	m := lagMeter{v: v, known: map[lagKey]StageLag{}, times: map[uint64]time.Time{}}
	lags := make([]Lag, len(subs))
	for i, sub := range subs {
		for stage := feed.Received; stage <= feed.Applied; stage++ {
			var err error
			if *lags[i].Of(stage), err = m.stage(sub, sub.Acknowledged(stage)); err != nil {
				return nil, err
			}
		}
	}
	return lags, nil
}

// lagMeter remembers what it has read.
type lagMeter struct {
	v     *View
	known map[lagKey]StageLag
	times map[uint64]time.Time
}

// lagKey is what is behind a revision, for a filter.
type lagKey struct {
	filter feed.Hash
	after  uint64
}

func (m *lagMeter) stage(sub *Subscriber, newest *Acknowledgement) (StageLag, error) {
	if newest != nil {
		l, err := m.after(sub, newest.Revision)
		l.Acknowledged = newest
		return l, err
	}
	l, err := m.after(sub, sub.Epoch)
	if err != nil {
		return l, err
	}
	l.Pending++ // the snapshot
	l.Oldest, err = m.timeAt(sub.Epoch)
	return l, err
}

// after is what concerns a subscriber after a revision.
func (m *lagMeter) after(sub *Subscriber, revision uint64) (l StageLag, err error) {
	key := lagKey{sub.FilterHash, revision}
	l, known := m.known[key]
	if known {
		return l, nil
	}
	if l.Pending, err = m.v.CountChanges(sub.Filter, revision); err != nil {
		return l, err
	}
	if l.Pending > 0 {
		if l.Oldest, err = m.oldest(sub.Filter, revision); err != nil {
			return l, err
		}
	}
	m.known[key] = l
	return l, nil
}

// oldest is when the first change that concerns a filter after a revision was recorded. Where the index does not name it, it
// counts as if it came right after the revision: rather late than not.
func (m *lagMeter) oldest(f feed.Filter, after uint64) (time.Time, error) {
	next, found, err := m.v.NextChange(f, after)
	if err != nil {
		return time.Time{}, err
	}
	if !found {
		next = after
	}
	return m.timeAt(next)
}

func (m *lagMeter) timeAt(revision uint64) (t time.Time, err error) {
	if t, known := m.times[revision]; known {
		return t, nil
	}
	if t, err = m.v.TimeAt(revision); err == nil {
		m.times[revision] = t
	}
	return t, err
}
