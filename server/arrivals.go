package server

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/status"
)

// messageTime is how long the message of a unary call may take to arrive. It is also how long the rest of a message of a stream
// may take while another stream needs its room.
const messageTime = 10 * time.Second

// arrivals bounds how long unary calls wait for their messages. A client that sends half a message would otherwise hold a
// stream and a goroutine for as long as its connection lasts. A list of the calls, and one goroutine that looks at the
// oldest, cost a call less than a timer of its own.
type arrivals struct {
	limit time.Duration

	mu             sync.Mutex
	oldest, newest *inbound
	look           int // counts the looks of watch
}

// looks is how many times watch looks for late calls during the limit.
const looks = 4

// awaited is a call in the list of arrivals, which is in the order in which the calls began to wait.
type awaited struct {
	ctx        context.Context
	prev, next *inbound
	look       int // when it began to wait
	late       bool
}

func newArrivals() *arrivals { return &arrivals{limit: messageTime} }

// receive reads the message of a call into m.
func (a *arrivals) receive(ctx context.Context, in *inbound, m any) error {
	a.add(ctx, in)
	err := in.receive(m)
	if a.remove(in) {
		return errSlowMessage
	}
	return err
}

func (a *arrivals) add(ctx context.Context, in *inbound) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in.awaited = awaited{ctx: ctx, prev: a.newest, look: a.look}
	if a.newest == nil {
		a.oldest = in
	} else {
		a.newest.awaited.next = in
	}
	a.newest = in
}

// remove takes a call off the list, and reports whether it was late.
func (a *arrivals) remove(in *inbound) (late bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !in.awaited.late {
		a.unlink(in)
	}
	return in.awaited.late
}

// unlink is remove while a.mu is held.
func (a *arrivals) unlink(in *inbound) {
	if w := &in.awaited; w.prev == nil {
		a.oldest = w.next
	} else {
		w.prev.awaited.next = w.next
	}
	if w := &in.awaited; w.next == nil {
		a.newest = w.prev
	} else {
		w.next.awaited.prev = w.prev
	}
}

// watch ends late calls until ctx ends.
func (a *arrivals) watch(ctx context.Context) {
	tick := time.NewTicker(a.limit / looks)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, in := range a.takeLate() {
			// It ends the call, and so the read of its message. An error: the connection has ended.
			_ = in.wire.WriteStatus(status.Convert(statusOf(in.awaited.ctx, errSlowMessage)))
		}
	}
}

// takeLate takes the calls off the list that have waited for the limit.
func (a *arrivals) takeLate() (late []*inbound) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.look++
	for a.oldest != nil && a.look-a.oldest.awaited.look > looks {
		in := a.oldest
		a.unlink(in)
		in.awaited.late = true
		late = append(late, in)
	}
	return late
}
