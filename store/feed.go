package store

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/badgerdir"
)

// ErrFeedCursor is a cursor that lies behind the end of its revision's changes: it is another feed's.
var ErrFeedCursor = errors.New("the cursor is not one of this feed")

// FeedCursor is how far a feed was read: all of Revision, and a part of the revision after it.
type FeedCursor struct {
	Revision uint64
	Part     uint32    // units of the next revision that were read: changes, and parts of the numbers that come before them
	Changes  uint64    // n; 0 for a feed that is nobody's
	Hash     feed.Hash // h(n); zero for a feed that is nobody's
}

// FeedQuery asks for a feed.
type FeedQuery struct {
	Filter     feed.Filter
	Subscriber policy.EventID // zero: the feed is nobody's, and has neither log nor blinds
	After      FeedCursor

	UpTo        uint64 // the revision to stop at; 0: none
	WithoutRows bool   // leave out the numbers that come and go with a list. The parts of a cursor are others then
}

// FeedBatch is changes of a feed, in order.
type FeedBatch struct {
	Changes []FeedChange
	Cursor  FeedCursor // after them
	View    *View      // that they were read from
	More    bool       // there may be more up to the view, also if there is no change here; else the cursor is at the view's revision
}

// FeedChange is a change, or numbers that come or go with the change of a list that follows.
type FeedChange struct {
	feed.Change // with Rows only ID and List
	Time        time.Time
	Blind       feed.Hash
	Rows        *FeedRows // these count for nothing in the log
}

// Feed reads the changes that concern a filter. It is for one goroutine, except for Wake. After an error it is over: open
// another one from the last cursor.
//
// Near the newest revision all feeds share what they read. Far behind, an index names the next revision that concerns the
// filter, so that a feed costs what it carries, however long the journal is. A feed that waits costs a commit
// that does not concern it nothing.
type Feed struct {
	s       *Store
	topics  *topicSet
	cursor  FeedCursor
	upTo    uint64 // see FeedQuery
	noRows  bool
	log     feedLog
	at      *feedPlace    // within a revision; nil: between two
	behind  *changeIndex  // nil: not needed so far
	touched atomic.Uint64 // the last revision that touched the filter, or may have
	wake    chan struct{}
}

// scanned is how many revisions a Read looks into that do not concern the filter, where nothing names those that do.
const scanned = 10_000

// OpenFeed opens a feed, which must be closed. Errors: ErrFutureRevision, feed.ErrFilter.
func (s *Store) OpenFeed(q FeedQuery) (*Feed, error) {
	if err := q.Filter.Check(); err != nil {
		return nil, err
	}
	f := &Feed{
		s: s, topics: newTopicSet(q.Filter), cursor: q.After, upTo: q.UpTo, noRows: q.WithoutRows, log: feedLog{s: s, subscriber: q.Subscriber},
		wake: make(chan struct{}, 1),
	}
	if last := s.feeds.view.Load().revision; q.After.Revision > last || q.After.Revision == last && q.After.Part > 0 {
		return nil, ErrFutureRevision
	}
	s.feeds.add(f)
	return f, nil
}

// Wake is signalled after a commit that touched the filter; sometimes for nothing.
func (f *Feed) Wake() <-chan struct{} { return f.wake }

// Close ends the feed.
func (f *Feed) Close() {
	f.s.feeds.remove(f)
	f.leave()
}

// Read reads changes up to about maxBytes, and at least one if there is any. It waits for no commit. Errors: ErrFeedCursor,
// ErrDamaged, ErrClosed, ErrDiskFull, and the context's.
func (f *Feed) Read(ctx context.Context, maxBytes int) (b FeedBatch, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	b.View = f.s.feeds.view.Load()
	defer f.closeIndex()
	for size, looked := 0, 0; ; looked++ {
		if err := f.s.feedStopped(ctx); err != nil {
			return FeedBatch{}, err
		}
		if b.More = size >= maxBytes || looked == scanned; b.More {
			break
		}
		if f.at == nil {
			if found, err := f.enterNext(ctx, b.View); err != nil || !found {
				if err != nil {
					return FeedBatch{}, err
				}
				break
			}
		}
		n, err := f.take(ctx, &b, maxBytes-size)
		if err != nil {
			return FeedBatch{}, err
		}
		size += n
	}
	b.Cursor = f.cursor
	return b, b.View.complete()
}

// closeIndex closes what the index has open. It keeps its place.
func (f *Feed) closeIndex() {
	if f.behind != nil {
		f.behind.close()
	}
}

// enterNext enters the next revision that may concern the filter. Found is false when the view has none: then all of it was
// read.
func (f *Feed) enterNext(ctx context.Context, v *View) (found bool, err error) {
	next := f.cursor.Revision + 1
	if f.cursor.Part == 0 {
		if next, err = f.next(v); err != nil {
			return false, err
		}
	}
	if next == 0 {
		f.cursor.Revision = f.last(v)
		return false, nil
	}
	rev, err := f.s.feeds.recent.get(next, f.s.readFeedRevision)
	if err != nil {
		return false, err
	}
	f.cursor.Revision = next - 1
	f.at = newFeedPlace(rev, f.topics)
	f.at.noRows = f.noRows
	if f.cursor.Part > 0 {
		err = f.at.skip(ctx, f.s, f.cursor.Part)
	}
	return true, err
}

// last is the last revision to read from a view.
func (f *Feed) last(v *View) uint64 {
	if f.upTo != 0 {
		return min(f.upTo, v.revision)
	}
	return v.revision
}

// next is the next revision of the view that may concern the filter; 0: there is none.
func (f *Feed) next(v *View) (uint64, error) {
	next, err := f.nextIn(v)
	if next > f.last(v) {
		next = 0
	}
	return next, err
}

func (f *Feed) nextIn(v *View) (uint64, error) {
	after := f.cursor.Revision
	if f.touched.Load() <= after || after >= f.last(v) {
		return 0, nil
	}
	if next, known := f.s.feeds.recent.after(after, v.revision, f.topics); known {
		f.closeIndex()
		f.behind = nil
		return next, nil
	}
	for {
		if f.behind == nil || f.behind.upTo <= after {
			f.closeIndex()
			f.behind = v.indexOf(f.topics)
			if err := f.behind.begin(after); err != nil {
				return 0, err
			}
		}
		next, found, err := f.behind.nextFor(after)
		if err != nil || found {
			return next, err
		}
		if after = f.behind.upTo; after >= v.revision {
			return 0, nil
		}
	}
}

// take takes units of the revision, until it is over or there is no more room. It returns about how many bytes they have.
func (f *Feed) take(ctx context.Context, b *FeedBatch, room int) (size int, err error) {
	for size < room && !f.at.isEnd() {
		c, err := f.at.unit(ctx, f.s)
		if err != nil {
			return size, err
		}
		if c.Rows == nil {
			f.log.add(&c, &f.cursor)
		}
		f.cursor.Part++
		size += c.size()
		b.Changes = append(b.Changes, c)
	}
	if f.at.isEnd() {
		f.cursor.Revision, f.cursor.Part = f.at.rev.revision, 0
		f.leave()
	}
	return size, nil
}

// size is about how many bytes a change has in a message.
func (c *FeedChange) size() int {
	size := 96 + len(c.Scope) + len(c.Name)
	if c.Rows != nil {
		size += len(c.Rows.Ascending)
	}
	return size
}

// leave leaves the revision.
func (f *Feed) leave() {
	if f.at != nil {
		f.at.close()
		f.at = nil
	}
}
