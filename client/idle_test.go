package client_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dncd/dncd/client"
)

// idle is longer than a stream carries nothing before it counts as idle.
const idle = 150 * time.Millisecond

// TestStreamsThatDieIdleCostNothing has a server that breaks each stream once it was idle: while nobody waits, or by
// the next check. No check fails and no token is taken, without any budget for retries too.
func TestStreamsThatDieIdleCostNothing(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unavailable, codes.Internal, codes.Canceled} {
		gone := status.Error(code, "gone")
		tests := map[string]func(checkServerStream) error{
			"nobody waits": after(1, gone),
			"a check is unanswered": func(stream checkServerStream) error {
				if err := after(1, nil)(stream); err != nil {
					return err
				}
				_, _ = stream.Recv()
				return gone
			},
		}
		for name, behave := range tests {
			for _, budget := range []int{0, 4} {
				t.Run(fmt.Sprintf("%s, %v, %d tokens", name, code, budget), func(t *testing.T) {
					t.Parallel()
					s, addr := script(t, behave)
					c := connect(t, addr, client.WithRetryBudget(budget), client.WithConnections(1))
					for i := range 6 {
						r, err := c.Check(t.Context(), numberAt(i))
						if err != nil {
							t.Fatalf("check %d: %v", i, err)
						}
						tells(t, numberAt(i), r)
						time.Sleep(idle)
					}
					stats := c.Stats()
					if stats.RetryTokens != budget || stats.RetriesDenied != 0 {
						t.Errorf("got %d tokens and %d retries denied, want %d and 0", stats.RetryTokens, stats.RetriesDenied, budget)
					}
					if s.streams.Load() < 6 || s.unary.Load() != 0 {
						t.Errorf("got %d streams and %d unary calls, want a stream for each check", s.streams.Load(), s.unary.Load())
					}
				})
			}
		}
	}
}

// TestBehindAProxyThatEndsIdleStreams checks now and then through real proxies that end a stream on which nothing is
// sent. HTTP/2 pings do not keep it.
func TestBehindAProxyThatEndsIdleStreams(t *testing.T) {
	t.Parallel()
	proxies := map[string]func(dir, socket, target string) (config string, args []string){
		"nginx":   nginx,
		"haproxy": haproxy,
	}
	for program, configure := range proxies {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(program)
			if err != nil {
				t.Skipf("%s is not installed", program)
			}
			dir, err := os.MkdirTemp("", "dnc-proxy") // short: the path of a socket may have 107 bytes
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			socket := filepath.Join(dir, "s")
			config, args := configure(dir, socket, serve(t))
			if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			runProxy(t, socket, path, args)
			checkNowAndThen(t, "unix:"+socket)
		})
	}
}

// checkNowAndThen makes checks that each find their stream ended, or about to be.
func checkNowAndThen(t *testing.T, target string) {
	t.Helper()
	const budget = 4
	c := connect(t, target, client.WithRetryBudget(budget), client.WithConnections(1))
	for i := range 10 {
		if _, err := c.Check(t.Context(), numberAt(i)); err != nil {
			t.Errorf("check %d: %v", i, err)
		}
		time.Sleep(proxyTimeout - 20*time.Millisecond + time.Duration(i*5)*time.Millisecond)
	}
	stats := c.Stats()
	if stats.RetryTokens != budget || stats.RetriesDenied != 0 {
		t.Errorf("got %d tokens and %d retries denied, want %d and 0", stats.RetryTokens, stats.RetriesDenied, budget)
	}
	if stats.Connections[0].Broken == 0 {
		t.Errorf("the proxy ended no stream: got %+v", stats)
	}
}

// runProxy runs a proxy until the test ends, and waits until it listens.
func runProxy(t *testing.T, socket, path string, args []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	eventually(t, "a proxy that listens", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

const proxyTimeout = 300 * time.Millisecond

func nginx(dir, socket, target string) (config string, args []string) {
	return fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen unix:%[2]s http2;
		location / {
			grpc_pass grpc://%[3]s;
			grpc_read_timeout %[4]dms;
		}
	}
}
`, dir, socket, target, proxyTimeout.Milliseconds()), []string{"-p", dir, "-c", filepath.Join(dir, "config"), "-e", "stderr"}
}

func haproxy(dir, socket, target string) (config string, args []string) {
	return fmt.Sprintf(`
defaults
	mode http
	timeout connect 5s
	timeout client %[3]dms
	timeout server %[3]dms
frontend dncd
	bind unix@%[1]s proto h2
	default_backend dncd
backend dncd
	server one %[2]s proto h2
`, socket, target, proxyTimeout.Milliseconds()), []string{"-db", "-f", filepath.Join(dir, "config")}
}
