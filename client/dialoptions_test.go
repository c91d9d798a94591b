package client_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"github.com/dncd/dncd/client"
)

// TestDialOptions has interceptors and a stats handler, as OpenTelemetry's is one, see all calls of a client, and add to
// what is sent.
func TestDialOptions(t *testing.T) {
	t.Parallel()
	var tokens atomic.Int64
	sent := func(ctx context.Context) {
		if md, _ := metadata.FromIncomingContext(ctx); len(md.Get("authorization")) == 1 {
			tokens.Add(1)
		}
	}
	s, addr := script(t, promptly,
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			sent(ctx)
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			sent(stream.Context())
			return next(srv, stream)
		}))
	var seen methods
	var handler callCounter
	token := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer x")
	}
	c := connect(t, addr,
		client.WithDialOptions(grpc.WithStatsHandler(&handler)),
		client.WithDialOptions(
			grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				seen.add(method)
				return next(token(ctx), method, req, reply, cc, opts...)
			}),
			grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				seen.add(method)
				return next(token(ctx), desc, cc, method, opts...)
			})))
	for i := range 20 {
		r, err := c.Check(t.Context(), numberAt(i))
		if err != nil {
			t.Fatal(err)
		}
		tells(t, numberAt(i), r)
	}
	if _, err := c.CheckBatch(t.Context(), []uint64{14155550100}); err != nil {
		t.Fatal(err)
	}
	streams := s.streams.Load()
	for method, want := range map[string]int64{"/dnc.v1.CheckService/StreamChecks": streams, "/dnc.v1.CheckService/CheckNumbers": 1} {
		if got := seen.count(method); got == 0 || got != want {
			t.Errorf("interceptors saw %d calls of %s, want %d", got, method, want)
		}
	}
	if got := tokens.Load(); got != streams+1 {
		t.Errorf("%d calls carried a token, want %d", got, streams+1)
	}
	if got := handler.calls.Load(); got != streams+1 {
		t.Errorf("the stats handler saw %d calls, want %d", got, streams+1)
	}
}

// methods counts calls by method.
type methods struct {
	mu    sync.Mutex
	calls map[string]int64
}

func (m *methods) add(method string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calls == nil {
		m.calls = make(map[string]int64)
	}
	m.calls[method]++
}

func (m *methods) count(method string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[method]
}

// callCounter counts the calls that are reported to a stats handler.
type callCounter struct{ calls atomic.Int64 }

func (c *callCounter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (c *callCounter) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.Begin); ok {
		c.calls.Add(1)
	}
}

func (c *callCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (c *callCounter) HandleConn(context.Context, stats.ConnStats) {}
