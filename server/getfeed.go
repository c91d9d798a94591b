package server

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type feedStream = grpc.ServerStreamingServer[dncv1.GetFeedResponse]

// GetFeed implements dncv1.PropagationServiceServer.
func (s *propagationService) GetFeed(req *dncv1.GetFeedRequest, stream feedStream) error {
	v := s.store.View()
	t, err := s.target(stream.Context(), v, req)
	if err != nil {
		return err
	}
	if err := s.noteAccess(stream.Context(), "PropagationService/GetFeed", t.accessed()); err != nil {
		return err
	}
	ctx, cancel := s.untilStopping(stream.Context())
	defer cancel()
	err = s.sendFeed(ctx, t, v, req, stream)
	if err != nil && ctx.Err() != nil && stream.Context().Err() == nil {
		return store.ErrClosed
	}
	return err
}

func (s *propagationService) sendFeed(ctx context.Context, t *feedTarget, v *store.View, req *dncv1.GetFeedRequest, stream feedStream) error {
	after, err := s.feedAfter(t, v, req)
	if err != nil {
		return err
	}
	f, err := s.feedAt(ctx, t, v, after)
	if req.GetSinceAcknowledged() && (errors.Is(err, store.ErrHistoryGone) || err == nil && f.OnlyFromAfter()) {
		f, err = s.feedAt(ctx, t, v, nil)
	}
	if err != nil {
		return err
	}
	w := &feedWriter{f: f, stream: stream}
	if err := w.header(s, t); err != nil {
		return err
	}
	if err := w.rows(ctx); err != nil {
		return err
	}
	if err := w.lists(ctx); err != nil {
		return err
	}
	return w.end(s, t)
}

// feedAfter is the cursor that a feed begins after; nil: it is a snapshot.
func (s *propagationService) feedAfter(t *feedTarget, v *store.View, req *dncv1.GetFeedRequest) (*store.FeedCursor, error) {
	switch {
	case req.GetAfter() != nil && req.GetSinceAcknowledged():
		return nil, invalidField("since_acknowledged", "contradicts after: give one of them")
	case req.GetAfter() != nil:
		c, err := s.readCursor(t, v, req.GetAfter())
		if err == nil && c.Part != 0 {
			err = invalidField("after", "is within a change: give the last cursor without a part, or none")
		}
		return &c, err
	case req.GetSinceAcknowledged() && t.subscriber == nil:
		return nil, invalidField("since_acknowledged", "is about a subscriber: name one")
	case req.GetSinceAcknowledged():
		return t.subscriber.LastKept(), nil
	}
	return nil, nil
}

// feedAt reads a feed at the newest view, and says where its log is.
func (s *propagationService) feedAt(ctx context.Context, t *feedTarget, v *store.View, after *store.FeedCursor) (*store.FeedAt, error) {
	if after != nil {
		f, err := s.store.FeedSince(ctx, t.query(*after))
		if err == nil && t.subscriber != nil {
			_, err = stillThere(t.subscriber, f.View)
		}
		return f, err
	}
	at := store.FeedCursor{Revision: v.Revision()}
	if t.subscriber != nil {
		var err error
		if at, err = s.store.FeedLog(ctx, t.subscriber, v.Revision()); err != nil {
			return nil, err
		}
	}
	return s.store.FeedSnapshot(v, t.filter, at), nil
}

// stillThere returns the subscriber as it is in a later view. Errors: SUBSCRIBER_NOT_FOUND; FILTER_CHANGED once its epoch ended.
func stillThere(sub *store.Subscriber, v *store.View) (*store.Subscriber, error) {
	now := v.Subscribers().ByID(sub.ID)
	switch {
	case now == nil:
		return nil, aboutSubscriber(sub.Name, store.ErrSubscriberNotFound)
	case now.Epoch != sub.Epoch:
		return nil, filterChanged()
	}
	return now, nil
}

// feedWriter sends a feed in frames and adds up its summary.
type feedWriter struct {
	f       *store.FeedAt
	stream  feedStream
	chunk   []*dncv1.FeedRow
	summary dncv1.FeedSummary
}

// feedChunkRows is how many rows of opt-outs a frame has: some 100 KiB.
const feedChunkRows = 4096

func (w *feedWriter) header(s *propagationService, t *feedTarget) error {
	h := &dncv1.FeedHeader{Cursor: s.cursorMessage(t, w.f.View, w.f.Cursor), Gone: eventIDs(w.f.Gone()), InDoubt: eventIDs(w.f.InDoubt()), Time: stamp(w.f.View.Time())}
	if w.f.After != (store.FeedCursor{}) {
		h.After = s.cursorMessage(t, w.f.View, w.f.After)
	}
	h.Filter = &dncv1.FeedFilter{Scopes: scopeTexts(t.filter.Scopes)}
	for _, l := range w.f.Lists() {
		h.Lists = append(h.Lists, &dncv1.FeedList{
			Id: eventID(l.ID), Name: l.Name, Scope: string(l.Scope), Numbers: l.Numbers, ContentSha256: l.ContentSHA256(),
		})
	}
	for _, id := range t.filter.Lists {
		if l := w.f.View.ListByID(id); l != nil {
			h.Filter.Lists = append(h.Filter.Lists, l.Name)
		}
	}
	return w.stream.Send(&dncv1.GetFeedResponse{Frame: &dncv1.GetFeedResponse_Header{Header: h}})
}

func (w *feedWriter) rows(ctx context.Context) error {
	for row, err := range w.f.Rows(ctx) {
		if err != nil {
			return err
		}
		w.summary.Set += one(!row.Removed)
		w.summary.Removed += one(row.Removed)
		w.chunk = append(w.chunk, &dncv1.FeedRow{
			Number: uint64(row.Number), Scope: string(row.Scope), Until: stamp(row.Until), Removed: row.Removed, StillBlocked: row.StillBlocked,
		})
		if len(w.chunk) == feedChunkRows {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

func one(counts bool) uint64 {
	if counts {
		return 1
	}
	return 0
}

func (w *feedWriter) flush() error {
	if len(w.chunk) == 0 {
		return nil
	}
	err := w.send(&dncv1.FeedChunk{Rows: w.chunk})
	w.chunk = nil
	return err
}

func (w *feedWriter) send(c *dncv1.FeedChunk) error {
	return w.stream.Send(&dncv1.GetFeedResponse{Frame: &dncv1.GetFeedResponse_Chunk{Chunk: c}})
}

func (w *feedWriter) lists(ctx context.Context) error {
	for part, err := range w.f.ListParts(ctx) {
		if err != nil {
			return err
		}
		c := &dncv1.FeedChunk{ListRows: &dncv1.FeedListRows{List: eventID(part.List), Removed: part.Removed, Ascending: part.Ascending}}
		if part.Removed {
			w.summary.ListRemoved += uint64(part.Numbers)
			if c.StillBlocked, err = w.stillBlocked(part.Ascending); err != nil {
				return err
			}
		} else {
			w.summary.ListAdded += uint64(part.Numbers)
		}
		if err := w.send(c); err != nil {
			return err
		}
	}
	return nil
}

// stillBlocked are the places, among numbers that went from a list, of those that another row of the feed blocks.
func (w *feedWriter) stillBlocked(run []byte) (places []uint32, err error) {
	numbers, err := ascending.Decode(nil, run)
	if err != nil {
		return nil, err
	}
	for i, n := range numbers {
		blocked, err := w.f.Blocks(phone.Number(n))
		if err != nil {
			return nil, err
		}
		if blocked {
			places = append(places, uint32(i))
		}
	}
	return places, nil
}

func (w *feedWriter) end(s *propagationService, t *feedTarget) (err error) {
	if t.subscriber != nil {
		if w.summary.Checkpoint, err = s.checkpoint(t, w.f.View, w.f.Cursor); err != nil {
			return err
		}
		w.summary.ServerKey = s.serverKey()
	}
	return w.stream.Send(&dncv1.GetFeedResponse{Frame: &dncv1.GetFeedResponse_Summary{Summary: &w.summary}})
}
