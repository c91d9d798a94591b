package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/go-cmp/cmp"
)

func TestMedianLoad(t *testing.T) {
	runs := []Load{
		{Case: "dncd", Numbers: 1000, Seconds: 4, BytesOnDisk: 4400, ReopenSeconds: 3},
		{Case: "dncd", Numbers: 1000, Seconds: 1, BytesOnDisk: 4300, ReopenSeconds: 1},
		{Case: "dncd", Numbers: 1000, Seconds: 2, BytesOnDisk: 9000, ReopenSeconds: 2},
	}
	want := Load{
		Case: "dncd", Numbers: 1000, Runs: 3, Seconds: 2, SecondsMin: 1, SecondsMax: 4, Rate: 500,
		BytesOnDisk: 4400, BytesPerNumber: 4.4, ReopenSeconds: 2,
	}
	if diff := cmp.Diff(want, MedianLoad(runs)); diff != "" {
		t.Error(diff)
	}
	if got := MedianLoad(runs[:2]).Seconds; got != 2.5 {
		t.Errorf("median of two: got %v, want 2.5", got)
	}
}

func TestRatios(t *testing.T) {
	rows := []Load{
		{Case: "dncd", Order: "sorted", Rate: 900}, {Case: "redis-sadd", Order: "sorted", Rate: 70},
		{Case: "redis-sadd", Order: "shuffled", Rate: 1}, {Case: "badger", Order: "sorted"},
	}
	want := []Ratio{{"ratio", "rate", "redis-sadd", "sorted", 12.86}, {"ratio", "rate", "badger", "sorted", 0}} // 0: not known
	if diff := cmp.Diff(want, Ratios(rows)); diff != "" {
		t.Error(diff)
	}
}

func TestMedianLatencies(t *testing.T) {
	run := func(idle, loading int64) []Latency {
		rows := []Latency{{Case: "check", Loop: "open", State: "idle"}, {Case: "check", Loop: "open", State: "loading"}}
		for i, us := range []int64{idle, loading} {
			h := hdrhistogram.New(1, 1e6, 3)
			for range 100 {
				if err := h.RecordValue(us); err != nil {
					t.Fatal(err)
				}
			}
			rows[i].SetTimes(h, 2*time.Second)
		}
		return rows
	}
	rows := MedianLatencies([][]Latency{run(100, 300), run(200, 200), run(120, 240)})
	if got := rows[0]; got.Calls != 300 || got.Rate != 50 || got.P99 != 120 || got.Runs != 3 {
		t.Errorf("got %+v of idle, want 300 calls, 50 a second, p99 of 120 µs in 3 runs", got)
	}
	want := []Ratio{{"ratio", "check open p99 loading", "idle", "", 2}}
	if diff := cmp.Diff(want, LatencyRatios(rows)); diff != "" {
		t.Error(diff)
	}
}

func TestTables(t *testing.T) {
	var out bytes.Buffer
	loads := []Load{{Case: "dncd", Order: "sorted", Numbers: 1000, Runs: 1, Seconds: 2, Rate: 500e3}}
	latencies := []Latency{{Case: "check", Loop: "open", State: "idle", P99: 120}}
	for _, err := range []error{LoadTable(&out, loads), LatencyTable(&out, latencies), RatioTable(&out, nil)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"0.50 M", "numbers/s", "120 µs"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "against") {
		t.Error("a table of no rows has a header")
	}
}
