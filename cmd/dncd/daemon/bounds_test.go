//go:build unix

package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dncd/dncd/internal/nice"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// holding is how long the streams of TestStreamsThatNeverRead last. DNCTEST_BOUNDS_FOR sets another time, such as 60s.
func holding(t *testing.T) time.Duration {
	t.Helper()
	given := os.Getenv("DNCTEST_BOUNDS_FOR")
	if given == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(given)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fullMessage holds as many checks as a message may.
func fullMessage() *dncv1.StreamChecksRequest {
	m := new(dncv1.StreamChecksRequest)
	for i := range uint64(10_000) {
		m.Checks = append(m.Checks, &dncv1.StreamCheck{Id: i, Subject: &dncv1.StreamCheck_E164{E164: 33199000000 + i}})
	}
	return m
}

// flood sends full messages on a stream of checks, without reading an answer, until the stream ends.
func flood(ctx context.Context, conn *grpc.ClientConn, message *dncv1.StreamChecksRequest) error {
	stream, err := dncv1.NewCheckServiceClient(conn).StreamChecks(ctx)
	if err != nil {
		return err
	}
	for {
		if err := stream.Send(message); err != nil {
			return stream.RecvMsg(new(dncv1.StreamChecksResponse)) // the reason, if the server ended the stream
		}
	}
}

// floodFrom is the address that the process of TestFlood floods.
const floodFrom = "DNCTEST_FLOOD"

// TestFlood is the hostile client of TestStreamsThatNeverRead. It runs in a process of its own until its standard input
// ends, with threads of lower priority, as if it were on another machine.
func TestFlood(t *testing.T) {
	addr := os.Getenv(floodFrom)
	if addr == "" {
		t.Skip("is run by TestStreamsThatNeverRead")
	}
	nice.Process()
	ctx, cancel := context.WithCancel(context.Background())
	conn := dial(t, addr)
	message := fullMessage()
	var open sync.WaitGroup
	for range 256 {
		open.Go(func() {
			err := flood(ctx, conn, message)
			if err != nil && !errors.Is(err, context.Canceled) && status.Code(err) != codes.ResourceExhausted && status.Code(err) != codes.Canceled {
				t.Errorf("got %v, want to go on, or to be refused", err)
			}
		})
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	open.Wait()
}

// startFlood starts the process of TestFlood. stop ends it and reports its errors.
func startFlood(t *testing.T, addr string) (stop func()) {
	t.Helper()
	cmd := exec.CommandContext(testContext(t), os.Args[0], "-test.run=^TestFlood$")
	cmd.Env = append(os.Environ(), floodFrom+"="+addr)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the flood: %v\n%s", err, &out)
		}
	}
}

// awaitFlood waits until streams hold more room of messages than one stream can.
func awaitFlood(t *testing.T, p *process) {
	t.Helper()
	const held = `dncd_admission_under_way{work="stream_messages"} `
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		resp, err := http.Get(p.web + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		_, after, _ := strings.Cut(string(body), held)
		var bytes float64
		if _, scan := fmt.Sscan(after, &bytes); err != nil || scan != nil {
			t.Fatal(err, scan)
		}
		if bytes > 8<<20 {
			return
		}
	}
	t.Fatal("the flood has not begun in time")
}

// spread describes times. There must be some.
func spread(times []time.Duration) string {
	slices.Sort(times)
	return fmt.Sprintf("median %v, 99th of a hundred %v, slowest %v", times[len(times)/2], times[len(times)*99/100], times[len(times)-1])
}

// TestStreamsThatNeverRead: one connection with 256 check streams that send and never read costs the server at most 256
// MiB and delays no other check, and the memory is returned when the connection has gone.
func TestStreamsThatNeverRead(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const (
		most       = 256 << 20
		afterwards = 32 << 20
		giveBack   = 10 * time.Second
	)
	p := startProcess(t, serveArgs(t.TempDir(), "--min-free", "0")...)
	check := dncv1.NewCheckServiceClient(dial(t, p.addr))
	ask := func() time.Duration {
		start := time.Now()
		if _, err := check.CheckNumber(testContext(t), &dncv1.CheckNumberRequest{Number: "+33199001234"}); err != nil {
			t.Fatalf("beside the streams: %v", err)
		}
		return time.Since(start)
	}
	ask()
	var alone []time.Duration
	for end := time.Now().Add(holding(t) / 4); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		alone = append(alone, ask())
	}
	before := resident(t, p.cmd.Process.Pid)
	stop := startFlood(t, p.addr)
	awaitFlood(t, p)
	peak := 0
	var times []time.Duration
	for end := time.Now().Add(holding(t)); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		times = append(times, ask())
		peak = max(peak, resident(t, p.cmd.Process.Pid)-before)
	}
	stop()
	ended := time.Now()
	left := resident(t, p.cmd.Process.Pid) - before
	for left > shadow*afterwards && time.Since(ended) < giveBack {
		time.Sleep(100 * time.Millisecond)
		left = resident(t, p.cmd.Process.Pid) - before
	}
	t.Logf("at most %d MiB more, %d MiB %v after the end; checks beside them: %s; before them: %s",
		peak>>20, left>>20, time.Since(ended).Round(time.Millisecond), spread(times), spread(alone))
	if peak > shadow*most {
		t.Errorf("got %d MiB more, want at most %d", peak>>20, shadow*most>>20)
	}
	if left > shadow*afterwards {
		t.Errorf("%v after their end got %d MiB more than before, want at most %d", giveBack, left>>20, shadow*afterwards>>20)
	}
}
