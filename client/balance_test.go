package client_test

import (
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/dncd/dncd/client"
)

// TestServersOfANameTakeTurns lets one of two servers say that it does not serve, and serve
// again: checks go where they are served, and none fails.
func TestServersOfANameTakeTurns(t *testing.T) {
	t.Parallel()
	a, addrA := script(t, promptly)
	b, addrB := script(t, promptly)
	names := manual.NewBuilderWithScheme("twoservers")
	names.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: addrA}, {Addr: addrB}}})
	resolver.Register(names)
	for name, tt := range map[string]struct {
		opt   client.Option
		calls func(*scripted) int64
	}{
		"shared": {client.WithStreamLife(5 * time.Millisecond), func(s *scripted) int64 { return s.streams.Load() }},
		"unary":  {client.WithUnaryChecks(), func(s *scripted) int64 { return s.unary.Load() }},
	} {
		t.Run(name, func(t *testing.T) {
			a.serving(true)
			c := connect(t, "twoservers:///dncd", client.WithInsecure(), tt.opt)
			// ask checks until more calls than n came to each of the servers.
			ask := func(n int64, servers ...*scripted) {
				t.Helper()
				for _, s := range servers {
					for want, end := tt.calls(s)+n, time.Now().Add(2*patience); tt.calls(s) < want; {
						r, err := c.Check(t.Context(), numberAt(1))
						if err != nil {
							t.Fatal(err)
						}
						tells(t, numberAt(1), r)
						if time.Now().After(end) {
							t.Fatal("no checks come to one of the servers")
						}
					}
				}
			}
			ask(5, a, b)
			a.serving(false)
			ask(20, b) // by then the client has heard of it, or soon
			for quiet, end := false, time.Now().Add(2*patience); !quiet; {
				before := tt.calls(a)
				ask(20, b)
				if quiet = tt.calls(a) == before; time.Now().After(end) {
					t.Fatal("checks go to a server that does not serve")
				}
			}
			a.serving(true)
			ask(5, a, b)
		})
	}
}

// TestConnectionsThatAge lets the server end each connection after a moment, with time
// for what is under way, or hardly any.
func TestConnectionsThatAge(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ age, grace time.Duration }{
		"with grace": {30 * time.Millisecond, time.Minute},
		"cut":        {400 * time.Millisecond, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			s, addr := script(t, promptly, grpc.KeepaliveParams(keepalive.ServerParameters{
				MaxConnectionAge: tt.age, MaxConnectionAgeGrace: tt.grace,
			}))
			c := connect(t, addr, client.WithStreamLife(20*time.Millisecond))
			const streams = 3
			end := time.Now().Add(2 * tt.age)
			crowdOf(8, func(i int) {
				for n := i; time.Now().Before(end) || s.streams.Load() < streams; n += 8 {
					r, err := c.Check(t.Context(), numberAt(n))
					if err != nil {
						t.Error(err)
						return
					}
					tells(t, numberAt(n), r)
				}
			})
		})
	}
}
