package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/cmd/dncd/daemon"
)

// start runs dncd in this process, with a data directory and flags, and returns the
// address that it serves at and what ends it.
func start(dir string, flags ...string) (addr string, stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	var log strings.Builder
	done := make(chan int, 1)
	args := append([]string{"--init", "--data", dir, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--min-free", "1MiB", "--log-level", "error"}, flags...)
	go func() {
		done <- daemon.Run(ctx, args, in, &log)
		in.Close()
	}()
	stop = func() {
		cancel()
		<-done
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() { _, _ = io.Copy(io.Discard, out) }()
	at := servingAt.FindAllString(line, 2)
	if err != nil || len(at) < 2 {
		stop()
		return "", nil, errors.Join(fmt.Errorf("dncd does not serve: %q, %s", line, log.String()), err)
	}
	webOf.Store(at[0], at[1])
	return at[0], stop, nil
}

// webOf is where the servers that were started serve HTTP, by their address.
var webOf sync.Map

var servingAt = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// serve starts a server on a new store and returns its address.
func serve(t testing.TB, flags ...string) string {
	t.Helper()
	addr, stop, err := start(t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return addr
}

func connect(t testing.TB, addr string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(addr, append([]client.Option{client.WithTimeout(patience)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// patience is how long a call may take on a busy machine before a test takes it for stuck.
const patience = time.Minute

// eventually waits for something that others bring about.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// noLoads waits until the server at addr has heard that nobody sends it a load any more.
func noLoads(t *testing.T, addr string) {
	t.Helper()
	web, ok := webOf.Load(addr)
	if !ok {
		t.Fatalf("no server was started at %s", addr)
	}
	eventually(t, "the server is done with the streams of loads", func() bool {
		resp, err := http.Get("http://" + web.(string) + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), `dncd_admission_under_way{work="loads"} 0`+"\n")
	})
}

// exampleServer starts a server for an example.
func exampleServer() (addr string, stop func()) {
	dir, err := os.MkdirTemp("", "dncd-example-")
	if err != nil {
		panic(err)
	}
	addr, end, err := start(dir)
	if err != nil {
		panic(err)
	}
	return addr, func() {
		end()
		os.RemoveAll(dir)
	}
}

// soon is a context for an example.
func soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}
