package store

import (
	"context"
	"sync"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
)

// feedLogs remembers how far the log of each subscriber was worked out last, since the store was opened. The zero value
// remembers nothing.
type feedLogs struct {
	mu    sync.Mutex
	known map[logID]FeedCursor
}

// logID names one log of a subscriber.
type logID struct {
	subscriber policy.EventID
	epoch      uint64
}

// upTo is what is known of a log at a revision or before it.
func (l *feedLogs) upTo(id logID, revision uint64) (c FeedCursor, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, known = l.known[id]
	return c, known && c.Revision <= revision
}

func (l *feedLogs) remember(id logID, c FeedCursor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[logID]FeedCursor{}
	}
	l.known[id] = c
}

// FeedLog works out where the log of a subscriber is at a revision of its epoch: how many changes it has, and the hash that they
// lead to. It begins at the nearest place that is known: the last acknowledgement, what was worked out before, else the
// beginning of the epoch, for which it reads all rows of the filter. Errors: ErrDamaged, ErrHistoryGone, ErrClosed, and the context's.
func (s *Store) FeedLog(ctx context.Context, sub *Subscriber, revision uint64) (FeedCursor, error) {
	id := logID{sub.ID, sub.Epoch}
	from, err := s.logBefore(ctx, sub, revision)
	if err != nil {
		return FeedCursor{}, err
	}
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
	}
	s.logs.remember(id, from)
	return from, nil
}

// logBefore is the nearest known place of a log at a revision or before it.
func (s *Store) logBefore(ctx context.Context, sub *Subscriber, revision uint64) (FeedCursor, error) {
	best, known := s.logs.upTo(logID{sub.ID, sub.Epoch}, revision)
	for stage := feed.Received; stage <= feed.Applied; stage++ {
		if a := sub.Acknowledged(stage); a != nil && a.Revision <= revision && (!known || a.Revision > best.Revision) {
			best, known = a.Cursor(), true
		}
	}
	if known {
		return best, nil
	}
	return s.logStart(ctx, sub)
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
	c := FeedCursor{Revision: sub.Epoch, Hash: feed.Start(sub.ID, sub.Epoch, sub.Filter.Hash(), digest.SHA256)}
	s.logs.remember(logID{sub.ID, sub.Epoch}, c)
	return c, nil
}

// Cursor is how far the acknowledgement says the feed was read.
func (a *Acknowledgement) Cursor() FeedCursor {
	return FeedCursor{Revision: a.Revision, Changes: a.Changes, Hash: a.Hash}
}

// LastAcknowledged is how far the subscriber acknowledged its feed, at any stage; nil: not at all in this epoch.
func (s *Subscriber) LastAcknowledged() *FeedCursor {
	var last *Acknowledgement
	for stage := feed.Received; stage <= feed.Applied; stage++ {
		if a := s.Acknowledged(stage); a != nil && (last == nil || a.Revision > last.Revision) {
			last = a
		}
	}
	if last == nil {
		return nil
	}
	c := last.Cursor()
	return &c
}
