//go:build unix

package daemon_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// hello begins a connection of HTTP/2: the preface, and a settings frame without settings.
const hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// resident is the memory of a process in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("how much memory a process has is not told here")
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmRSS in %s", status)
	}
	kb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// TestTenThousandConnections: that many idle connections take some tens of kilobytes each, and delay no check.
func TestTenThousandConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const count = 10_000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < count+1500 {
		t.Skipf("this process may open %d files, and the test needs %d: raise ulimit -n", files.Cur, count+1500)
	}
	p := startProcess(t, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--init", "--data", t.TempDir(), "--min-free", "0")
	before := resident(t, p.cmd.Process.Pid)
	answer := make([]byte, 9) // the header of the server's settings
	for i := range count {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write([]byte(hello)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(answer); err != nil {
			t.Fatalf("connection %d got no settings: %v", i, err)
		}
	}
	each := (resident(t, p.cmd.Process.Pid) - before) / count

	conn, err := grpc.NewClient(p.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	start := time.Now()
	const checks = 100
	for range checks {
		if _, err := dncv1.NewCheckServiceClient(conn).CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: "+14155550123"}); err != nil {
			t.Fatalf("beside %d connections: %v", count, err)
		}
	}
	t.Logf("%d KiB a connection; %v a check beside them", each>>10, time.Since(start)/checks)
	if each > shadow*128<<10 {
		t.Errorf("got %d KiB a connection, want at most %d", each>>10, shadow*128)
	}
}
