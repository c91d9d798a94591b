package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// FeedPart is a part of a feed. The first has the Header and nothing else, the last the Checkpoint with its KeyRotations.
type FeedPart struct {
	Header *FeedHeader
	Rows   []FeedRow
	// Checkpoint is the Cursor of the header as a note that the server signed, and KeyRotations are the notes by which the server's key
	// follows from those before it. Nothing verified them.
	Checkpoint   string
	KeyRotations []string
}

// FeedHeader is what a feed is.
type FeedHeader struct {
	// Cursor up to which the feed is complete, and the Time of its revision.
	Cursor Cursor
	Time   time.Time
	// After is where it begins; empty: it is a snapshot.
	After Cursor
	// Lists of the filter. The rows of one in doubt are not known: a base keeps those that it has.
	Lists []FollowedList
	// Gone are the ids of lists that were deleted: their rows go.
	Gone []string
}

// FeedRow is the final state of a row.
type FeedRow struct {
	Row
	// Removed: it is gone. StillBlocked: but another row of the feed blocks the number, or may block it.
	Removed      bool
	StillBlocked bool
}

// FeedOption is an option of GetFeed.
type FeedOption interface{ applyFeed(*dncv1.GetFeedRequest) }

// SinceAcknowledgedOption is what SinceAcknowledged makes.
type SinceAcknowledgedOption struct{}

// SinceAcknowledged asks for the final state of what was touched since the subscriber's last acknowledgement as durable or applied, which
// may be applied on top of any feed since then. It is a snapshot if there is none in this epoch, or if no difference says it.
func SinceAcknowledged() SinceAcknowledgedOption { return SinceAcknowledgedOption{} }

func (SinceAcknowledgedOption) applyFeed(r *dncv1.GetFeedRequest) { r.SinceAcknowledged = true }

// GetFeed yields the feed of a subscriber at one moment, in parts: without an option a snapshot, which is everything that it
// should hold. First come the rows of opt-outs, by ascending number and scope, then those of each list.
//
// An error is the last thing yielded, and then what came before it is not the whole: also when the stream was cut, or the rows
// are not those that the server counted. ErrHistoryGone: only a snapshot can be had. There is no
// deadline but that of ctx, and nothing is tried again.
func (c *Client) GetFeed(ctx context.Context, subscriber string, opts ...FeedOption) iter.Seq2[FeedPart, error] {
	return func(yield func(FeedPart, error) bool) {
		request := &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Subscriber{Subscriber: subscriber}}
		for _, opt := range opts {
			opt.applyFeed(request)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.pick().propagation.GetFeed(ctx, request)
		if err != nil {
			yield(FeedPart{}, fromStatus(err))
			return
		}
		if err := yieldFeed(stream.Recv, yield); err != nil && !errors.Is(err, errStopped) {
			yield(FeedPart{}, err)
		}
	}
}

func yieldFeed(receive func() (*dncv1.GetFeedResponse, error), yield func(FeedPart, error) bool) error {
	r := new(feedReader)
	next := func(p FeedPart) error {
		if !yield(p, nil) {
			return errStopped
		}
		return nil
	}
	err := r.read(receive,
		func() error { return next(FeedPart{Header: r.publicHeader()}) },
		func(rows []FeedRow) error { return next(FeedPart{Rows: rows}) })
	if err != nil {
		return err
	}
	note := r.summary.GetCheckpoint()
	at, _, err := feed.ReadCheckpoint(note)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFeedBroken, err)
	}
	if err := isOfCursor(at, r.header.GetCursor()); err != nil {
		return err
	}
	return next(FeedPart{Checkpoint: string(note), KeyRotations: textsOf(r.summary.GetServerKey().GetRotations())})
}

func (r *feedReader) publicHeader() *FeedHeader {
	h := &FeedHeader{Cursor: fromCursor(r.header.GetCursor()), Time: fromTime(r.header.GetTime())}
	if !r.isSnapshot() {
		h.After = fromCursor(r.header.GetAfter())
	}
	for _, l := range r.lists {
		h.Lists = append(h.Lists, FollowedList{ID: l.id, Name: l.GetName(), Scope: l.GetScope(), InDoubt: l.inDoubt})
	}
	for _, id := range r.header.GetGone() {
		h.Gone = append(h.Gone, listID(id))
	}
	return h
}
