package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dncd/dncd/internal/testparallel"
)

// tests are those of this package. The binary is also run as dnc and as dncd, which have flags of their own.
type tests struct{ *testing.M }

func (t tests) Run() int {
	testparallel.Raise()
	return t.M.Run()
}

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){
		"dnc":  func() { os.Exit(dnc()) },
		"dncd": func() { os.Exit(dncd()) },
	})
}

// TestScripts runs the real dnc against the real dncd. Besides testscript's own
// commands there are:
//
//	serve [FLAG...]       starts dncd on a free port with the data directory data, and sets DNC_ADDR, and DNC_HTTP for its metrics
//	crash                 ends it with SIGKILL; halt with SIGTERM
//	code N COMMAND...     runs a command that must exit with N
//	replace OLD NEW FILE  replaces a text in a file
func TestScripts(t *testing.T) {
	t.Parallel()
	samples, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("SAMPLES", samples)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // under -race, each dnc would wait a second at its end
			env.Setenv("TODAY", time.Now().UTC().Format(time.DateOnly))
			env.Values[processKey{}] = new(process)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serve,
			"crash": func(ts *testscript.TestScript, _ bool, _ []string) { current(ts).end(ts, syscall.SIGKILL) },
			"halt":  func(ts *testscript.TestScript, _ bool, _ []string) { current(ts).end(ts, syscall.SIGTERM) },
			"code":  code,
			"replace": func(ts *testscript.TestScript, _ bool, args []string) {
				text := strings.ReplaceAll(ts.ReadFile(args[2]), args[0], args[1])
				ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(text), 0o600))
			},
		},
	})
}

// patience is how long something may take on a busy machine before a test takes it for stuck.
const patience = 2 * time.Minute

// process is the dncd of one script.
type process struct {
	cmd  *exec.Cmd
	once *sync.Once
}

type processKey struct{}

func current(ts *testscript.TestScript) *process { return ts.Value(processKey{}).(*process) }

var servingAt = regexp.MustCompile(`127\.0\.0\.1:[1-9]\d*`)

func serve(ts *testscript.TestScript, _ bool, flags []string) {
	p := current(ts)
	args := append([]string{"--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--init", "--data", "data", "--min-free", "1MiB"}, flags...)
	p.cmd = exec.Command("dncd", args...)
	p.cmd.Dir = ts.MkAbs(".")
	p.once = new(sync.Once)
	out, err := p.cmd.StdoutPipe()
	ts.Check(err)
	log, err := os.Create(ts.MkAbs("dncd.log"))
	ts.Check(err)
	defer log.Close()
	p.cmd.Stderr = log
	ts.Check(p.cmd.Start())
	ts.Defer(func() { p.end(ts, syscall.SIGKILL) })
	addresses := make(chan []string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		addresses <- servingAt.FindAllString(line, 2)
	}()
	select {
	case at := <-addresses:
		if len(at) < 2 {
			ts.Fatalf("dncd does not serve: %s", ts.ReadFile("dncd.log"))
		}
		ts.Setenv("DNC_ADDR", at[0])
		ts.Setenv("DNC_HTTP", at[1])
	case <-time.After(patience):
		ts.Fatalf("dncd does not serve")
	}
}

func (p *process) end(ts *testscript.TestScript, signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	p.once.Do(func() {
		if err := p.cmd.Process.Signal(signal); err != nil {
			ts.Logf("signal dncd: %v", err)
		}
		_ = p.cmd.Wait()
	})
}

func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
