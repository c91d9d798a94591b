package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Client is a set of connections to one dncd server. Make it with New, Close it
// at the end. Safe for concurrent use.
type Client struct {
	opts  options
	conns []*connection
	turn  atomic.Uint32 // the connection whose turn it is

	budget *budget // of all calls that are tried again

	lanes  []*lane // one a connection
	first  int     // the lane that takes checks first
	serial atomic.Uint64

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// connection is one connection with its stubs.
type connection struct {
	*grpc.ClientConn
	checks  dncv1.CheckServiceClient
	records dncv1.RecordServiceClient
	lists   dncv1.ListServiceClient
	admin   dncv1.AdminServiceClient
	access  dncv1.AccessServiceClient

	policy      dncv1.PolicyServiceClient
	audit       dncv1.AuditServiceClient
	propagation dncv1.PropagationServiceClient
}

// New returns a Client of the server at target: "host:port", "unix:///path" or
// another target of gRPC. It never blocks and does not connect yet: whether target
// exists shows in the first call.
//
// Without WithTLS or WithTLSFiles the connection is plain text, which New refuses
// for a target that is neither a loopback address nor a unix socket, unless
// WithInsecure allows it.
func New(target string, opts ...Option) (*Client, error) {
	c := &Client{opts: options{
		timeout: defaultTimeout, connections: defaultConnections, budget: defaultBudget, streamLife: streamLife, maxPending: maxPending,
		feedSilence: feedSilence,
	}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for _, opt := range opts {
		opt(&c.opts)
	}
	dial, err := dialOptions(target, &c.opts)
	if err != nil {
		c.cancel()
		return nil, fmt.Errorf("connect to %s: %w", target, err)
	}
	c.budget = newBudget(c.opts.budget)
	c.first = rand.IntN(c.opts.connections)
	for range c.opts.connections {
		cc, err := grpc.NewClient(target, dial...)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect to %s: %w", target, err), c.Close())
		}
		conn := &connection{
			ClientConn: cc,
			checks:     dncv1.NewCheckServiceClient(cc),
			records:    dncv1.NewRecordServiceClient(cc),
			lists:      dncv1.NewListServiceClient(cc),
			admin:      dncv1.NewAdminServiceClient(cc),
			access:     dncv1.NewAccessServiceClient(cc),

			policy:      dncv1.NewPolicyServiceClient(cc),
			audit:       dncv1.NewAuditServiceClient(cc),
			propagation: dncv1.NewPropagationServiceClient(cc),
		}
		c.conns = append(c.conns, conn)
		c.lanes = append(c.lanes, &lane{client: c, conn: conn})
	}
	return c, nil
}

// Close ends all connections. Calls under way fail. No goroutine of the client is left
// when it returns.
func (c *Client) Close() error {
	c.cancel()
	for _, l := range c.lanes {
		l.mu.Lock() // a stream that is being opened is opened, and no other is
		l.current.Store(nil)
		l.mu.Unlock()
	}
	defer c.tasks.Wait()
	var errs []error
	for _, conn := range c.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// pick returns the connection whose turn it is, passing over those that are down.
func (c *Client) pick() *connection {
	turn, n := c.turn.Add(1), uint32(len(c.conns))
	for i := range n {
		if conn := c.conns[(turn+i)%n]; conn.GetState() != connectivity.TransientFailure {
			return conn
		}
	}
	return c.conns[turn%n]
}

// isDown reports whether no connection is up or being made.
func (c *Client) isDown() bool {
	for _, conn := range c.conns {
		if conn.GetState() != connectivity.TransientFailure {
			return false
		}
	}
	return true
}

// isUnreachable reports whether calls fail immediately, because there is no connection.
func (c *Client) isUnreachable() bool { return !c.opts.waitForReady && c.isDown() }

// bounded gives ctx the client's timeout when it has no deadline.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.opts.timeout)
}

const (
	maxAttempts  = 4
	firstBackoff = 50 * time.Millisecond
)

// callRetry makes a call that may be made again without harm: a read, or a write
// with a request id.
func callRetry[R any](ctx context.Context, c *Client, call func(context.Context, *connection) (R, error)) (R, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return attempts(ctx, c, c.allowRetry, call)
}

// callWrite is callRetry for writes, which carry a request id. The retry budget does not limit them: it is for reads, and
// a person's objection is retried regardless.
func callWrite[R any](ctx context.Context, c *Client, call func(context.Context, *connection) (R, error)) (R, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	answer, err := attempts(ctx, c, c.retriable, call)
	return answer, ofWrite(err)
}

// attempts makes a call until it succeeds, ctx ends, or it must not be retried.
func attempts[R any](
	ctx context.Context, c *Client, again func(*Error, int) bool, call func(context.Context, *connection) (R, error),
) (R, error) {
	for attempt := 1; ; attempt++ {
		answer, err := call(ctx, c.pick())
		if err == nil {
			c.budget.give()
			return answer, nil
		}
		e := fromStatus(err)
		c.count(e)
		if !again(e, attempt) || !pause(ctx, attempt, e.retryAfter) {
			var none R
			return none, e
		}
	}
}

// isPassing reports whether the same call may succeed later.
func (c *Client) isPassing(e *Error) bool {
	switch e.Reason {
	case reasonQueueFull, reasonOverloaded:
		return true
	case reasonUnavailable, reasonShuttingDown:
		return !c.isUnreachable()
	}
	return false
}

// pause waits before the next attempt, at random up to twice as long each time, and
// at least as long as the server asks for. It returns false when ctx ends first, and
// immediately when it would.
func pause(ctx context.Context, attempt int, asked time.Duration) bool {
	longest := firstBackoff << (attempt - 1)
	wait := asked + longest/2 + rand.N(longest/2)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
