package store

import (
	"cmp"
	"context"
	"sync"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
)

// feedLogs remembers places of the logs of subscribers that were worked out since the store was opened. The zero value remembers
// nothing.
type feedLogs struct {
	mu    sync.Mutex
	known map[policy.EventID]*knownLog
}

// knownLog is what is known of a subscriber's log.
type knownLog struct {
	epoch  uint64
	busy   chan struct{} // holds a value while it is worked out: a subscriber makes the server work at one of its places at a time
	places logPlaces
}

// of is what is known of a subscriber's log of this epoch. Of an epoch that has ended nothing is kept.
func (l *feedLogs) of(sub *Subscriber) *knownLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[policy.EventID]*knownLog{}
	}
	log := l.known[sub.ID]
	if log == nil || log.epoch < sub.Epoch {
		log = newKnownLog(sub)
		l.known[sub.ID] = log
	}
	if log.epoch > sub.Epoch { // of an older view
		return newKnownLog(sub)
	}
	return log
}

func newKnownLog(sub *Subscriber) *knownLog {
	return &knownLog{epoch: sub.Epoch, busy: make(chan struct{}, 1)}
}

// logPlaces are some places of a log, in order, also within a revision: they are for reading without rows. They are spread over
// all of it, so that from one of them to any other place is a small part of it.
type logPlaces struct {
	mu    sync.Mutex
	all   []FeedCursor // at most maxPlaces
	apart uint64       // changes between two of them
}

// Limits of the places of one log: 64 times 64 bytes for each subscriber.
const (
	maxPlaces  = 64
	leastApart = 1024
)

// before is the last known place at a revision or before it.
func (p *logPlaces) before(revision uint64) (c FeedCursor, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, place := range p.all {
		if place.Revision > revision || place.Revision == revision && place.Part > 0 {
			break
		}
		c, known = place, true
	}
	return c, known
}

// add remembers a place. One that is near to those around it takes the place of the last one, so that there are not too many; the
// first stays.
func (p *logPlaces) add(c FeedCursor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := 0
	for at < len(p.all) && comparePlaces(p.all[at], c) < 0 {
		at++
	}
	switch {
	case at < len(p.all) && (comparePlaces(p.all[at], c) == 0 || at > 0 && c.Changes-p.all[at-1].Changes < max(p.apart, leastApart)):
		return
	case at == len(p.all) && at > 1 && c.Changes-p.all[at-2].Changes < max(p.apart, leastApart):
		p.all[at-1] = c
		return
	}
	p.all = append(p.all[:at:at], append([]FeedCursor{c}, p.all[at:]...)...)
	if len(p.all) > maxPlaces {
		p.thin()
	}
}

func comparePlaces(a, b FeedCursor) int {
	return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Part, b.Part))
}

// thin forgets every other place between the first and the last.
func (p *logPlaces) thin() {
	p.apart = 2 * max(p.apart, leastApart)
	kept := p.all[:0]
	for i, c := range p.all {
		if i%2 == 0 || i == len(p.all)-1 {
			kept = append(kept, c)
		}
	}
	p.all = kept
}

// FeedLog works out where the log of a subscriber is at a revision of its epoch: how many changes it has, and the hash that they
// lead to. It reads on from the nearest place that is known: an acknowledgement, what was worked out before, else the
// beginning of the epoch, for which it reads all rows of the filter. Of one subscriber it works out one place at a time. Errors:
// ErrDamaged, ErrHistoryGone, ErrClosed, and the context's.
func (s *Store) FeedLog(ctx context.Context, sub *Subscriber, revision uint64) (FeedCursor, error) {
	log := s.logs.of(sub)
	select {
	case log.busy <- struct{}{}:
		defer func() { <-log.busy }()
	case <-ctx.Done():
		return FeedCursor{}, ctx.Err()
	}
	from, known, err := s.logBefore(s.View(), sub, &log.places, revision)
	if err == nil && !known {
		from, err = s.logStart(ctx, sub)
		log.places.add(from)
	}
	if err != nil || from.Revision == revision {
		return from, err
	}
	return s.readLog(ctx, sub, &log.places, from, revision)
}

// readLog reads a log from a place on up to a revision, and remembers places on the way.
func (s *Store) readLog(ctx context.Context, sub *Subscriber, places *logPlaces, from FeedCursor, revision uint64) (FeedCursor, error) {
	reader, err := s.OpenFeed(FeedQuery{Filter: sub.Filter, Subscriber: sub.ID, After: from, UpTo: revision, WithoutRows: true})
	if err != nil {
		return FeedCursor{}, err
	}
	defer reader.Close()
	for from.Revision < revision {
		if err := s.feedStopped(ctx); err != nil {
			return FeedCursor{}, err
		}
		batch, err := reader.Read(ctx, feedBatchBytes)
		if err != nil {
			return FeedCursor{}, err
		}
		from = batch.Cursor
		places.add(from)
	}
	return from, nil
}

// logBefore is the nearest known place of a log at a revision or before it: remembered, or acknowledged and so verified.
func (s *Store) logBefore(v *View, sub *Subscriber, places *logPlaces, revision uint64) (best FeedCursor, known bool, err error) {
	best, known = places.before(revision)
	ack, err := v.LastAcknowledged(sub.ID, feed.Received, revision)
	if ack != nil && ack.Epoch == sub.Epoch && (!known || ack.Revision > best.Revision) {
		best, known = ack.Cursor(), true
	}
	return best, known, err
}

// nearLog is how many changes are read at most to verify an acknowledgement that adds nothing.
const nearLog = 10_000

// isLogNear reports whether the log of a subscriber at a revision can be worked out from a place that is not far before it.
func (s *Store) isLogNear(v *View, sub *Subscriber, revision uint64) (bool, error) {
	from, known, err := s.logBefore(v, sub, &s.logs.of(sub).places, revision)
	if err != nil || !known {
		return false, err
	}
	since, err := v.CountChanges(sub.Filter, from.Revision)
	if err != nil {
		return false, err
	}
	after, err := v.CountChanges(sub.Filter, revision)
	return since-after <= nearLog, err
}

// logStart is the log of an epoch before its first change.
func (s *Store) logStart(ctx context.Context, sub *Subscriber) (FeedCursor, error) {
	v, err := s.ViewAt(sub.Epoch)
	if err != nil {
		return FeedCursor{}, err
	}
	digest, err := v.FeedDigest(ctx, sub.Filter)
	if err != nil {
		return FeedCursor{}, err
	}
	return FeedCursor{Revision: sub.Epoch, Hash: feed.Start(sub.ID, sub.Epoch, sub.FilterHash, digest.SHA256)}, nil
}

// Cursor is how far the acknowledgement says the feed was read.
func (a *Acknowledgement) Cursor() FeedCursor {
	return FeedCursor{Revision: a.Revision, Changes: a.Changes, Hash: a.Hash}
}

// LastKept is how far the subscriber acknowledged that it has its feed on disk; nil: not at all in this epoch. What was only received
// may be lost again.
func (s *Subscriber) LastKept() *FeedCursor {
	a := s.Acknowledged(feed.Durable)
	if a == nil {
		return nil
	}
	c := a.Cursor()
	return &c
}
