package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
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
	args := append([]string{"--data", dir, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--min-free", "1MiB", "--log-level", "error"}, flags...)
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
	if addr = servingAt.FindString(line); err != nil || addr == "" {
		stop()
		return "", nil, errors.Join(fmt.Errorf("dncd does not serve: %q, %s", line, log.String()), err)
	}
	return addr, stop, nil
}

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
	c, err := client.New(addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
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
	return context.WithTimeout(context.Background(), 10*time.Second)
}
