package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	// feedSilence is how long a stream may be silent before it is opened again: the server says every few seconds how far
	// it is.
	feedSilence = 30 * time.Second
	// maxPauses bounds the pause before a stream is opened again, at some 6 s.
	maxPauses = 8
)

// ErrFeedBroken is returned when the server sends what its contract rules out: changes that are repeated, left out or out
// of order, or that do not lead to the hash which it states. Nothing of that message was applied.
var ErrFeedBroken = errors.New("the feed is broken")

func feedBroken(what string) error { return fmt.Errorf("%w: the server sent %s", ErrFeedBroken, what) }

// WatchOption says which feed Watch reads: Subscriber, or Scope and InList, each any number of times. Without
// any it is that of all opt-outs.
type WatchOption interface{ applyWatch(*dncv1.WatchRequest) }

// SubscriberOption is what Subscriber makes.
type SubscriberOption struct{ name string }

// Subscriber reads the feed of a registered subscriber. The caller must be its identity, or an
// admin. Scope and InList do not go with it.
func Subscriber(name string) SubscriberOption { return SubscriberOption{name} }

func (s SubscriberOption) applyWatch(r *dncv1.WatchRequest) {
	r.Feed = &dncv1.WatchRequest_Subscriber{Subscriber: s.name}
}

// InListOption is what InList makes.
type InListOption struct{ list string }

// InList adds a list, by name, to what is watched.
func InList(list string) InListOption { return InListOption{list} }

func (l InListOption) applyWatch(r *dncv1.WatchRequest) {
	f := filterOf(r)
	f.Lists = append(f.Lists, l.list)
}

func (s ScopeOption) applyWatch(r *dncv1.WatchRequest) {
	f := filterOf(r)
	f.Scopes = append(f.Scopes, s.scope)
}

// filterOf is the filter of a request, which is made if it has none.
func filterOf(r *dncv1.WatchRequest) *dncv1.FeedFilter {
	if r.GetFilter() == nil {
		r.Feed = &dncv1.WatchRequest_Filter{Filter: new(dncv1.FeedFilter)}
	}
	return r.GetFilter()
}

// OnBreakOption is what OnBreak makes.
type OnBreakOption struct{ f func(error) }

// OnBreak calls f each time that the stream of a Watch breaks and is opened again, with the reason.
func OnBreak(f func(error)) OnBreakOption { return OnBreakOption{f} }

func (OnBreakOption) applyWatch(*dncv1.WatchRequest) {}

// Watch yields the changes after a cursor as they are committed, in order, each once. After the changes up to a cursor it
// yields a bookmark with that cursor: keep it together with what the changes did, and begin from it the next time. With the
// empty Cursor a feed that is nobody's begins now; a subscriber's begins with Follow.
//
// It has no end. A stream that breaks, or is silent for 30 s, is opened again from the last bookmark after a pause of at most 7 s,
// as often as it takes, also when no server was reached yet. An error is the last thing yielded. It is ctx's, ErrFeedBroken, or one that a retry
// does not fix, among them ErrJournalForked, ErrJournalChanged, ErrFilterChanged, ErrHistoryGone, ErrPermissionDenied, ErrUnauthenticated,
// ErrSubscriberNotFound. Without a deadline of ctx it runs until the caller's loop ends.
//
// A slow loop delays nobody: the server sends on when there is room.
func (c *Client) Watch(ctx context.Context, from Cursor, opts ...WatchOption) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		w, err := c.newWatcher(from, opts)
		if err == nil {
			err = w.run(ctx, func(m *dncv1.WatchResponse) error { return yieldMessage(m, yield) })
		}
		if !errors.Is(err, errStopped) {
			yield(Change{}, err)
		}
	}
}

// yieldMessage yields the changes of a message and its bookmark. All are read before the first is yielded.
func yieldMessage(m *dncv1.WatchResponse, yield func(Change, error) bool) error {
	changes := make([]Change, 0, len(m.GetChanges())+1)
	for _, change := range m.GetChanges() {
		c, err := fromFeedChange(change)
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	changes = append(changes, Change{Kind: ChangeBookmark, Cursor: fromCursor(m.GetCursor())})
	for _, c := range changes {
		if !yield(c, nil) {
			return errStopped
		}
	}
	return nil
}

// watcher reads one feed over as many streams as it takes.
type watcher struct {
	client  *Client
	request *dncv1.WatchRequest // its cursor goes forward
	onBreak func(error)         // nil: none
	order   feedOrder
	breaks  int // streams lost since the last message
}

func (c *Client) newWatcher(from Cursor, opts []WatchOption) (*watcher, error) {
	after, err := from.message()
	if err != nil {
		return nil, err
	}
	w := &watcher{client: c, request: &dncv1.WatchRequest{After: after}}
	filterOf(w.request)
	for _, opt := range opts {
		opt.applyWatch(w.request)
		if b, ok := opt.(OnBreakOption); ok {
			w.onBreak = b.f
		}
	}
	w.order.begin(after)
	return w, nil
}

// takeError is an error of the function that takes messages. No other stream mends it.
type takeError struct{ error }

func (e *takeError) Unwrap() error { return e.error }

// run calls take with each message until it returns an error, ctx ends, or another stream does not help.
func (w *watcher) run(ctx context.Context, take func(*dncv1.WatchResponse) error) error {
	for {
		err := w.stream(ctx, take)
		var taken *takeError
		if errors.As(err, &taken) {
			return taken.error
		}
		if ctx.Err() != nil {
			return fromStatus(ctx.Err())
		}
		e := ofFeed(err)
		if !isMendable(e) || w.client.ctx.Err() != nil {
			return e
		}
		w.breaks++
		if w.onBreak != nil && !errors.Is(err, io.EOF) { // the end of a stream that grew old is no break
			w.onBreak(e)
		}
		if err := pauseFeed(ctx, w.breaks, e); err != nil {
			return err
		}
	}
}

// pauseFeed waits before a feed is opened again after cause. It returns an error when ctx ends first, or would.
func pauseFeed(ctx context.Context, attempt int, cause *Error) error {
	if pause(ctx, min(attempt, maxPauses), cause.retryAfter) {
		return nil
	}
	if ctx.Err() != nil {
		return fromStatus(ctx.Err())
	}
	return cause
}

// errSilent ends a stream that should have said something.
var errSilent = &Error{Reason: reasonUnavailable, Message: "the server was silent for too long", code: codes.Unavailable}

// stream reads from one stream.
func (w *watcher) stream(ctx context.Context, take func(*dncv1.WatchResponse) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(w.client.opts.feedSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	s, err := w.client.pick().propagation.Watch(ctx, w.request, grpc.WaitForReady(false))
	for err == nil {
		silence.Reset(w.client.opts.feedSilence)
		var m *dncv1.WatchResponse
		m, err = s.Recv()
		silence.Stop()
		if err == nil {
			err = w.take(m, take)
		}
	}
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

func (w *watcher) take(m *dncv1.WatchResponse, take func(*dncv1.WatchResponse) error) error {
	err := w.order.take(m)
	if err == nil {
		err = take(m)
	}
	if err != nil {
		return &takeError{err}
	}
	w.request.After, w.breaks = m.GetCursor(), 0
	return nil
}

// ofFeed makes an Error of how a stream ended.
func ofFeed(err error) *Error {
	if errors.Is(err, io.EOF) {
		return &Error{Reason: reasonUnavailable, Message: "the server ended the stream", code: codes.Unavailable}
	}
	return fromStatus(err)
}

// isMendable reports whether a feed may be opened again after an error.
func isMendable(e *Error) bool {
	switch e.code {
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.OutOfRange, codes.PermissionDenied,
		codes.Unauthenticated, codes.Unimplemented:
		return false
	}
	return true
}

// feedOrder finds changes that are repeated or out of order, on one stream and from one to the next.
type feedOrder struct {
	last   EventID // of the changes; rows of lists belong to one that comes later
	cursor *dncv1.FeedCursor
}

func (o *feedOrder) begin(after *dncv1.FeedCursor) { o.cursor = after }

func (o *feedOrder) take(m *dncv1.WatchResponse) error {
	to := m.GetCursor()
	if to.GetPosition().GetRevision() == 0 {
		return feedBroken("a message without a cursor")
	}
	if comparePlaces(to, o.cursor) < 0 {
		return feedBroken("a cursor that goes back")
	}
	for _, c := range m.GetChanges() {
		if c.GetListRows() != nil {
			continue
		}
		id := fromEventID(c.GetId())
		switch {
		case compareIDs(id, o.last) <= 0 || id.Revision <= o.cursor.GetPosition().GetRevision():
			return feedBroken(fmt.Sprintf("a change that was sent before, or out of order, at revision %d", id.Revision))
		case id.Revision > to.GetPosition().GetRevision() && to.GetPart() == 0:
			return feedBroken(fmt.Sprintf("a change behind its cursor, at revision %d", id.Revision))
		}
		o.last = id
	}
	o.cursor = to
	return nil
}

// comparePlaces compares how far two cursors of one feed are. A part is of what comes after the revision.
func comparePlaces(a, b *dncv1.FeedCursor) int {
	return cmp.Or(cmp.Compare(a.GetPosition().GetRevision(), b.GetPosition().GetRevision()), cmp.Compare(a.GetPart(), b.GetPart()))
}

func compareIDs(a, b EventID) int {
	return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Index, b.Index))
}
