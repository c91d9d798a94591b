package server

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/dncd/dncd/internal/access"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type changeStream = grpc.ServerStreamingServer[dncv1.WatchResponse]

const (
	heartbeat       = 5 * time.Second // between cursors on a stream without changes; it varies by up to a tenth
	checkpointEvery = time.Second     // at most one checkpoint in this time
	watchBytes      = 256 << 10       // of changes in a message, and less than one change more
)

// Watch implements dncv1.PropagationServiceServer.
func (s *propagationService) Watch(req *dncv1.WatchRequest, stream changeStream) error {
	ctx := stream.Context()
	v := s.store.View()
	t, err := s.target(ctx, v, req)
	if err != nil {
		return err
	}
	if err := s.noteAccess(ctx, "PropagationService/Watch", t.accessed()); err != nil {
		return err
	}
	after, err := s.watchAfter(t, v, req)
	if err != nil {
		return err
	}
	reader, err := s.store.OpenFeed(t.query(after))
	if err != nil {
		return err
	}
	defer reader.Close()
	defer s.join(callerOf(ctx), t.subscriber)()
	w := &watcher{s: s, t: t, caller: callerOf(ctx), reader: reader, stream: stream}
	return w.run(ctx)
}

// watchAfter is the cursor that a stream begins after: from now on, if the request names none.
func (s *propagationService) watchAfter(t *feedTarget, v *store.View, req *dncv1.WatchRequest) (store.FeedCursor, error) {
	switch {
	case req.GetAfter() != nil:
		return s.readCursor(t, v, req.GetAfter())
	case t.subscriber != nil:
		return store.FeedCursor{}, invalidField("after", "is required for a subscriber: get its feed first, and watch from that feed's cursor")
	}
	return store.FeedCursor{Revision: v.Revision()}, nil
}

// watcher is one stream of changes. It keeps nothing but its place: what it sends, it reads when there is room.
type watcher struct {
	s      *propagationService
	t      *feedTarget
	caller *access.Grant
	reader *store.Feed
	stream changeStream

	unsigned bool      // changes were sent after the last checkpoint
	signed   time.Time // when that was sent
}

func (w *watcher) run(ctx context.Context) error {
	age := time.NewTimer(jittered(w.s.connectionAge))
	defer age.Stop()
	beat := time.NewTimer(0) // the first cursor says that the stream is open
	defer beat.Stop()
	for {
		sent, err := w.sendNew()
		if err != nil {
			return err
		}
		if sent {
			beat.Reset(w.untilBeat())
			w.rest(ctx)
		}
		select {
		case <-w.reader.Wake():
		case <-beat.C:
			if err := w.sendCursor(false); err != nil {
				return err
			}
			beat.Reset(w.untilBeat())
		case <-age.C:
			return w.sendCursor(true)
		case <-w.s.draining:
			if err := w.sendCursor(true); err != nil {
				return err
			}
			return store.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rest waits until the stream may send again: the longer, the more streams have just sent. What comes meanwhile goes out in one message.
// A stream that did not send lately need not wait.
func (w *watcher) rest(ctx context.Context) {
	turn := time.NewTimer(w.s.turns.Reserve().Delay())
	defer turn.Stop()
	select {
	case <-turn.C:
	case <-w.s.draining:
	case <-ctx.Done():
	}
}

// untilBeat is when the next cursor is due, also when nothing changes: soon, while changes were sent that no checkpoint covers.
func (w *watcher) untilBeat() time.Duration {
	if w.unsigned && w.t.subscriber != nil {
		return max(checkpointEvery-time.Since(w.signed), 0)
	}
	return jittered(heartbeat)
}

// sendNew sends what there is, and reports whether that was anything.
func (w *watcher) sendNew() (sent bool, err error) {
	for {
		batch, err := w.reader.Read(w.stream.Context(), watchBytes)
		if err != nil {
			return sent, err
		}
		if len(batch.Changes) > 0 {
			if err := w.send(batch, false); err != nil {
				return sent, err
			}
			sent = true
		}
		if !batch.More {
			return sent, nil
		}
		select {
		case <-w.s.draining:
			return sent, nil
		default:
		}
	}
}

// sendCursor says how far the feed is.
func (w *watcher) sendCursor(last bool) error {
	batch, err := w.reader.Read(w.stream.Context(), watchBytes)
	if err != nil {
		return err
	}
	return w.send(batch, last)
}

// send sends a batch, with a checkpoint if one is due or it is the last.
func (w *watcher) send(batch store.FeedBatch, last bool) error {
	if err := w.stands(batch.View); err != nil {
		return err
	}
	cursor := w.s.cursorMessage(w.t, batch.View, batch.Cursor)
	m := &dncv1.WatchResponse{Cursor: cursor, Changes: changeMessages(batch.Changes)}
	w.unsigned = w.unsigned || len(batch.Changes) > 0
	if due := last || time.Since(w.signed) >= checkpointEvery; due && w.unsigned && w.t.subscriber != nil && cursor.GetPart() == 0 {
		var err error
		if m.Checkpoint, err = w.s.checkpoint(w.t, batch.View, batch.Cursor); err != nil {
			return err
		}
		if w.signed.IsZero() {
			m.ServerKey = w.s.serverKey()
		}
		w.unsigned, w.signed = false, time.Now()
	}
	return w.stream.Send(m)
}

// stands ends the stream once the subscriber's epoch has ended, or the caller may no longer speak for it.
func (w *watcher) stands(v *store.View) error {
	if w.t.subscriber == nil {
		return nil
	}
	now, err := stillThere(w.t.subscriber, v)
	if err != nil {
		return err
	}
	return mayReadFeed(w.caller, now)
}
