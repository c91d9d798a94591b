package client

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// openStream is the stream of an import whose source may be slow. A server may cut a stream that sends nothing for that
// long, when another import finds no room.
type openStream[Req, Resp any] struct {
	grpc.BidiStreamingClient[Req, Resp]

	mu     sync.Mutex
	sent   time.Time // when something was sent last
	closed bool
}

// keepOpen returns a stream that sends a request without a frame whenever nothing else was sent for a third of limit,
// until ctx ends. A server that gives no limit does not accept such requests.
func keepOpen[Req, Resp any](ctx context.Context, s grpc.BidiStreamingClient[Req, Resp], limit time.Duration) grpc.BidiStreamingClient[Req, Resp] {
	if limit <= 0 {
		return s
	}
	o := &openStream[Req, Resp]{BidiStreamingClient: s, sent: time.Now()}
	go o.keep(ctx, limit/3)
	return o
}

func (o *openStream[Req, Resp]) keep(ctx context.Context, every time.Duration) {
	for wait := every; ; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		var over bool
		if wait, over = o.fill(every); over {
			return
		}
	}
}

// fill sends an empty request if nothing was sent for that long. It returns when to look again, and whether never.
func (o *openStream[Req, Resp]) fill(every time.Duration) (wait time.Duration, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if idle := time.Since(o.sent); !o.closed && idle < every {
		return every - idle, false
	}
	if o.closed || o.BidiStreamingClient.Send(new(Req)) != nil {
		return 0, true
	}
	o.sent = time.Now()
	return every, false
}

// Send implements grpc.BidiStreamingClient.
func (o *openStream[Req, Resp]) Send(r *Req) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = time.Now()
	return o.BidiStreamingClient.Send(r)
}

// CloseSend implements grpc.ClientStream.
func (o *openStream[Req, Resp]) CloseSend() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return o.BidiStreamingClient.CloseSend()
}
