package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dncd/dncd/bench/internal/peer"
	"github.com/dncd/dncd/bench/internal/report"
)

// tiny are the flags of a measurement that shows only that it works.
var tiny = []string{"--json", "--numbers", "20000", "--probes", "20000"}

func TestCheck(t *testing.T) {
	args := slices.Concat([]string{"check", "--listed", "0.3", "--duration", "20ms", "--runs", "2", "--callers", "1,8",
		"--batch", "500", "--message", "50", "--data", t.TempDir()}, tiny)
	out, log, err := runBench(t, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	want := map[string]int{report.CaseEmpty: 2, report.CaseUnary: 2, report.CaseClient: 2, report.CaseBatch: 1, report.CaseStream: 1}
	if peer.RedisMissing() == "" {
		want[report.CaseRedis], want[report.CaseRueidis], want[report.CaseRedisMany] = 2, 2, 1
	}
	got := map[string]int{}
	for _, row := range decodeRows[report.Check](t, out) {
		if row.Loop == "" { // the machine, ratios
			continue
		}
		got[row.Case]++
		if row.Runs != 2 || row.Numbers != 20_000 || row.Listed != 0.3 || row.Rate <= 0 || row.P50 <= 0 || row.P999 < row.P99 || row.P99 < row.P50 {
			t.Errorf("got %+v", row)
		}
	}
	for name, rows := range want {
		if got[name] != rows {
			t.Errorf("%s: got %d rows, want %d", name, got[name], rows)
		}
	}
}

func TestCheckAtRate(t *testing.T) {
	args := slices.Concat([]string{"check", "--duration", "200ms", "--runs", "1", "--rate", "500,1000", "--peers", "none",
		"--cases", "unary,batch", "--batch", "10", "--data", t.TempDir()}, tiny)
	out, log, err := runBench(t, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	var offered []float64
	for _, row := range decodeRows[report.Check](t, out) {
		if row.Loop == "" {
			continue
		}
		if row.Loop != report.LoopOpen || row.Rate <= 0 || row.Rate > 2*row.Offered {
			t.Errorf("got %+v", row)
		}
		offered = append(offered, row.Offered)
	}
	if want := []float64{500, 1000, 500, 1000}; !slices.Equal(offered, want) {
		t.Errorf("offered %v, want %v", offered, want)
	}
}

func TestCheckRefusesFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--listed", "1.1"},
		{"--runs", "0"},
		{"--callers", "0"},
		{"--rate", "-1"},
		{"--peers", "mysql"},
		{"--probes", "10"},
		{"--cases", "none-such", "--peers", "none", "--numbers", "1000", "--probes", "20000"},
	} {
		if _, _, err := runBench(t, append([]string{"check"}, args...)...); err == nil {
			t.Errorf("check %v: no error", args)
		}
	}
}

// An answer that is not what is known ends the measurement.
func TestProbesHoldAnswers(t *testing.T) {
	listed, unlisted := probe(14155550123|listedBit), probe(14155550123)
	for _, c := range []struct {
		p                probe
		blocked, allowed bool
		want             error
	}{
		{listed, true, false, nil},
		{listed, false, true, errNotBlocked},
		{listed, false, false, errNotBlocked}, // unknown
		{unlisted, false, true, nil},
		{unlisted, true, false, errNotAllowed},
		{unlisted, false, false, errNotAllowed},
	} {
		if err := c.p.hold(c.blocked, c.allowed); !errors.Is(err, c.want) {
			t.Errorf("listed %v, blocked %v, allowed %v: got %v, want %v", c.p.isListed(), c.blocked, c.allowed, err, c.want)
		}
	}
	if got := listed.e164(); got != "+14155550123" {
		t.Errorf("got %s", got)
	}
}

// The probes are what they say, and steady ones are so too when the list is turned.
func TestDrawnList(t *testing.T) {
	l, err := newSyntheticList(800_000, 3) // two area codes
	if err != nil {
		t.Fatal(err)
	}
	turned := l
	turned.turned = true
	numbers, other := numbersOf(t, l), numbersOf(t, turned)
	if len(numbers) != 800_000 || len(other) != 800_000 || !slices.IsSorted(numbers) || !slices.IsSorted(other) {
		t.Fatalf("got %d and %d numbers, want 800000 rising", len(numbers), len(other))
	}
	for _, steady := range []bool{false, true} {
		probes, err := l.probes(t.Context(), 20_000, 0.25, steady)
		if err != nil {
			t.Fatal(err)
		}
		listed, differ := 0, 0
		for _, p := range probes {
			_, on := slices.BinarySearch(numbers, p.digits())
			if on != p.isListed() {
				t.Fatal("a probe is not what it says")
			}
			if on {
				listed++
			}
			if _, on := slices.BinarySearch(other, p.digits()); on != p.isListed() {
				differ++
			}
		}
		if listed < 4600 || listed > 5400 {
			t.Errorf("%d of 20000 are listed, want a quarter", listed)
		}
		if steady != (differ == 0) {
			t.Errorf("steady %v: %d probes differ when the list is turned", steady, differ)
		}
	}
}

func numbersOf(t *testing.T, l syntheticList) []uint64 {
	t.Helper()
	var all []uint64
	batch := make([]uint64, 100_000)
	for source := l.source(); ; {
		n, err := source.Next(batch)
		if n == 0 {
			if l.numbers() != len(all) || source.Summary().Read != uint64(len(all)) {
				t.Errorf("read %d of %d: %v", len(all), l.numbers(), err)
			}
			return all
		}
		all = append(all, batch[:n]...)
	}
}

// A server that stands still delays every call that is due meanwhile, though one caller alone asks.
func TestOpenLoopCountsWaitingForACaller(t *testing.T) {
	start := time.Now()
	const still = 100 * time.Millisecond
	ask := func(context.Context, []probe) error {
		time.Sleep(still - time.Since(start))
		return nil
	}
	c := callers{askers: []asker{ask}, size: 1, pool: &probePool{probes: make([]probe, 8)}}
	_, got := c.open(t.Context(), 1000, 2*still)
	if err := got.failed(); err != nil {
		t.Fatal(err)
	}
	if n := got.hist.TotalCount(); n < 120 || n > 280 {
		t.Errorf("%d calls in 200 ms at 1,000 a second", n)
	}
	if p75 := got.hist.ValueAtQuantile(75); p75 < 30_000 {
		t.Errorf("a quarter of the calls waited for 50 ms and more: the longest quarter begins at %d µs", p75)
	}
}

// What nobody asks in time is counted with the time that it has waited.
func TestOpenLoopCountsWhatIsNotAsked(t *testing.T) {
	const d = 100 * time.Millisecond
	ask := func(context.Context, []probe) error {
		time.Sleep(d / 2)
		return nil
	}
	c := callers{askers: []asker{ask}, size: 1, pool: &probePool{probes: make([]probe, 8)}}
	_, got := c.open(t.Context(), 1000, d)
	if n := got.hist.TotalCount(); n < 50 {
		t.Errorf("%d of some 100 calls are counted", n)
	}
	if p50 := got.hist.ValueAtQuantile(50); p50 < d.Microseconds() {
		t.Errorf("p50 of what was not asked: %d µs", p50)
	}
}

func TestLoopsCountRefusals(t *testing.T) {
	n := 0
	ask := func(context.Context, []probe) error {
		n++
		return []error{nil, errRefused, errExpired}[n%3]
	}
	c := callers{askers: []asker{ask}, size: 1, pool: &probePool{probes: make([]probe, 8)}}
	o, got := c.closed(t.Context(), 10*time.Millisecond)
	if sum := got.hist.TotalCount() + o.refused.Load() + o.expired.Load(); sum != int64(n) || o.refused.Load() == 0 || o.expired.Load() == 0 {
		t.Errorf("%d calls: %d answered, %d refused, %d expired", n, got.hist.TotalCount(), o.refused.Load(), o.expired.Load())
	}
	wrong := callers{askers: []asker{func(context.Context, []probe) error { return errNotBlocked }}, size: 1, pool: c.pool}
	if _, got := wrong.closed(t.Context(), time.Minute); !errors.Is(got.failed(), errNotBlocked) {
		t.Errorf("got %v, want %v at once", got.failed(), errNotBlocked)
	}
}
