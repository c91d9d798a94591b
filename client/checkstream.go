package client

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	// maxChecks and maxCheckBytes keep a message below the contract's limits, 10,000
	// checks and 256 KiB.
	maxChecks     = 1000
	maxCheckBytes = 200 << 10
	// checkOverhead is more than a check takes in a message besides its texts.
	checkOverhead = 64
	// maxPending is how many checks of one stream may be unanswered.
	maxPending = 1 << slotBits
	slotBits   = 14
	// freeBytes is how much may be unanswered for gRPC to take more without waiting: less
	// than the 64 KiB that a stream may hold before the connection has taken them.
	freeBytes = 32 << 10
	// restAfter is how long a stream carries nothing to count as idle: less than any proxy
	// waits before it ends one, and longer than a busy client pauses.
	restAfter = 100 * time.Millisecond
)

// checkStream is one StreamChecks call that many checks share. A caller that adds a check
// while no one sends becomes the sender; checks added meanwhile go into the next message.
type checkStream struct {
	lane   *lane
	ctx    context.Context
	cancel context.CancelFunc
	age    *time.Timer   // when it gives way, then when it is cut
	turn   chan struct{} // passes the sender's part to the goroutine that may wait

	// rpc is set when open is; request belongs to the sender.
	rpc     grpc.BidiStreamingClient[dncv1.StreamChecksRequest, dncv1.StreamChecksResponse]
	request dncv1.StreamChecksRequest

	mu      sync.Mutex
	table   table
	queue   []*call   // not sent yet; some may be left
	open    bool      // the call exists
	heard   bool      // the server has answered: gRPC makes this call no second time
	sending bool      // a goroutine is the sender
	retired bool      // takes no more checks; ends when it has answered those it has
	ended   error     // why it is over; nil: it is not
	bytes   int       // sent and not answered
	emptied time.Time // when the last unanswered check was answered; zero: never
	rested  bool      // the unanswered checks came to a stream that was idle
	room    chan struct{}
	timer   *time.Timer // goes off at wake
	wake    time.Time   // zero: the timer is not set

	answered []*call // reused by the receiver
}

func newCheckStream(l *lane) *checkStream {
	s := &checkStream{lane: l, turn: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(l.client.ctx)
	s.mu.Lock() // retire may be called before age is set
	defer s.mu.Unlock()
	s.age = time.AfterFunc(l.client.opts.streamLife, s.retire)
	return s
}

// add puts a call on the stream. It returns errStreamOver when the stream takes no more.
func (s *checkStream) add(ctx context.Context, c *call) error {
	s.mu.Lock()
	for !s.isOver() && s.table.used >= s.lane.client.opts.maxPending {
		if err := s.awaitRoom(ctx, c); err != nil {
			s.mu.Unlock()
			return err
		}
	}
	if s.isOver() {
		s.mu.Unlock()
		return errStreamOver
	}
	if s.table.used == 0 {
		s.rested = !s.emptied.IsZero() && time.Since(s.emptied) >= restAfter
	}
	c.check.Id = s.table.put(s.lane.client.serial.Add(1), c)
	s.queue = append(s.queue, c)
	s.expireBy(c.expires)
	lead := s.open && !s.sending
	if lead {
		s.sending = true
	}
	alone, free := s.table.used == 1, s.heard && s.bytes+c.size <= freeBytes
	s.mu.Unlock()
	s.lane.pending.Add(1)
	switch {
	case lead && free:
		s.lead(alone)
	case lead:
		s.turn <- struct{}{}
	}
	return nil
}

func (s *checkStream) isOver() bool { return s.retired || s.ended != nil }

// awaitRoom waits, without the lock, until a check was answered.
func (s *checkStream) awaitRoom(ctx context.Context, c *call) error {
	if s.room == nil {
		s.room = make(chan struct{})
	}
	room := s.room
	s.mu.Unlock()
	defer s.mu.Lock()
	ctx, cancel := until(ctx, c.expires)
	defer cancel()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lead sends one message in the goroutine of a caller, which must not wait. Checks of
// callers that the same answer woke share the message.
func (s *checkStream) lead(alone bool) {
	if !alone {
		runtime.Gosched()
	}
	if s.take(freeBytes) == 0 || s.send() {
		s.release()
	}
}

// release ends a caller's turn as the sender, or passes it on when there is more to send.
func (s *checkStream) release() {
	s.mu.Lock()
	done := len(s.queue) == 0 && !s.retired
	if done {
		s.sending = false
	}
	s.mu.Unlock()
	if !done {
		s.turn <- struct{}{}
	}
}

// sendAll is the sender that may wait for the server to read.
func (s *checkStream) sendAll() {
	for {
		select {
		case <-s.turn:
		case <-s.ctx.Done():
			return
		}
		if !s.drain() {
			return
		}
	}
}

// drain sends until the queue is empty. It returns false when nothing more can be sent.
func (s *checkStream) drain() bool {
	for {
		runtime.Gosched()
		if s.take(maxCheckBytes) > 0 {
			if !s.send() {
				return false
			}
			continue
		}
		s.mu.Lock()
		if len(s.queue) > 0 {
			s.mu.Unlock()
			continue
		}
		retired := s.retired
		s.sending = retired // no one sends after the end
		s.mu.Unlock()
		if retired {
			_ = s.rpc.CloseSend() // its error comes from Recv
			return false
		}
		return true
	}
}

// take moves checks from the queue to the request, as many as fit it and at most so
// many bytes of them, unless it is none, in order.
func (s *checkStream) take(limit int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.request
	r.Checks = r.Checks[:0]
	bytes, kept := 0, s.queue[:0]
	for i, c := range s.queue {
		if c.left {
			continue
		}
		if len(r.Checks) == maxChecks || len(r.Checks) > 0 && bytes+c.size > limit {
			kept = append(kept, s.queue[i:]...)
			break
		}
		c.sent = true
		bytes += c.size
		r.Checks = append(r.Checks, &c.check)
	}
	clear(s.queue[len(kept):])
	s.queue = kept
	s.bytes += bytes
	return len(r.Checks)
}

// send sends the request. It returns false when the stream is broken, which the receiver learns too.
func (s *checkStream) send() bool {
	n := len(s.request.Checks)
	err := s.rpc.SendMsg(&s.request)
	clear(s.request.Checks)
	if err != nil {
		return false
	}
	s.lane.messages.Add(1)
	s.lane.sent.Add(uint64(n))
	return true
}

// run makes the call, receives its answers and ends it.
func (s *checkStream) run() {
	defer s.cancel()
	rpc, err := s.lane.conn.checks.StreamChecks(s.ctx)
	if err != nil {
		s.end(err)
		return
	}
	s.begin(rpc)
	var tasks sync.WaitGroup
	tasks.Go(s.sendAll)
	s.end(s.receive())
	s.cancel()
	tasks.Wait()
}

// begin lets the sender work.
func (s *checkStream) begin(rpc grpc.BidiStreamingClient[dncv1.StreamChecksRequest, dncv1.StreamChecksResponse]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rpc, s.open = rpc, true
	s.sending = len(s.queue) > 0 || s.retired
	if s.sending {
		s.turn <- struct{}{}
	}
}

func (s *checkStream) receive() error {
	answer := new(dncv1.StreamChecksResponse)
	for {
		if err := s.rpc.RecvMsg(answer); err != nil {
			return err
		}
		s.deliver(answer)
		if cap(answer.Answers) > maxChecks { // it was large once: the memory is reused
			answer = new(dncv1.StreamChecksResponse)
		}
	}
}

// deliver gives each caller its answer. What the answers share is converted once.
func (s *checkStream) deliver(m *dncv1.StreamChecksResponse) {
	common := Result{
		Position:      fromPosition(m.GetPosition()),
		CheckedAt:     fromTime(m.GetCheckedAt()),
		PolicyVersion: m.GetPolicyVersion(),
		ClockAhead:    m.GetClockAhead().AsDuration(),
		TablesVersion: m.GetTablesVersion(),
	}
	reasons := fromReasons(m.GetReasons())
	s.match(m.GetAnswers())
	for i, a := range m.GetAnswers() {
		if c := s.answered[i]; c != nil {
			c.answer(a, &common, reasons)
		}
	}
	clear(s.answered)
}

// match takes the answered calls off the stream, one for each answer; nil where no one
// waits for it.
func (s *checkStream) match(answers []*dncv1.StreamAnswer) {
	s.answered = s.answered[:0]
	freed := 0
	s.mu.Lock()
	s.heard = true
	for _, a := range answers {
		c := s.table.get(a.GetId())
		if c != nil && c.sent {
			s.table.remove(a.GetId())
			s.bytes -= c.size
			freed++
		}
		if c != nil && (!c.sent || c.left) {
			c = nil
		}
		s.answered = append(s.answered, c)
	}
	if freed > 0 {
		s.rested = false
		if s.table.used == 0 {
			s.emptied = time.Now()
		}
	}
	s.makeRoom(freed)
	s.mu.Unlock()
}

func (s *checkStream) makeRoom(freed int) {
	s.lane.pending.Add(int64(-freed))
	if s.room != nil && freed > 0 {
		close(s.room)
		s.room = nil
	}
}

// leave drops a call whose caller stopped waiting. It returns false when the call has
// ended, or is about to. A call that was sent keeps its place until the answer, so that the
// number of unanswered checks is bounded, and known.
func (s *checkStream) leave(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.letGo(c)
}

func (s *checkStream) letGo(c *call) bool {
	if c.left || s.table.get(c.check.GetId()) != c {
		return false
	}
	c.left = true
	if !c.sent {
		s.table.remove(c.check.GetId())
		s.makeRoom(1)
	}
	return true
}

// expireBy sets the timer for a call that the stream ends.
func (s *checkStream) expireBy(t time.Time) {
	if t.IsZero() || !s.wake.IsZero() && !t.Before(s.wake) {
		return
	}
	s.wake = t
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(t), s.expire)
		return
	}
	s.timer.Reset(time.Until(t))
}

// expire ends the calls whose deadline has passed.
func (s *checkStream) expire() {
	var over []*call
	now := time.Now()
	s.mu.Lock()
	s.wake = time.Time{}
	var next time.Time
	for _, c := range s.table.calls {
		switch {
		case c == nil || c.left || c.expires.IsZero():
		case c.expires.After(now):
			if next.IsZero() || c.expires.Before(next) {
				next = c.expires
			}
		case s.letGo(c):
			over = append(over, c)
		}
	}
	s.expireBy(next)
	s.mu.Unlock()
	for _, c := range over {
		c.end(context.DeadlineExceeded)
	}
}

// retire makes the stream end once all its checks are answered. The second call cuts it.
func (s *checkStream) retire() {
	s.lane.over(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended != nil:
	case s.retired:
		s.cancel()
	default:
		s.retired = true
		s.age.Reset(lastAnswers)
		if s.open && !s.sending {
			s.sending = true
			s.turn <- struct{}{}
		}
	}
}

// end ends the calls that have no answer; their callers decide whether to retry. A stream
// on which no one waits, or that was idle until now, died idle: proxies end such streams,
// so that says nothing about the server.
func (s *checkStream) end(err error) {
	s.lane.over(s)
	s.mu.Lock()
	if errors.Is(err, io.EOF) || s.retired && s.ctx.Err() != nil {
		err = errStreamOver
	}
	s.ended = err
	var cut []*call
	for _, c := range s.table.calls {
		if c != nil && !c.left {
			cut = append(cut, c)
		}
	}
	idle := len(cut) == 0 || s.rested
	s.makeRoom(s.table.used)
	s.table, s.queue = table{}, nil
	s.age.Stop()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.lane.ended(err, idle)
	for _, c := range cut {
		c.end(&streamError{err, idle})
	}
}

// errStreamOver means that the stream ended as it should: checks that it did not answer
// go to the next stream.
var errStreamOver = errors.New("the stream of checks has ended")

// streamError is why a stream ended before it answered.
type streamError struct {
	err  error
	idle bool // it died idle
}

func (e *streamError) Error() string { return e.err.Error() }

func (e *streamError) Unwrap() error { return e.err }

// table holds the calls of a stream. An id is a serial number and the index in the table,
// so that no search is needed and no id is used twice.
type table struct {
	calls []*call
	spare []uint32 // free places below len(calls)
	used  int
}

func (t *table) put(serial uint64, c *call) (id uint64) {
	if len(t.spare) == 0 {
		t.spare = append(t.spare, uint32(len(t.calls)))
		t.calls = append(t.calls, nil)
	}
	place := t.spare[len(t.spare)-1]
	t.spare = t.spare[:len(t.spare)-1]
	t.calls[place] = c
	t.used++
	return serial<<slotBits | uint64(place)
}

// get returns the call with that id; nil: there is none.
func (t *table) get(id uint64) *call {
	place := id % maxPending
	if place >= uint64(len(t.calls)) {
		return nil
	}
	if c := t.calls[place]; c != nil && c.check.GetId() == id {
		return c
	}
	return nil
}

// remove frees the place of a call in the table.
func (t *table) remove(id uint64) {
	place := id % maxPending
	t.calls[place] = nil
	t.spare = append(t.spare, uint32(place))
	t.used--
}
