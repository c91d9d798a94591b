package accesslog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// childDir is the directory of the log that a child appends to: the test binary again, for that test alone.
const childDir = "DNCTEST_ACCESSLOG_CHILD"

// TestKillLosesNothingAcknowledged kills a process that appends, again and again. Whatever it was told is on disk is read, once,
// and nothing of the log is damaged.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(childDir); dir != "" {
		appendUntilKilled(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	dir, acknowledged := t.TempDir(), map[string]bool{}
	for round := range 6 {
		for _, name := range killedAfter(t, dir, time.Duration(50+rand.IntN(150))*time.Millisecond) {
			acknowledged[name] = true
		}
		l := Open(dir, Options{})
		names, unreadable := readAll(t, l, Query{Limit: 1000}, maxPageBytes)
		must(t, l.Close())
		read := map[string]bool{}
		for _, name := range names {
			if read[name] {
				t.Errorf("round %d: entry %s is there twice", round, name)
			}
			read[name] = true
		}
		for name := range acknowledged {
			if !read[name] {
				t.Errorf("round %d: entry %s was acknowledged and is gone", round, name)
			}
		}
		if unreadable != 0 {
			t.Errorf("round %d: %d bytes are damaged", round, unreadable)
		}
	}
	if len(acknowledged) < 100 {
		t.Errorf("only %d entries were acknowledged", len(acknowledged))
	}
}

// killedAfter runs a child for a while from its first acknowledgement on, kills it, and returns what it was told is on disk.
func killedAfter(t *testing.T, dir string, after time.Duration) (acknowledged []string) {
	t.Helper()
	binary, err := os.Executable()
	must(t, err)
	cmd := exec.Command(binary, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		name, isAck := strings.CutPrefix(lines.Text(), "ack ")
		if !isAck {
			t.Errorf("the child says %q", lines.Text())
			continue
		}
		if len(acknowledged) == 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		acknowledged = append(acknowledged, name)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acknowledged
}

// appendUntilKilled is what a child does.
func appendUntilKilled(t *testing.T, dir string) {
	l := Open(dir, Options{})
	run := rand.Uint64()
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := 0; !t.Failed(); i++ {
				name := fmt.Sprintf("%x-%d-%d", run, w, i)
				if err := l.Append(context.Background(), Entry{Name: name, Method: strings.Repeat("m", i%200)}, 1); err != nil {
					t.Error("append:", err)
					return
				}
				if _, err := io.WriteString(os.Stdout, "ack "+name+"\n"); err != nil {
					return
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkAppend compares many callers with one: they share a sync.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l := openLog(b, b.TempDir(), Options{})
			var all sync.WaitGroup
			next := make(chan struct{}, 1024)
			for range callers {
				all.Go(func() {
					for range next {
						if err := l.Append(context.Background(), Entry{Name: "dialer-1", Method: "RecordService/GetNumber"}, 14155550100); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for range b.N {
				next <- struct{}{}
			}
			close(next)
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
