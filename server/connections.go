package server

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/peer"
)

// webConnections is how many concurrent connections the HTTP listener accepts: monitors are few.
const webConnections = 128

// connections counts the connections of gRPC and immediately closes those beyond its limit, so that a flood of
// connections leaves file descriptors for the store. A database that cannot open a file stops.
type connections struct {
	most    int64 // 0: no limit
	open    atomic.Int64
	refused atomic.Uint64
}

// metrics reports the connections.
func (c *connections) metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dncd_connections", Help: "Connections of gRPC that are open.",
		}, func() float64 { return float64(c.open.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "dncd_connections_refused_total", Help: "gRPC connections that were closed because there were too many.",
		}, func() float64 { return float64(c.refused.Load()) }),
	}
}

// listener is l with a limit of concurrent connections.
func (c *connections) listener(l net.Listener) net.Listener { return boundedListener{l, c} }

type boundedListener struct {
	net.Listener
	c *connections
}

// Accept implements net.Listener.
func (l boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if open := l.c.open.Add(1); l.c.most == 0 || open <= l.c.most {
			return &countedConn{Conn: conn, c: l.c}, nil
		}
		l.c.open.Add(-1)
		l.c.refused.Add(1)
		conn.Close()
	}
}

// countedConn leaves the count when it is closed.
type countedConn struct {
	net.Conn
	c     *connections
	once  sync.Once
	share *sharedRoom // of its check streams
	made  sync.Once   // guards share

	unread  unread
	delayed atomic.Int64 // answers to refused logins that wait, see tarpit
}

// RemoteAddr implements net.Conn. By it a call finds its connection.
func (c *countedConn) RemoteAddr() net.Addr { return remote{c.Conn.RemoteAddr(), c} }

// remote is a client's address, with its connection.
type remote struct {
	net.Addr
	conn *countedConn
}

// connectionMessages is the room of messages that the check streams of one connection have together, in bytes: 15 of
// the largest messages with their answers, or thousands of small ones. It does not bound the number of streams: behind
// a proxy one connection carries the streams of many clients.
const connectionMessages = 48 << 20

// shareOf returns the room of messages of a check stream: the part of its connection.
func shareOf(ctx context.Context, all *sharedRoom) *sharedRoom {
	p, _ := peer.FromContext(ctx)
	r, ok := p.Addr.(remote)
	if !ok { // not accepted by our listener
		return all
	}
	r.conn.made.Do(func() { r.conn.share = all.part(connectionMessages) })
	return r.conn.share
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.c.open.Add(-1)
		c.unread.close()
	})
	return c.Conn.Close()
}
