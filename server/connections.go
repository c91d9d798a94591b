package server

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/peer"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// webConnections is how many connections the HTTP listener takes at once: monitors are few.
const webConnections = 128

// connections counts the connections of gRPC and closes those beyond its limit at once, so that a flood of them leaves
// files for the store to open: a database that can open none stops.
type connections struct {
	most    int64 // 0: as many as come
	open    atomic.Int64
	refused atomic.Uint64
}

// metrics tells of them.
func (c *connections) metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dncd_connections", Help: "Connections of gRPC that are open.",
		}, func() float64 { return float64(c.open.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "dncd_connections_refused_total", Help: "Connections of gRPC closed at once because there were too many.",
		}, func() float64 { return float64(c.refused.Load()) }),
	}
}

// listener is l with at most so many connections at once.
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

// countedConn is given back when it is closed.
type countedConn struct {
	net.Conn
	c       *connections
	once    sync.Once
	streams atomic.Int64 // of checks
}

// RemoteAddr implements net.Conn. By it a call finds its connection.
func (c *countedConn) RemoteAddr() net.Addr { return remote{c.Conn.RemoteAddr(), c} }

// remote is a client's address, with its connection.
type remote struct {
	net.Addr
	conn *countedConn
}

// maxCheckStreams is how many streams of checks a connection may have: the Go client has one, and two while it changes.
const maxCheckStreams = 16

var errTooManyStreams = refuse(dncv1.ErrorReason_ERROR_REASON_TOO_MANY_STREAMS,
	fmt.Sprintf("a connection has at most %d streams of checks: let callers share them, which is also faster, or open another connection", maxCheckStreams),
	"limit", strconv.Itoa(maxCheckStreams))

// addStream counts a stream of checks on the connection of a call until the result is called, or refuses it.
func addStream(ctx context.Context) (end func(), err error) {
	p, _ := peer.FromContext(ctx)
	r, ok := p.Addr.(remote)
	if !ok { // not of a listener of ours
		return func() {}, nil
	}
	end = func() { r.conn.streams.Add(-1) }
	if r.conn.streams.Add(1) > maxCheckStreams {
		end()
		return nil, errTooManyStreams
	}
	return end, nil
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(func() { c.c.open.Add(-1) })
	return c.Conn.Close()
}
