package client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

const (
	// streamLife is after how long a stream is replaced by a new one, which goes to the server
	// whose turn it is then, and never to one that reports that it does not serve.
	streamLife = 10 * time.Second
	// lastAnswers is how long a replaced stream may take to answer: longer than any check may
	// wait for its revision.
	lastAnswers = 65 * time.Second
	// aloneFor is how long a connection makes unary calls once its server had no streams.
	aloneFor = time.Minute
	// crowd is how many unanswered checks one connection has before the next connection takes
	// some: the more checks share a message, the less each costs.
	crowd = 512
)

// errClosed is gRPC's own error of a call on a closed connection.
var errClosed = status.Error(codes.Canceled, "the client is closed")

// lane is the shared stream of checks of one connection. It is replaced every 10 s.
type lane struct {
	client *Client
	conn   *connection

	mu      sync.Mutex // held to make a stream
	current atomic.Pointer[checkStream]

	aloneTo  atomic.Int64 // Unix time in ns until which the server is known to have no streams
	pending  atomic.Int64 // checks on streams, not answered
	streams  atomic.Int64 // not ended
	sent     atomic.Uint64
	messages atomic.Uint64
	retries  atomic.Uint64
	broken   atomic.Uint64
	left     atomic.Uint64
}

// lane returns the lane for a check: the first that is up and not crowded, otherwise the
// least crowded. avoid, on which the check has just failed, is the last choice.
func (c *Client) lane(avoid *lane) *lane {
	var best *lane
	var least int64
	for i := range c.lanes {
		l := c.lanes[(c.first+i)%len(c.lanes)]
		if l == avoid || !l.isUp() {
			continue
		}
		pending := l.pending.Load()
		if pending < crowd {
			return l
		}
		if best == nil || pending < least {
			best, least = l, pending
		}
	}
	switch {
	case best != nil:
		return best
	case avoid != nil:
		return avoid
	}
	return c.lanes[c.first]
}

// isUp is false while the connection is known to be down.
func (l *lane) isUp() bool {
	return l.current.Load() != nil || l.conn.GetState() != connectivity.TransientFailure
}

// isAlone reports whether the server is known to have no streams of checks.
func (l *lane) isAlone() bool {
	to := l.aloneTo.Load()
	return to != 0 && time.Now().UnixNano() < to
}

// stream returns the stream that takes checks, a new one when there is none; nil when the
// client is closed.
func (l *lane) stream() *checkStream {
	if s := l.current.Load(); s != nil {
		return s
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.current.Load(); s != nil {
		return s
	}
	if l.client.ctx.Err() != nil {
		return nil
	}
	s := newCheckStream(l)
	l.streams.Add(1)
	l.current.Store(s)
	l.client.tasks.Go(s.run)
	return s
}

// over makes the next check take another stream.
func (l *lane) over(s *checkStream) { l.current.CompareAndSwap(s, nil) }

// ended notes how a stream ended. One that died idle costs nothing.
func (l *lane) ended(err error, idle bool) {
	l.streams.Add(-1)
	switch {
	case errors.Is(err, errStreamOver), l.client.ctx.Err() != nil:
	case status.Code(err) == codes.Unimplemented:
		l.aloneTo.Store(time.Now().Add(aloneFor).UnixNano())
	default:
		l.broken.Add(1)
		if !idle && !l.client.isUnreachable() {
			l.client.budget.take() // once for all its checks, like one failed call
		}
	}
}

// add puts a call on a stream.
func (l *lane) add(ctx context.Context, c *call) (*checkStream, error) {
	for range maxAttempts {
		s := l.stream()
		if s == nil {
			return nil, errClosed
		}
		if err := s.add(ctx, c); !errors.Is(err, errStreamOver) {
			return s, err
		}
	}
	return nil, errStreamOver
}

// check makes one attempt.
func (l *lane) check(ctx context.Context, number string, o *callOptions, expires time.Time) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	c := newCall(ctx, number, o, expires)
	s, err := l.add(ctx, c)
	if err != nil {
		return Result{}, err
	}
	if !c.wait(ctx, s) {
		l.left.Add(1)
		return Result{}, ctx.Err()
	}
	r, err := c.result, c.err
	if c.isAnswered {
		c.free()
	}
	return r, err
}

// checkShared checks on streams, again where one ended, until the deadline.
func (c *Client) checkShared(ctx context.Context, number string, o *callOptions) (Result, error) {
	var expires time.Time
	if _, ok := ctx.Deadline(); !ok {
		expires = time.Now().Add(c.opts.timeout)
	}
	var last *lane
	for attempt := 1; ; attempt++ {
		l := c.lane(last)
		if l.isAlone() {
			return c.checkAloneBy(ctx, expires, number, o)
		}
		r, err := l.check(ctx, number, o, expires)
		if err == nil {
			c.budget.give()
			return r, nil
		}
		switch c.next(ctx, expires, err, attempt) {
		case giveUp:
			return Result{}, c.failure(err)
		case askAlone:
			l.retries.Add(1)
			return c.checkAloneBy(ctx, expires, number, o)
		}
		l.retries.Add(1)
		last = l
	}
}

// step is what to do about a check that was not answered.
type step int

const (
	giveUp   step = iota
	askAgain      // on a stream
	askAlone      // in a unary call, whose error is its own
)

// next decides, and waits before another attempt if that helps.
func (c *Client) next(ctx context.Context, expires time.Time, err error, attempt int) step {
	switch {
	case c.ctx.Err() != nil:
		return giveUp
	case errors.Is(err, errStreamOver) && attempt == 1:
		return askAgain
	case errors.Is(err, errStreamOver):
		return askAlone
	case diedIdle(err) && attempt < maxAttempts:
		return askAgain
	}
	e := c.failure(err)
	switch {
	case !isOfStream(err):
		c.count(e)
	case e.Reason == reasonUnauthenticated: // nor is a call by itself
		return giveUp
	case e.Reason == reasonUnsupported:
		return askAlone
	case !e.isPassing() && c.budget.allows():
		return askAlone
	}
	if !c.allowRetry(e, attempt) { // never after a stream whose end is lasting
		return giveUp
	}
	ctx, cancel := until(ctx, expires)
	defer cancel()
	if !pause(ctx, attempt, e.retryAfter) {
		return giveUp
	}
	return askAgain
}

// failure is the error that a unary call would have returned.
func (c *Client) failure(err error) *Error {
	var ended *streamError
	switch {
	case c.ctx.Err() != nil:
		err = errClosed
	case errors.As(err, &ended):
		err = ended.err
	}
	return fromStatus(err)
}

// isPassing reports whether another stream of checks may succeed later.
func (e *Error) isPassing() bool {
	switch e.Reason {
	case reasonUnavailable, reasonShuttingDown, reasonOverloaded, reasonQueueFull, reasonStreamIdle:
		return true
	}
	return false
}

func isOfStream(err error) bool {
	var ended *streamError
	return errors.As(err, &ended)
}

// diedIdle reports whether a stream that ended carried nothing before these checks.
func diedIdle(err error) bool {
	var ended *streamError
	return errors.As(err, &ended) && ended.idle
}

// until gives ctx a deadline, unless t is zero.
func until(ctx context.Context, t time.Time) (context.Context, context.CancelFunc) {
	if t.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, t)
}
