package server

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// tarpit delays answers to refused logins. A client that sends bad tokens as fast as it can then waits for its own
// answers, and the processors are left to the callers that are let in.
type tarpit struct {
	turns    *rate.Limiter
	waiting  atomic.Int64
	draining <-chan struct{} // closed when a stop begins: nothing waits any longer
}

// Limits of refused logins.
const (
	refusedPerSecond = 500  // are answered without a delay
	maxDelayed       = 4000 // answers that wait, some ten kilobytes each; further ones are given immediately
)

func newTarpit(draining <-chan struct{}) *tarpit {
	return &tarpit{turns: rate.NewLimiter(refusedPerSecond, refusedPerSecond), draining: draining}
}

// wait waits for the turn of one answer.
func (t *tarpit) wait(ctx context.Context) {
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > maxDelayed {
		return
	}
	delay := t.turns.Reserve().Delay()
	if delay == 0 {
		return
	}
	turn := time.NewTimer(delay)
	defer turn.Stop()
	select {
	case <-turn.C:
	case <-ctx.Done():
	case <-t.draining:
	}
}
