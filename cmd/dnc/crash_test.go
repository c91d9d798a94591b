package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dncd/dncd/client"
)

// TestCrashScripts runs the scripts that end dncd in the middle of its work. Besides the commands of TestScripts:
//
//	rows N FILE            writes a csv of N opt-outs, every tenth of them twice
//	consents N FILE        the same, of consents
//	reach REVISION         waits until the server has come that far
//	columns N FILE TO      copies the first N columns of a csv
//	numbers N FILE         writes N numbers in no order, one a line
//	half FILE PIPE         makes a named pipe of which half of the file can be read, and no end
//	staged                 waits until the server holds a part of an import
//	unsent                 waits until the server has noticed that nobody sends an import any more
//	begin COMMAND...       starts a command in the background; leave kills it, if it has not ended, however it did
func TestCrashScripts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/crash",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Values[processKey{}] = new(process)
			env.Values[begunKey{}] = new(begun)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":    serve,
			"crash":    func(ts *testscript.TestScript, _ bool, _ []string) { current(ts).end(ts, syscall.SIGKILL) },
			"halt":     func(ts *testscript.TestScript, _ bool, _ []string) { current(ts).end(ts, syscall.SIGTERM) },
			"code":     code,
			"rows":     rows,
			"consents": consents,
			"reach":    reach,
			"columns":  columns,
			"numbers":  numbers,
			"half":     half,
			"staged":   staged,
			"unsent":   unsent,
			"begin":    begin,
			"leave":    func(ts *testscript.TestScript, _ bool, _ []string) { ts.Value(begunKey{}).(*begun).leave() },
		},
	})
}

type begunKey struct{}

// begun is a command in the background that races with the script: it may end by itself before the script ends it.
type begun struct{ cmd *exec.Cmd }

func begin(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: begin COMMAND...")
	}
	b := ts.Value(begunKey{}).(*begun)
	b.cmd = exec.Command(args[0], args[1:]...)
	b.cmd.Dir, b.cmd.Env = ts.MkAbs("."), append(os.Environ(), "DNC_ADDR="+ts.Getenv("DNC_ADDR"))
	ts.Check(b.cmd.Start())
	ts.Defer(b.leave)
}

func (b *begun) leave() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill() // it may have ended
	_ = b.cmd.Wait()
	b.cmd = nil
}

func number(ts *testscript.TestScript, args []string, count int) int {
	if len(args) != count {
		ts.Fatalf("got %d arguments, want %d", len(args), count)
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	return n
}

func rows(ts *testscript.TestScript, _ bool, args []string) {
	n := number(ts, args, 2)
	var b strings.Builder
	b.WriteString("phone,scope,channel,received_at,evidence\n")
	for i := range n {
		if i%10 == 9 {
			i-- // says what the row before said
		}
		fmt.Fprintf(&b, "+1415%07d,acme,email,2026-09-01,ticket-%d\n", 2_000_000+7*i, i)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(b.String()), 0o600))
}

func consents(ts *testscript.TestScript, _ bool, args []string) {
	n := number(ts, args, 2)
	var b strings.Builder
	b.WriteString("phone,scope,kind,form,obtained_at,evidence\n")
	for i := range n {
		if i%10 == 9 {
			i-- // says what the row before said
		}
		fmt.Fprintf(&b, "+1415%07d,acme,permission,written,2026-09-01,form-%d\n", 2_000_000+7*i, i)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(b.String()), 0o600))
}

func reach(ts *testscript.TestScript, _ bool, args []string) {
	want := uint64(number(ts, args, 1))
	c, err := client.New(ts.Getenv("DNC_ADDR"))
	ts.Check(err)
	defer c.Close()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s, err := c.ServerStats(context.Background()); err == nil && s.Revision >= want {
			return
		}
	}
	ts.Fatalf("revision %d does not come", want)
}

func columns(ts *testscript.TestScript, _ bool, args []string) {
	n := number(ts, args, 3)
	r := csv.NewReader(strings.NewReader(ts.ReadFile(args[1])))
	var out strings.Builder
	w := csv.NewWriter(&out)
	for {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		ts.Check(err)
		ts.Check(w.Write(row[:n]))
	}
	w.Flush()
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(out.String()), 0o600))
}

func numbers(ts *testscript.TestScript, _ bool, args []string) {
	n := number(ts, args, 2)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "+1415%07d\n", 2_000_000+(i*7919)%n)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(b.String()), 0o600))
}

func half(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: half FILE PIPE")
	}
	all := ts.ReadFile(args[0])
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[1]), 0o600))
	pipe, err := os.OpenFile(ts.MkAbs(args[1]), os.O_RDWR, 0) // does not wait for a reader
	ts.Check(err)
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = pipe.WriteString(all[:len(all)/2]) // until the pipe is closed
	}()
	ts.Defer(func() {
		pipe.Close()
		<-written
	})
}

func unsent(ts *testscript.TestScript, _ bool, _ []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get("http://" + ts.Getenv("DNC_HTTP") + "/metrics")
		ts.Check(err)
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if strings.Contains(string(text), `dncd_admission_under_way{work="loads"} 0`+"\n") {
			return
		}
	}
	ts.Fatalf("the server goes on with an import that nobody sends")
}

func staged(ts *testscript.TestScript, _ bool, _ []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		lists, err := filepath.Glob(ts.MkAbs("data/stage/*/chunks"))
		ts.Check(err)
		records, err := filepath.Glob(ts.MkAbs("data/stage-records/*/rows"))
		ts.Check(err)
		for _, log := range append(lists, records...) {
			if info, err := os.Stat(log); err == nil && info.Size() > 0 {
				return
			}
		}
	}
	ts.Fatalf("nothing is staged")
}
