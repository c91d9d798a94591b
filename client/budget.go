package client

import "sync/atomic"

const (
	// defaultBudget is how many tokens a client begins with and holds at most.
	defaultBudget = 100
	// tokenParts is how many successes give back a token.
	tokenParts = 10
)

// budget keeps retries from multiplying an overload, as gRPC's retry throttling does (gRFC
// A6): a failure that is worth another attempt takes a token, a success gives back a part
// of one, and nothing is retried while no more than half of them are left. So after many
// failures in a row only half a budget is retried, and while failures last one for every
// ten successes.
type budget struct {
	most   int64        // in parts of a token
	left   atomic.Int64 // the same
	denied atomic.Uint64
}

func newBudget(tokens int) *budget {
	b := &budget{most: int64(tokens) * tokenParts}
	b.left.Store(b.most)
	return b
}

// give returns a part of a token, after a success. A full budget, the usual case, is only read.
func (b *budget) give() {
	for {
		left := b.left.Load()
		if left == b.most || b.left.CompareAndSwap(left, left+1) {
			return
		}
	}
}

// take takes a token, after a failure.
func (b *budget) take() {
	for {
		left := b.left.Load()
		if b.left.CompareAndSwap(left, max(0, left-tokenParts)) {
			return
		}
	}
}

// allows reports whether a call may be retried.
func (b *budget) allows() bool {
	if b.left.Load() > b.most/2 {
		return true
	}
	b.denied.Add(1)
	return false
}

// count takes a failure from the budget, if another attempt may succeed. SHUTTING_DOWN is no
// sign of load: it asks for another connection, when one is old or a server stops.
func (c *Client) count(e *Error) {
	if e.Reason != reasonShuttingDown && c.isPassing(e) {
		c.budget.take()
	}
}

// retriable reports whether another attempt may succeed after a call that ended with e.
func (c *Client) retriable(e *Error, attempt int) bool {
	return attempt < maxAttempts && c.isPassing(e)
}

// allowRetry reports whether a call that ended with e, which was counted, is retried.
func (c *Client) allowRetry(e *Error, attempt int) bool {
	return c.retriable(e, attempt) && (e.Reason == reasonShuttingDown || c.budget.allows())
}
