//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dncd/dncd/client"
)

// TestFullDiskScripts runs the scripts that fill the disk of dncd. Besides the commands of TestScripts, and keep,
// unchanged and holds of TestWrongFileScripts:
//
//	tmpfs MIB DIR               mounts a small disk
//	leave KIB FILE              writes a file that leaves so much above --min-free
//	shuffled N FILE             writes N lines of the FTC in random order; sparse FILE 615,240 that share no block
//	consents N FILE             writes N consents, as in TestCrashScripts; columns N FILE TO copies columns of a csv
//	optouts N                   opts numbers out; blocked checks that all of them are, and are in force
//	refused                     waits until an opt-out and a load are refused with DISK_FULL, RESOURCE_EXHAUSTED
//	await PATTERN COMMAND...    runs a command until it prints that
//	waits SECONDS               checks that the newest load stays prepared, and is so on a full disk
func TestFullDiskScripts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs to mount file systems: not root")
	}
	probe := t.TempDir()
	if err := mountSmall(probe, 1); err != nil {
		t.Skip("needs to mount file systems:", err)
	}
	unmount(probe)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/disk",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Values[processKey{}] = new(process)
			env.Values[optedOutKey{}] = new(optedOut)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":     serve,
			"crash":     func(ts *testscript.TestScript, _ bool, _ []string) { current(ts).end(ts, syscall.SIGKILL) },
			"halt":      func(ts *testscript.TestScript, _ bool, _ []string) { current(ts).end(ts, syscall.SIGTERM) },
			"code":      code,
			"keep":      keep,
			"unchanged": unchanged,
			"tmpfs":     tmpfs,
			"leave":     leave,
			"shuffled":  shuffled,
			"consents":  consents,
			"columns":   columns,
			"sparse":    sparse,
			"optouts":   optOuts,
			"blocked":   blocked,
			"refused":   refused,
			"await":     await,
			"waits":     waits,
			"holds":     holds,
		},
	})
}

type optedOutKey struct{}

// optedOut are the numbers whose opt-out was acknowledged.
type optedOut struct{ numbers []string }

func connect(ts *testscript.TestScript) *client.Client {
	c, err := client.New(ts.Getenv("DNC_ADDR"), client.WithTimeout(time.Minute))
	ts.Check(err)
	return c
}

func tmpfs(ts *testscript.TestScript, _ bool, args []string) {
	size, dir := number(ts, args, 2), ts.MkAbs(args[1])
	ts.Check(os.Mkdir(dir, 0o700))
	ts.Check(mountSmall(dir, size))
	ts.Defer(func() { unmount(dir) })
}

func mountSmall(dir string, mib int) error {
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mib), "tmpfs", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mount a small disk: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// unmount unmounts at once, or when the last file that is open there is closed.
func unmount(dir string) {
	if exec.Command("umount", dir).Run() != nil {
		_ = exec.Command("umount", "-l", dir).Run()
	}
}

// leave fills the disk, with what the store counts as used, but never to where a mapped file could not be written. It
// ends when two looks in a row find the disk full: until then the database gives back what its merges no longer need.
func leave(ts *testscript.TestScript, _ bool, args []string) {
	left := uint64(number(ts, args, 2)) << 10
	c := connect(ts)
	defer c.Close()
	f, err := os.OpenFile(ts.MkAbs(args[1]), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	ts.Check(err)
	defer f.Close()
	for end, looks := time.Now().Add(patience), 0; time.Now().Before(end); {
		time.Sleep(1100 * time.Millisecond) // the server measures the disk once a second
		s, err := c.ServerStats(context.Background())
		ts.Check(err)
		if s.DiskFreeBytes <= s.MinFreeBytes+left {
			if looks++; looks == 2 {
				return
			}
			continue
		}
		looks = 0
		_, err = f.Write(make([]byte, s.DiskFreeBytes-s.MinFreeBytes-left))
		ts.Check(err)
	}
	ts.Fatalf("the disk does not fill up")
}

func shuffled(ts *testscript.TestScript, _ bool, args []string) {
	n := number(ts, args, 2)
	rnd := rand.New(rand.NewPCG(uint64(n), 1))
	var b bytes.Buffer
	for range n {
		fmt.Fprintf(&b, "%d,%07d\n", 201+rnd.IntN(20), 2_000_000+rnd.IntN(7_000_000))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o600))
}

func sparse(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: sparse FILE")
	}
	const apart = 4096 // numbers of a block
	var b bytes.Buffer
	for code := 201; code < 561; code++ {
		for n := 2_000_000; n < 9_000_000; n += apart {
			fmt.Fprintf(&b, "%d,%07d\n", code, n)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

func optOuts(ts *testscript.TestScript, _ bool, args []string) {
	n := number(ts, args, 1)
	out := ts.Value(optedOutKey{}).(*optedOut)
	c := connect(ts)
	defer c.Close()
	for range n {
		k := len(out.numbers)
		number := fmt.Sprintf("+1%d5550%d", 201+k/100, 100+k%100)
		_, err := c.RecordOptOut(context.Background(), client.OptOut{Number: number, Channel: client.ChannelCall, Desk: "test"})
		ts.Check(err)
		out.numbers = append(out.numbers, number)
	}
}

func blocked(ts *testscript.TestScript, _ bool, _ []string) {
	c := connect(ts)
	defer c.Close()
	for _, n := range ts.Value(optedOutKey{}).(*optedOut).numbers {
		r, err := c.Check(context.Background(), n)
		ts.Check(err)
		if r.Verdict != client.Block || !slices.ContainsFunc(r.Reasons, func(why client.Reason) bool { return why.List == "" }) {
			ts.Fatalf("a number that is opted out: %s for %v", r.Verdict, r.Reasons)
		}
	}
}

func refused(ts *testscript.TestScript, _ bool, _ []string) {
	c := connect(ts)
	defer c.Close()
	untilFull(ts, "opt-out", func() error {
		_, err := c.RecordOptOut(context.Background(), client.OptOut{Number: "+14165550199", Channel: client.ChannelCall})
		return err
	})
	untilFull(ts, "import", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second) // one that is taken waits for the load before it
		defer cancel()
		_, err := c.Import(ctx, client.ImportRequest{
			List: "us-ftc", Mode: client.ModeAdd, Numbers: client.Numbers(slices.Values([]string{"+14165550199"})), DryRun: true,
		})
		return err
	})
}

// untilFull calls until the disk is full: the database takes room and gives it back while it merges.
func untilFull(ts *testscript.TestScript, what string, call func() error) {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = call(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	var e *client.Error
	if !errors.As(err, &e) || !errors.Is(err, client.ErrDiskFull) || e.Code() != "RESOURCE_EXHAUSTED" {
		ts.Fatalf("%s on a full disk: %v, want DISK_FULL and RESOURCE_EXHAUSTED", what, err)
	}
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: await PATTERN COMMAND...")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%q does not come: %s", args[0], ts.ReadFile("stdout"))
}

// waits looks a few times whether the newest load of the list is prepared still, on a disk that is full.
func waits(ts *testscript.TestScript, _ bool, args []string) {
	seconds := number(ts, args, 1)
	c := connect(ts)
	defer c.Close()
	full := false
	for end := time.Now().Add(time.Duration(seconds) * time.Second); !full || time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s, err := c.ServerStats(context.Background())
		ts.Check(err)
		full = s.State == client.StoreDiskFull
		for r, err := range c.ImportHistory(context.Background(), "us-ftc") {
			ts.Check(err)
			if r.State != client.ImportPrepared {
				ts.Fatalf("the load is %s and does not wait for room; the server is %s", r.State, s.State)
			}
			break
		}
	}
}
