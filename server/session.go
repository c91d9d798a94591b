package server

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// session is a stream that is being served. While it waits for its client it can be cut, so that another session gets
// its room.
type session struct {
	grpc.ServerStream
	ctx    context.Context // of the stream; it ends when the session is cut
	cancel context.CancelCauseFunc
	in     *inbound
	shared *sharedRoom // the room that it takes part of

	gate  func(size int) error // called with the size of each message before it is read; nil: none
	first func(m any) error    // called with the first message; nil: none

	waits   atomic.Int64 // when it began to wait for its client, by sessionClock; 0: it does not wait
	rest    atomic.Int64 // the same, for the rest of a message, which may take messageTime
	stalled atomic.Bool  // its client was slow to read

	mu      sync.Mutex
	rooms   []ticket // the room that it holds, oldest first
	ended   bool
	dropped chan struct{} // receives when room was dropped
}

// sessionClock counts from the start of the process, and is never 0.
func sessionClock() int64 { return int64(time.Since(processStart)) + 1 }

var processStart = time.Now()

type sessionKey struct{}

func newSession(ctx context.Context, stream grpc.ServerStream, method string, many bool, shared *sharedRoom) (*session, error) {
	in, err := inboundOf(ctx, method, many)
	if err != nil {
		return nil, err
	}
	s := &session{ServerStream: stream, in: in, shared: shared, dropped: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancelCause(context.WithValue(ctx, sessionKey{}, s))
	shared.join(s)
	return s, nil
}

// sessionOf returns the session whose handler has this context.
func sessionOf(ctx context.Context) *session { return ctx.Value(sessionKey{}).(*session) }

// Context implements grpc.ServerStream.
func (s *session) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *session) RecvMsg(m any) error {
	size, err := s.in.next()
	if err != nil {
		return err
	}
	if s.gate != nil {
		if err := s.gate(size); err != nil {
			return err
		}
	}
	s.rest.Store(sessionClock())
	err = s.in.read(size, m)
	s.rest.Store(0)
	if err != nil || s.first == nil {
		return err
	}
	begin := s.first
	s.first = nil
	return begin(m)
}

// take returns room for that many units.
func (s *session) take(units int) (ticket, error) { return s.shared.take(s.ctx, units) }

// hold keeps room until it is dropped, or the session ends.
func (s *session) hold(room ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		room.leave()
		return
	}
	s.rooms = append(s.rooms, room)
}

// drop returns the oldest room.
func (s *session) drop() {
	s.mu.Lock()
	if len(s.rooms) > 0 {
		s.rooms[0].leave()
		s.rooms = slices.Delete(s.rooms, 0, 1)
	}
	s.mu.Unlock()
	select {
	case s.dropped <- struct{}{}:
	default:
	}
}

// fits waits until the session holds no room, or at most most including that many further units.
func (s *session) fits(units, most int) error {
	for {
		if held := s.held(); held == 0 || held+units <= most {
			return nil
		}
		select {
		case <-s.dropped:
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

// held is how much room the session holds.
func (s *session) held() (units int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, room := range s.rooms {
		units += int(room.units)
	}
	return units
}

// end returns what the session holds, when nothing waits for its handler any more.
func (s *session) end() {
	s.mu.Lock()
	s.ended = true
	for _, room := range s.rooms {
		room.leave()
	}
	s.rooms = nil
	s.mu.Unlock()
	s.cancel(nil)
	s.shared.leave(s)
}

// longStall is how long a client may take to read. When a stream stalled longer, its memory is returned to the system
// at its end.
const longStall = time.Second

// SendMsg implements grpc.ServerStream. It waits while the client does not read.
func (s *session) SendMsg(m any) error {
	began := sessionClock()
	s.waits.Store(began)
	err := s.ServerStream.SendMsg(m)
	s.waits.Store(0)
	if sessionClock()-began > int64(longStall) {
		s.stalled.Store(true)
	}
	return err
}

// await marks the session as waiting for its client until done is called.
func (s *session) await() (done func()) {
	s.waits.Store(sessionClock())
	return func() { s.waits.Store(0) }
}

// idle is how long the session has waited for its client. The first messageTime of waiting for the rest of a message do
// not count: the message may be on its way.
func (s *session) idle() time.Duration {
	now := sessionClock()
	since := now
	if began := s.waits.Load(); began != 0 {
		since = began
	}
	if began := s.rest.Load(); began != 0 {
		since = min(since, began+int64(messageTime))
	}
	return time.Duration(now - since)
}

// unread reports whether the client did not read what it was sent, or left before the end.
func (s *session) unread() bool {
	return s.stalled.Load() || s.idle() > 0 || s.ServerStream.Context().Err() != nil
}

// errIdle is why a session was cut.
var errIdle = refuse(dncv1.ErrorReason_ERROR_REASON_STREAM_IDLE,
	"the stream waited too long for its client, and another was given its room: open it again; an import continues with its import_id")

// errSlowMessage is why a unary call was ended.
var errSlowMessage = refuse(dncv1.ErrorReason_ERROR_REASON_STREAM_IDLE,
	"the message did not arrive within 10 s: nothing was done; send it again")

// errNoHeader is why a stream that sent nothing was cut.
var errNoHeader = refuse(dncv1.ErrorReason_ERROR_REASON_STREAM_IDLE,
	"the first message did not come within 10 s: open the stream when there is something to send")

// reason is why the session was cut; nil when its client ended it.
func (s *session) reason() error {
	if s.ServerStream.Context().Err() == nil {
		return context.Cause(s.ctx)
	}
	return nil
}

// sharedRoom is room that sessions share. When none is left, the session that has waited longest for its client is cut,
// if it has waited longer than idleLimit.
type sharedRoom struct {
	*limiter
	whole     *sharedRoom   // the room that this is a part of; nil: none
	idleLimit time.Duration // how long a session may wait for its client and keep its room
	queue     time.Duration // how long a session waits for room when none is about to become free
	quit      time.Duration // how long it waits for the room of a session that is being cut

	mu      sync.Mutex
	all     map[*session]struct{}
	looked  time.Time // when findIdlest last ran
	leaving bool      // what it returned
}

func newSharedRoom(l *limiter, idleLimit, queue time.Duration) *sharedRoom {
	return &sharedRoom{limiter: l, idleLimit: idleLimit, queue: queue, quit: leaveTime, all: make(map[*session]struct{})}
}

// part is a part of r with room for that many units.
func (r *sharedRoom) part(units int64) *sharedRoom {
	p := newSharedRoom(newFixed(units), r.idleLimit, r.queue)
	p.whole = r
	return p
}

// join adds s to the sessions that may be cut.
func (r *sharedRoom) join(s *session) {
	if r.whole != nil {
		r.whole.join(s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[s] = struct{}{}
}

func (r *sharedRoom) leave(s *session) {
	if r.whole != nil {
		r.whole.leave(s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, s)
}

const (
	leaveTime = time.Second // how long a session that is cut may take to leave
	roomPoll  = 5 * time.Millisecond
)

// take returns room for that many units, or errOverloaded after a wait.
func (r *sharedRoom) take(ctx context.Context, units int) (ticket, error) {
	t, err := r.takeOwn(ctx, units)
	if r.whole == nil {
		return t, err
	}
	if err != nil {
		r.whole.refused.Add(1)
		return t, err
	}
	if _, err := r.whole.take(ctx, units); err != nil {
		t.leave()
		return ticket{}, err
	}
	t.whole = r.whole.limiter
	return t, nil
}

// takeOwn is take without the room that r is a part of.
func (r *sharedRoom) takeOwn(ctx context.Context, units int) (ticket, error) {
	began := time.Now()
	for {
		if t, ok := r.try(units); ok {
			return t, nil
		}
		wait := r.queue
		if r.cutIdlest() {
			wait = max(wait, r.quit)
		}
		if time.Since(began) >= wait {
			return r.enter(units)
		}
		select {
		case <-time.After(roomPoll):
		case <-ctx.Done():
			return ticket{}, ctx.Err()
		}
	}
}

// cutIdlest cuts a session that has waited too long for its client. It reports whether one is about to leave. However
// many callers wait for room, it searches the sessions at most once per roomPoll.
func (r *sharedRoom) cutIdlest() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) >= roomPoll {
		r.leaving = r.findIdlest()
		r.looked = time.Now()
	}
	return r.leaving
}

// findIdlest is cutIdlest while r.mu is held.
func (r *sharedRoom) findIdlest() bool {
	var idlest *session
	longest := r.idleLimit
	for s := range r.all {
		if s.ctx.Err() != nil {
			return true
		}
		if idle := s.idle(); idle >= longest {
			idlest, longest = s, idle
		}
	}
	if idlest == nil {
		return false
	}
	idlest.cancel(errIdle)
	return true
}
