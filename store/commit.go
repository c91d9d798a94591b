package store

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/stories"
)

// Limits of the committer. A group stays below Badger's transaction limit (15 % of a memtable) and its revision below
// the largest value.
const (
	queueLen       = 8192
	maxGroupEvents = 1000
	maxGroupBytes  = 512 << 10 // of state; one event adds at most maxEventBytes and one record set, which under former spellings may be six
	maxEventBytes  = 256 << 10
	maxRevision    = 384 << 10 // bytes of events and their stories before the last one
)

// pendingEvent is one event that waits for its commit, with what belongs to it.
type pendingEvent struct {
	ctx     context.Context
	event   *storev1.Event
	bytes   []byte // the event's, as the journal takes it
	story   Story
	sealed  *stories.Sealed // the story
	filter  *filter.Set     // of a load that switches
	replies chan eventReply // holds one
	batch   *batch          // of rows, in place of all of the above but ctx
}

// encode makes the event's bytes, outside the committer, once. Errors: ErrTooLarge.
func (w *pendingEvent) encode() (err error) {
	if w.bytes, err = proto.Marshal(w.event); err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if len(w.bytes) > maxEventBytes {
		return ErrTooLarge
	}
	return nil
}

// reply gives a write its answer, once. A batch takes no other one than what ended it: see batch.answer.
func (w *pendingEvent) reply(a eventReply) {
	if w.batch != nil {
		w.batch.answer(0, a.err)
		return
	}
	w.replies <- a
}

type eventReply struct {
	receipt Receipt
	err     error
}

// Receipt says what a write led to.
type Receipt struct {
	ID        policy.EventID // of the event
	JournalID string
	Tag       string    // of the event's revision; empty if the journal does not show it any more
	Time      time.Time // of the event
	Duplicate bool      // the request id, or a unique opt-out, was known: this is the receipt of the first time
	Ended     int       // opt-outs that a withdrawal ended
}

// submit has an event committed, and returns once it is durable or refused. When ctx ends first the outcome is
// unknown, unless the group had not started: then nothing is written.
func (s *Store) submit(ctx context.Context, w *pendingEvent) (Receipt, error) {
	if err := s.admit(ctx, w); err != nil {
		return Receipt{}, err
	}
	select {
	case s.queue <- w:
		return s.awaitReply(ctx, w)
	default:
		return Receipt{}, ErrBusy
	}
}

// submitWait is submit, but waits for room instead of ErrBusy: for events that end long work.
func (s *Store) submitWait(ctx context.Context, w *pendingEvent) (Receipt, error) {
	if err := s.admit(ctx, w); err != nil {
		return Receipt{}, err
	}
	select {
	case s.queue <- w:
		return s.awaitReply(ctx, w)
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	case <-s.stopped:
		return Receipt{}, ErrClosed
	}
}

// awaitReply waits for the answer to a write that is queued.
func (s *Store) awaitReply(ctx context.Context, w *pendingEvent) (Receipt, error) {
	select {
	case a := <-w.replies:
		return a.receipt, a.err
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	case <-s.stopped:
	}
	select {
	case a := <-w.replies:
		return a.receipt, a.err
	default:
		return Receipt{}, ErrClosed
	}
}

func (s *Store) admit(ctx context.Context, w *pendingEvent) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.isClosing() {
		return ErrClosed
	}
	if err := s.health.stopped(); err != nil {
		return err
	}
	w.ctx, w.replies = ctx, make(chan eventReply, 1)
	return w.encode()
}

// commitLoop is the committer: the only goroutine that commits revisions. Whatever waits when it wakes becomes one.
func (s *Store) commitLoop() {
	defer close(s.stopped)
	var left *pendingEvent // had no room in the group before
	for !s.isClosing() {
		if first := s.nextWrite(left); first != nil {
			left = s.commitGroup(first)
		}
	}
	if left != nil {
		left.reply(eventReply{err: ErrClosed})
	}
	s.refuseWaiting()
}

// nextWrite is the write that begins a group: left, or the first to come; nil when something else came first, or the store
// closes. What runs between two groups comes first, so it waits for one of them at most, however many writes there
// are. Rows of many wait for as long as single writes fill every group: see waiting.
func (s *Store) nextWrite(left *pendingEvent) *pendingEvent {
	select {
	case f := <-s.control:
		f()
	default:
	}
	if s.isClosing() { // what waits is refused
		return nil
	}
	if left != nil {
		return left
	}
	select {
	case w := <-s.queue:
		return w
	case w := <-s.rows:
		return w
	case f := <-s.control:
		f()
	case <-s.closing:
	}
	return nil
}

// between runs f in the committer, between two groups, and waits for it. It reports false when the store closes first.
func (s *Store) between(f func()) bool {
	done := make(chan struct{})
	select {
	case s.control <- func() { f(); close(done) }:
		<-done
		return true
	case <-s.closing:
		return false
	}
}

func (s *Store) refuseWaiting() {
	for {
		select {
		case w := <-s.queue:
			w.reply(eventReply{err: ErrClosed})
		case w := <-s.rows:
			w.reply(eventReply{err: ErrClosed})
		default:
			return
		}
	}
}

// writableNow is called before each group: after a failed commit or on a full disk nothing is written.
func (s *Store) writableNow() error {
	if err := s.health.stopped(); err != nil {
		return err
	}
	if err := s.checkClock(); err != nil {
		return err
	}
	return s.checkSpace(maxGroupBytes)
}

// waiting is the next write of a person that waits, nil for none.
func (s *Store) waiting() *pendingEvent {
	select {
	case w := <-s.queue:
		return w
	default:
		return nil
	}
}

// waitingRows is the next batch that waits, nil for none.
func (s *Store) waitingRows() *pendingEvent {
	select {
	case w := <-s.rows:
		return w
	default:
		return nil
	}
}
