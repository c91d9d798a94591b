package server

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/peer"
)

// tarpit delays answers to refused logins. A client that sends bad tokens as fast as it can then waits for its own
// answers, and the processors are left to the callers that are let in.
type tarpit struct {
	prompt   *rate.Limiter // answers without a delay
	waiting  atomic.Int64
	draining <-chan struct{} // closed when a stop begins: nothing waits any longer
}

// Limits of refused logins: some 500 are answered a second, half of them without a delay.
const (
	promptPerSecond  = 250
	promptBurst      = 500
	delayedPerSecond = 250
	maxDelayed       = 4000 // answers that wait, some ten kilobytes each; further ones are given immediately
	// maxDelayedShare is how many of them one connection has. Behind a proxy it may be the connection of callers that are
	// let in as well, and they need streams of it.
	maxDelayedShare = maxStreams / 2
)

func newTarpit(draining <-chan struct{}) *tarpit {
	return &tarpit{prompt: rate.NewLimiter(promptPerSecond, promptBurst), draining: draining}
}

// wait delays one answer by as long as those that wait take: at most 16 s. A caller that leaves leaves no delay behind.
func (t *tarpit) wait(ctx context.Context) {
	if t.prompt.Allow() {
		return
	}
	defer t.waiting.Add(-1)
	ahead := t.waiting.Add(1)
	if ahead > maxDelayed {
		return
	}
	if c := connectionOf(ctx); c != nil {
		defer c.delayed.Add(-1)
		if c.delayed.Add(1) > maxDelayedShare {
			return
		}
	}
	turn := time.NewTimer(time.Duration(ahead) * time.Second / delayedPerSecond)
	defer turn.Stop()
	select {
	case <-turn.C:
	case <-ctx.Done():
	case <-t.draining:
	}
}

// connectionOf returns the connection that a call came by; nil when our listener did not accept it.
func connectionOf(ctx context.Context) *countedConn {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	r, _ := p.Addr.(remote)
	return r.conn
}
