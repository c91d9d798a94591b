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

// session is a stream that is being served. While it waits for its client it can be cut, so that another has its room.
type session struct {
	grpc.ServerStream
	ctx    context.Context // of the stream; ended when the session is cut
	cancel context.CancelCauseFunc
	in     *inbound
	shared *sharedRoom // that it takes room of

	gate  func(size int) error // called with the size of each message before it is read; nil: none
	first func(m any) error    // called with the first message; nil: none

	waits   atomic.Int64 // since when it waits for its client, by sessionClock; 0: it does not
	stalled atomic.Bool  // its client was slow to read

	mu      sync.Mutex
	rooms   []ticket // that it holds, in the order in which it took them
	ended   bool
	dropped chan struct{} // tells that room was dropped
}

// sessionClock counts from the start of the process, and is never 0.
func sessionClock() int64 { return int64(time.Since(processStart)) + 1 }

var processStart = time.Now()

type sessionKey struct{}

func newSession(stream grpc.ServerStream, method string, many bool, shared *sharedRoom) (*session, error) {
	in, err := inboundOf(stream.Context(), method, many)
	if err != nil {
		return nil, err
	}
	s := &session{ServerStream: stream, in: in, shared: shared, dropped: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancelCause(context.WithValue(stream.Context(), sessionKey{}, s))
	shared.join(s)
	return s, nil
}

// sessionOf is the session whose handler has this context.
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
	if err := s.in.read(size, m); err != nil || s.first == nil {
		return err
	}
	begin := s.first
	s.first = nil
	return begin(m)
}

// take returns room for so many units.
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

// drop gives back the room that was taken first.
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

// fits waits until the session holds no room, or no more than most with so many units more.
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

// end gives back what the session holds, once its handler is left to itself.
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

// longStall is how long a client may take to read until what its stream held is given back to the system at its end.
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

// await marks the session as waiting for its client until the result is called.
func (s *session) await() (done func()) {
	s.waits.Store(sessionClock())
	return func() { s.waits.Store(0) }
}

// idle is for how long the session has waited for its client.
func (s *session) idle() time.Duration {
	since := s.waits.Load()
	if since == 0 {
		return 0
	}
	return time.Duration(sessionClock() - since)
}

// unread reports whether the client did not read what it was sent, or went away before the end.
func (s *session) unread() bool {
	return s.stalled.Load() || s.idle() > 0 || s.ServerStream.Context().Err() != nil
}

// errIdle is why a session was cut.
var errIdle = refuse(dncv1.ErrorReason_ERROR_REASON_STREAM_IDLE,
	"the stream waited too long for its client, and another was given its room: open it again; an import continues with its import_id")

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

// sharedRoom is room that sessions take. Where none is left, the session that has waited for its client for longest is
// cut, if that is long enough.
type sharedRoom struct {
	*limiter
	whole *sharedRoom   // that this is a part of; nil: of none
	most  time.Duration // how long a session may wait for its client and keep its room
	queue time.Duration // how long a session waits for room that nobody is about to leave
	quit  time.Duration // how long it waits for that of one which is cut

	mu      sync.Mutex
	all     map[*session]struct{}
	looked  time.Time // when the idlest was looked for
	leaving bool      // what was found
}

func newSharedRoom(l *limiter, most, queue time.Duration) *sharedRoom {
	return &sharedRoom{limiter: l, most: most, queue: queue, quit: leaveTime, all: make(map[*session]struct{})}
}

// part is room of r of which at most so many units are taken at once.
func (r *sharedRoom) part(units int64) *sharedRoom {
	p := newSharedRoom(newFixed(units), r.most, r.queue)
	p.whole = r
	return p
}

// join makes s one of those that may be cut.
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
	leaveTime = time.Second // in which a session that is cut leaves
	roomPoll  = 5 * time.Millisecond
)

// take returns room for so many units, for a while or for as long as s lasts, or errOverloaded.
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

// cutIdlest cuts a session that has waited for its client for too long. It reports whether one is about to leave. However
// many wait for room, the sessions are gone through once in a while.
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
	longest := r.most
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
