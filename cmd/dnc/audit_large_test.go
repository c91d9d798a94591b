package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/store"
)

// yearOfOptOuts is opt-outs of one scope that are spread over a year, each at a moment of its own.
type yearOfOptOuts struct {
	begin    time.Time
	each     time.Duration
	received []time.Duration // before each was recorded
}

func (y *yearOfOptOuts) recorded(i int) time.Time { return y.begin.Add(time.Duration(i) * y.each) }

// number is that of an opt-out; those behind the last one have none.
func (y *yearOfOptOuts) number(i int) phone.Number { return phone.Number(33_600_000_000 + i*7) }

// write records them in a store in dir.
func (y *yearOfOptOuts) write(t *testing.T, dir string, r *rand.Rand, n int) {
	t.Helper()
	now := y.begin
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(dir, store.Options{MinFree: -1, Ballast: -1, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		now = y.recorded(i)
		y.received = append(y.received, time.Duration(r.Int64N(int64(48*time.Hour))).Truncate(time.Second))
		o := store.OptOut{Number: y.number(i), Scope: "acme", ReceivedAt: now.Add(-y.received[i])}
		if _, err := s.RecordOptOut(t.Context(), o, store.Request{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// call is a call at random, and what the audit must find of it.
func (y *yearOfOptOuts) call(r *rand.Rand) (n phone.Number, at time.Time, verdict string, late bool) {
	i := r.IntN(2 * len(y.received))
	n, at = y.number(i), y.begin.Add(time.Duration(r.Int64N(int64(365*24*time.Hour)))).Truncate(time.Second)
	switch {
	case i >= len(y.received) || at.Before(y.recorded(i).Add(-y.received[i])):
		return n, at, "ALLOW", false
	case at.Before(y.recorded(i)):
		return n, at, "ALLOW", true
	}
	return n, at, "BLOCK", false
}

// TestAuditOfAYear audits calls in no order against opt-outs of a whole year, and compares all counts with what was made, and a
// sample with single checks. DNCTEST_AUDIT is how many calls there are; there are a tenth as many opt-outs.
func TestAuditOfAYear(t *testing.T) {
	calls := 3000
	if text := os.Getenv("DNCTEST_AUDIT"); text != "" {
		var err error
		if calls, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Parallel()
	}
	r := rand.New(rand.NewPCG(3, 0))
	dir := t.TempDir()
	y := yearOfOptOuts{begin: time.Now().UTC().AddDate(0, 0, -366).Truncate(time.Second), each: 365 * 24 * time.Hour / time.Duration(calls/10)}
	y.write(t, filepath.Join(dir, "data"), r, calls/10)
	path := filepath.Join(dir, "calls.csv")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(file)
	fmt.Fprintln(w, "name,phone,time")
	verdicts, late := map[string]int{}, 0
	for i := range calls {
		n, at, verdict, isLate := y.call(r)
		fmt.Fprintf(w, "%d,%s,%s\n", i, n.E164(), at.Format(time.RFC3339))
		verdicts[verdict]++
		if isLate {
			late++
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	file.Close()
	addr, _ := startDaemonIn(t, filepath.Join(dir, "data"))
	out := filepath.Join(dir, "audited.csv")
	begun := time.Now()
	code, _, stderr := dncOf(t.Context(), addr, "audit", path, "--scope", "acme/telecom", "--out", out)
	took := time.Since(begun)
	want := fmt.Sprintf("%d rows: ALLOW %d, BLOCK %d; for %d permitted calls an opt-out had been received", calls, verdicts["ALLOW"], verdicts["BLOCK"], late)
	if code != exitNo || !strings.Contains(stderr, want) {
		t.Fatalf("exit code %d: %s; want %s", code, stderr, want)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("%d calls against %d opt-outs in %v on %d cores; %d MiB from the system, client and server together", calls, calls/10, took.Round(time.Millisecond), runtime.GOMAXPROCS(0), memory.Sys>>20)
	wantAsSingleChecks(t, addr, out, r, calls)
}

// wantAsSingleChecks compares a sample of rows with single checks as of the time of the call.
func wantAsSingleChecks(t *testing.T, addr, path string, r *rand.Rand, calls int) {
	t.Helper()
	c, err := client.New(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sample := map[string]bool{}
	for range 400 {
		sample[strconv.Itoa(r.IntN(calls))] = true
	}
	rows := auditedRows(t, path, func(name string) bool { return sample[name] })
	if len(rows) != len(sample) {
		t.Fatalf("got %d rows of the sample, want %d", len(rows), len(sample))
	}
	for _, row := range rows {
		at, err := time.Parse(time.RFC3339, row["time"])
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Check(t.Context(), row["phone"], client.Scope("acme/telecom"), client.AsOf(at))
		got.OpensAt = time.Time{} // an audit does not say it
		if err != nil || string(got.Verdict) != row["verdict"] || strconv.FormatUint(got.Revision, 10) != row["revision"] || describeResult(got) != row["reason"] {
			t.Fatalf("a call at %v: got %v, %v; audited as %v", at, got, err, row)
		}
	}
}
