package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestWrongFileScripts runs the scripts that load files which are damaged or wrong. Besides the commands of TestScripts:
//
//	numbers N FILE                 writes N lines as the FTC does, of one area code, others N FILE other ones; badlines N
//	                               FILE lines that no format reads; mixedlines N FILE every second of them bad; noise N FILE random bytes;
//	                               longlines N FILE lines of a MiB, with a number before each
//	cut PERCENT FILE TO            copies the first part of a file
//	zip FILE TO, gzip FILE TO      packs a file
//	keep                           exports us-ftc; unchanged checks that the export is still the same
//	holds FILE                     checks that us-ftc holds the numbers of a file
//	within MIB N OUT COMMAND...    runs a command that must exit with N and stay below so much memory; what it says goes to OUT
//	reject-lines N FILE REJECTS    checks that a reject file holds each of the N lines of a file
func TestWrongFileScripts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	samples, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/wrong",
		Setup: func(env *testscript.Env) error {
			env.Setenv("SAMPLES", samples)
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Values[processKey{}] = new(process)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":        serve,
			"code":         code,
			"numbers":      writes(func(b *bytes.Buffer, i int) { fmt.Fprintf(b, "415,%07d\n", 2_000_000+7*i) }),
			"others":       writes(func(b *bytes.Buffer, i int) { fmt.Fprintf(b, "415,%07d\n", 5_000_003+7*i) }),
			"badlines":     writes(func(b *bytes.Buffer, i int) { fmt.Fprintf(b, "row %d, no number\n", i) }),
			"mixedlines":   writes(mixedLine),
			"longlines":    writes(longLine),
			"noise":        writes(func(b *bytes.Buffer, i int) { b.WriteByte(byte(noise(i))) }),
			"cut":          cut,
			"zip":          packs(zipInto),
			"gzip":         packs(gzipInto),
			"keep":         keep,
			"unchanged":    unchanged,
			"holds":        holds,
			"within":       within,
			"reject-lines": rejectLines,
		},
	})
}

// noise is the same at each call, and no text.
func noise(i int) uint64 { return rand.New(rand.NewPCG(uint64(i), 0)).Uint64() }

func mixedLine(b *bytes.Buffer, i int) {
	if i%2 == 0 {
		fmt.Fprintf(b, "415,%07d\n", 2_000_000+7*i)
		return
	}
	fmt.Fprintf(b, "row %d, no number\n", i)
}

func longLine(b *bytes.Buffer, i int) {
	fmt.Fprintf(b, "+1415%07d\n%s\n", 2_000_000+i, strings.Repeat("x", 1<<20))
}

// writes makes a command that writes a file of N pieces.
func writes(piece func(b *bytes.Buffer, i int)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		n := number(ts, args, 2)
		var b bytes.Buffer
		for i := range n {
			piece(&b, i)
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o600))
	}
}

func cut(ts *testscript.TestScript, _ bool, args []string) {
	percent := number(ts, args, 3)
	data, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), data[:len(data)*percent/100], 0o600))
}

// packs makes a command that packs a file into another.
func packs(pack func(to io.Writer, name string, data []byte) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		if len(args) != 2 {
			ts.Fatalf("usage: zip|gzip FILE TO")
		}
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		ts.Check(err)
		var b bytes.Buffer
		ts.Check(pack(&b, args[0], data))
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o600))
	}
}

func zipInto(to io.Writer, name string, data []byte) error {
	w := zip.NewWriter(to)
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write(data)
	}
	return errors.Join(err, w.Close())
}

func gzipInto(to io.Writer, _ string, data []byte) error {
	w := gzip.NewWriter(to)
	_, err := w.Write(data)
	return errors.Join(err, w.Close())
}

// exported is what dnc exports of us-ftc. The script's own exec would write it into the log.
func exported(ts *testscript.TestScript) string {
	cmd := exec.Command("dnc", "export", "--list", "us-ftc", "--addr", ts.Getenv("DNC_ADDR"))
	out, err := cmd.Output()
	ts.Check(err)
	return string(out)
}

func keep(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(os.WriteFile(ts.MkAbs("was.txt"), []byte(exported(ts)), 0o600))
}

func unchanged(ts *testscript.TestScript, _ bool, _ []string) {
	if got, want := exported(ts), ts.ReadFile("was.txt"); got != want {
		ts.Fatalf("the list holds %d numbers that are not the %d of before", strings.Count(got, "\n"), strings.Count(want, "\n"))
	}
}

func holds(ts *testscript.TestScript, _ bool, args []string) {
	var want []string
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		want = append(want, "+1"+strings.ReplaceAll(line, ",", ""))
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if got := exported(ts); got != strings.Join(want, "") {
		ts.Fatalf("the list holds %d numbers that are not the %d of the file", strings.Count(got, "\n"), len(want))
	}
}

func within(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 4 {
		ts.Fatalf("usage: within MIB N OUT COMMAND...")
	}
	limit, err1 := strconv.ParseFloat(args[0], 64)
	want, err2 := strconv.Atoi(args[1])
	ts.Check(errors.Join(err1, err2))
	cmd := exec.Command(args[3], args[4:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), append(os.Environ(), "DNC_ADDR="+ts.Getenv("DNC_ADDR"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	ts.Check(cmd.Start())
	peak := watchPeak(cmd.Process.Pid)
	_ = cmd.Wait() // its exit code says it
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), out.Bytes(), 0o600))
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit code %d, want %d: %s", got, want, &out)
	}
	took := peak()
	ts.Logf("%.0f MiB at most", took)
	if took > limit {
		ts.Fatalf("it took %.0f MiB of memory, more than %.0f", took, limit)
	}
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// watchPeak follows the memory of a process and returns how to learn its peak in MiB; 0 where the system does not tell.
func watchPeak(pid int) func() float64 {
	stop, peak := make(chan struct{}), make(chan float64)
	go func() {
		most := 0.0
		for {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // gone with the process
			if m := peakLine.FindSubmatch(status); m != nil {
				kib, _ := strconv.ParseFloat(string(m[1]), 64)
				most = max(most, kib/1024)
			}
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() float64 {
		close(stop)
		return <-peak
	}
}

func rejectLines(ts *testscript.TestScript, _ bool, args []string) {
	n := number(ts, args, 3)
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile(args[1]), "\n"), "\n")
	f, err := os.Open(ts.MkAbs(args[2]))
	ts.Check(err)
	defer f.Close()
	r := csv.NewReader(f)
	r.ReuseRecord = true
	_, err = r.Read() // the title
	ts.Check(err)
	for i := range n {
		row, err := r.Read()
		ts.Check(err)
		if row[0] != args[1] || row[1] != strconv.Itoa(i+1) || row[2] == "" || row[3] != lines[i] {
			ts.Fatalf("reject %d is %q, the line is %q", i+1, row, lines[i])
		}
	}
	if row, err := r.Read(); err != io.EOF || len(lines) != n {
		ts.Fatalf("after %d rejects of %d lines: %q, %v", n, len(lines), row, err)
	}
}
