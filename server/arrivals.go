package server

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/status"
)

// messageTime is how long the message of a unary call may take to arrive.
const messageTime = 10 * time.Second

// arrivals bounds how long unary calls wait for their messages. A client that sends half a message would otherwise hold a
// stream and a goroutine for as long as its connection lasts.
type arrivals struct {
	limit time.Duration
	pool  sync.Pool // of *arrival
}

func newArrivals() *arrivals { return &arrivals{limit: messageTime} }

// arrival ends a call whose message is late.
type arrival struct {
	timer *time.Timer
	ctx   context.Context // of the call
	wire  wire
}

func (a *arrivals) get() *arrival {
	if w, ok := a.pool.Get().(*arrival); ok {
		return w
	}
	w := new(arrival)
	w.timer = time.AfterFunc(a.limit, w.end)
	w.timer.Stop()
	return w
}

// end ends the call, which interrupts the read of its message.
func (w *arrival) end() {
	_ = w.wire.WriteStatus(status.Convert(statusOf(w.ctx, errSlowMessage))) // fails when the connection is gone
}

// receive reads the message of a call into m.
func (a *arrivals) receive(ctx context.Context, in *inbound, m any) error {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= a.limit {
		return in.receive(m)
	}
	w := a.get()
	w.ctx, w.wire = ctx, in.wire
	w.timer.Reset(a.limit)
	err := in.receive(m)
	if !w.timer.Stop() {
		return errSlowMessage
	}
	w.ctx, w.wire = nil, nil
	a.pool.Put(w)
	return err
}
