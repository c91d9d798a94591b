package server_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/server"
)

// TestConnectionsBeyondTheLimit: connections beyond the limit are closed immediately. Those below it continue, and the
// room of one that ends is taken again.
func TestConnectionsBeyondTheLimit(t *testing.T) {
	t.Parallel()
	const most = 4
	n := withRegistry(t, func(o *server.Options) { o.Connections = most }) // has one itself
	var open []net.Conn
	dial := func() net.Conn {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	for range most - 1 {
		open = append(open, dial())
	}
	for range 20 {
		if !closed(t, dial(), 20*time.Second) {
			t.Fatal("a connection beyond the limit was taken")
		}
	}
	n.checkNumber(listed, "")
	if _, body := get(t, n.web+"/metrics"); !strings.Contains(body, "dncd_connections 4\n") || !strings.Contains(body, "dncd_connections_refused_total 20\n") {
		t.Error("/metrics does not tell of the connections")
	}
	open[0].Close()
	eventually(t, "there is room for another connection", func() bool { return !closed(t, dial(), 20*time.Second) })
}

// closed reports whether the server closes a connection within a time. It says something first to one that it takes.
func closed(t *testing.T, c net.Conn, within time.Duration) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}
