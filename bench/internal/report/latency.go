package report

import (
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency is how long calls took in one state of the server, the median of its
// runs, in microseconds.
type Latency struct {
	Case string `json:"case"` // check or optout
	// Loop is closed: each of Workers calls again once it is answered; or open: at
	// Rate, whether answered or not, and timed from when a call was due.
	Loop    string  `json:"loop"`
	Workers int     `json:"workers,omitempty"`
	Beside  string  `json:"beside,omitempty"` // of opt-outs, the checks' loop
	State   string  `json:"state"`            // idle or loading
	Numbers int     `json:"numbers"`
	Runs    int     `json:"runs"`
	Seconds float64 `json:"seconds"`
	Calls   int64   `json:"calls"`
	Rate    float64 `json:"rate"` // calls a second
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	P999    float64 `json:"p999_us"`
	Max     float64 `json:"max_us"`
}

// SetTimes takes over the figures of a histogram of microseconds.
func (l *Latency) SetTimes(h *hdrhistogram.Histogram, took time.Duration) {
	l.Seconds, l.Calls = took.Seconds(), h.TotalCount()
	l.Rate = round(float64(l.Calls) / l.Seconds)
	l.P50, l.P99 = float64(h.ValueAtQuantile(50)), float64(h.ValueAtQuantile(99))
	l.P999, l.Max = float64(h.ValueAtQuantile(99.9)), float64(h.Max())
}

// MedianLatencies merges runs, each of which has the same rows in the same order.
// Runs without rows make none.
func MedianLatencies(runs [][]Latency) []Latency {
	rows := slices.Clone(runs[0])
	for i := range rows {
		row := &rows[i]
		row.Runs, row.Calls = len(runs), 0
		for _, figure := range []func(*Latency) *float64{
			func(l *Latency) *float64 { return &l.Seconds }, func(l *Latency) *float64 { return &l.Rate },
			func(l *Latency) *float64 { return &l.P50 }, func(l *Latency) *float64 { return &l.P99 },
			func(l *Latency) *float64 { return &l.P999 }, func(l *Latency) *float64 { return &l.Max },
		} {
			values := make([]float64, len(runs))
			for r := range runs {
				values[r] = *figure(&runs[r][i])
			}
			*figure(row) = median(values)
		}
		for r := range runs {
			row.Calls += runs[r][i].Calls
		}
	}
	return rows
}

// name tells calls of one kind from those of another.
func (l *Latency) name() string {
	if l.Beside != "" {
		return l.Case + " beside " + l.Beside
	}
	return l.Case + " " + l.Loop
}

// LatencyRatios says how many times its p99 when idle a call's p99 while loading is.
func LatencyRatios(rows []Latency) []Ratio {
	var list []Ratio
	for _, loading := range rows {
		for _, idle := range rows {
			if loading.State == "loading" && idle.State == "idle" && loading.name() == idle.name() {
				list = append(list, NewRatio(loading.name()+" p99 loading", "idle", "", loading.P99, idle.P99))
			}
		}
	}
	return list
}
