package server

import (
	"context"
	"sync"

	"google.golang.org/grpc/peer"

	"github.com/dncd/dncd/internal/codec"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Limits of answers to CheckNumbers that gRPC keeps because their clients do not read them.
const (
	smallAnswer      = 64 << 10 // a smaller one is not counted: connections and their streams bound these
	connectionUnread = 48 << 20 // bytes of one connection
)

// unread counts the bytes of one connection's answers that gRPC keeps. It takes them from the room of all connections.
type unread struct {
	mu     sync.Mutex
	room   *limiter
	bytes  int
	closed bool
}

// take counts an answer, if there is room for it.
func (u *unread) take(room *limiter, bytes int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || u.bytes+bytes > connectionUnread || !room.have(bytes) {
		return false
	}
	u.room = room
	u.bytes += bytes
	return true
}

// give returns the room of an answer that gRPC keeps no longer.
func (u *unread) give(bytes int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		u.bytes -= bytes
		u.room.give(bytes)
	}
}

// close returns all room when the connection ends: gRPC does not report the bytes that it keeps then.
func (u *unread) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.room != nil && !u.closed {
		u.room.give(u.bytes)
	}
	u.closed = true
}

// track counts a large answer to CheckNumbers until gRPC has sent it. Its result is what to answer.
func (w wrapper) track(ctx context.Context, resp *dncv1.CheckNumbersResponse) (any, error) {
	bytes := resp.SizeVT()
	if bytes <= smallAnswer {
		return resp, nil
	}
	p, _ := peer.FromContext(ctx)
	r, ok := p.Addr.(remote)
	if !ok { // not accepted by our listener
		return resp, nil
	}
	if !r.conn.unread.take(w.admit[workBatchAnswers], bytes) {
		return nil, errOverloaded
	}
	return &codec.Tracked{Message: resp, Freed: func() { r.conn.unread.give(bytes) }}, nil
}
