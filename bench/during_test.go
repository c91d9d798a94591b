package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dncd/dncd/bench/internal/report"
)

func TestDuring(t *testing.T) {
	out, log, err := runBench(t, "during", "--json", "--numbers", "20000", "--idle", "2s", "--rate", "200", "--optouts", "50",
		"--data", t.TempDir())
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	rows := decodeRows[report.Latency](t, out)
	const machine, latencies, ratios = 1, 8, 4
	if len(rows) != machine+latencies+ratios {
		t.Fatalf("got %d rows\n%s", len(rows), out)
	}
	for _, row := range rows[machine : machine+latencies] {
		if row.Seconds <= 0 || row.Numbers != 20_000 {
			t.Errorf("got %+v", row)
		}
		if row.State == "idle" && (row.Calls == 0 || row.P50 <= 0 || row.P99 < row.P50 || row.Max < row.P99) {
			t.Errorf("got %+v", row)
		}
	}
}

func TestClosedLoop(t *testing.T) {
	var calls, at, most atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := closed(3, func(context.Context) error {
		if calls.Add(1) == 50 {
			cancel()
		}
		most.Store(max(most.Load(), at.Add(1)))
		time.Sleep(2 * time.Millisecond)
		at.Add(-1)
		return nil
	})(ctx)
	if err := got.failed(); err != nil {
		t.Fatal(err)
	}
	if n := got.hist.TotalCount(); n != calls.Load() || n < 50 {
		t.Errorf("timed %d of %d calls", n, calls.Load())
	}
	if most.Load() > 3 {
		t.Errorf("%d calls at once of 3 workers", most.Load())
	}
	if p50 := got.hist.ValueAtQuantile(50); p50 < 2000 {
		t.Errorf("p50 of calls that take 2 ms: %d µs", p50)
	}
}

// A server that stands still delays every call that was due meanwhile.
func TestOpenLoopCountsCallsThatWait(t *testing.T) {
	start := time.Now()
	const still = 300 * time.Millisecond
	got := open(500, func(context.Context) error {
		time.Sleep(still - time.Since(start))
		return nil
	})(within(t, 2*still))
	if err := got.failed(); err != nil {
		t.Fatal(err)
	}
	if p75 := got.hist.ValueAtQuantile(75); p75 < (still / 4).Microseconds() {
		t.Errorf("half of the calls were due while the server stood still, and a quarter waited for %d µs", p75)
	}
}

func TestTrafficStopsAtAnError(t *testing.T) {
	wrong := errors.New("no answer")
	fail := func(context.Context) error { return wrong }
	for name, made := range map[string]traffic{"closed": closed(2, fail), "open": open(1000, fail)} {
		start := time.Now()
		if err := made(within(t, time.Minute)).failed(); !errors.Is(err, wrong) {
			t.Errorf("%s: got %v, want the call's error", name, err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: it went on for %v", name, took)
		}
	}
}

// A call that is cut short by the end of the measurement is neither slow nor wrong.
func TestTrafficLeavesOutWhatItsEndCutsShort(t *testing.T) {
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, made := range map[string]traffic{"closed": closed(2, wait), "open": open(1000, wait)} {
		got := made(within(t, 20*time.Millisecond))
		if err := got.failed(); err != nil || got.hist.TotalCount() != 0 {
			t.Errorf("%s: got %d calls, %v", name, got.hist.TotalCount(), err)
		}
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
