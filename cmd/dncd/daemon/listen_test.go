package daemon

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The socket of a running server stays, even while the server has no room for another connection. A socket without a
// listener is removed.
func TestSocketOfALivingServerStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dncd.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	var full error
	for i := 0; i < 16 && full == nil; i++ {
		var conn net.Conn
		if conn, full = net.Dial("unix", path); full == nil {
			t.Cleanup(func() { conn.Close() })
		}
	}
	if full == nil || errors.Is(full, syscall.ECONNREFUSED) {
		t.Skipf("this system does not tell of a full backlog: %v", full)
	}
	if err := removeStale(path); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of a living server is gone: %v", err)
	}
	syscall.Close(fd)
	if err := removeStale(path); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket of a dead server stays: %v", err)
	}
}
