package client_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// serve starts a server on a new store and returns its address.
func serve(t testing.TB) string {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{MinFree: -1, Ballast: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Store: st, Grace: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Serve(ctx, l, nil); close(done) }()
	t.Cleanup(func() { cancel(); <-done; st.Close() })
	return l.Addr().String()
}

func connect(t testing.TB, addr string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
