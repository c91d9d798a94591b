package report

import (
	"fmt"
	"io"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Cases of deliveries.
const (
	CaseWatch        = "watch"
	CaseWatchIdle    = "watch-idle"
	CaseRedisStreams = "redis-streams"
)

// Watch is how long entries take to readers. Times are in microseconds, from an entry's acknowledgement to a reader.
type Watch struct {
	Case        string  `json:"case"`
	Subscribers int     `json:"subscribers"`
	Stopped     int     `json:"stopped"` // more of them, which never read
	Seconds     float64 `json:"seconds"`
	Rate        float64 `json:"rate"` // entries a second
	Deliveries  int64   `json:"deliveries"`
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
	P999        float64 `json:"p999_us"`
	Max         float64 `json:"max_us"`
	// ServerCPU is the processor time that the server takes in a second; BytesEach its memory for each subscriber, without
	// the pages of files.
	ServerCPU float64 `json:"server_cpu"`
	BytesEach float64 `json:"bytes_each,omitempty"`
}

// SetTimes takes over the figures of a histogram of microseconds.
func (w *Watch) SetTimes(h *hdrhistogram.Histogram) {
	w.Deliveries, w.Max = h.TotalCount(), float64(h.Max())
	w.P50, w.P99, w.P999 = quantiles(h)
}

// WatchTable writes deliveries as a table for people.
func WatchTable(w io.Writer, rows []Watch) error {
	return table(w, "case\treaders\tstopped\tentries/s\tdeliveries\tp50\tp99\tp99.9\tmax\tserver CPU\tbytes each", len(rows), func(i int) string {
		r := rows[i]
		return fmt.Sprintf("%s\t%d\t%d\t%.0f\t%d\t%.0f µs\t%.0f µs\t%.0f µs\t%.0f µs\t%.2f\t%s", r.Case, r.Subscribers, r.Stopped, r.Rate,
			r.Deliveries, r.P50, r.P99, r.P999, r.Max, r.ServerCPU, known("%.0f", r.BytesEach))
	})
}
