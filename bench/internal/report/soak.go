package report

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Cases of a soak.
const (
	CaseSoak      = "soak"       // a stretch of it
	CaseSoakTotal = "soak-total" // the whole
)

// Soak is a stretch of a long run under a steady load, or the whole.
type Soak struct {
	Case    string  `json:"case"`
	At      float64 `json:"at_seconds"` // since the load began, at the stretch's end
	Seconds float64 `json:"seconds"`
	// Capacity is what was measured before, in checks a second; Offered the load, Rate what was answered.
	Capacity float64 `json:"capacity"`
	Offered  float64 `json:"offered"`
	Rate     float64 `json:"rate"`
	// Errors are checks that failed, opt-outs and loads too.
	Errors int64 `json:"errors"`
	// P50, P99 and P999 of checks, in microseconds since they were due; of the whole, P99 is the median of those of the
	// stretches and P99Max the longest.
	P50    float64 `json:"p50_us"`
	P99    float64 `json:"p99_us"`
	P999   float64 `json:"p999_us"`
	P99Max float64 `json:"p99_max_us,omitempty"`
	// OptOuts and Loads are how many were done since the load began.
	OptOuts int64 `json:"opt_outs"`
	Loads   int64 `json:"loads"`
	// ServerRSS and ServerAnon are the server's memory at the stretch's end, in bytes; ServerAnon without the pages of
	// files. Of the whole they are medians of its last quarter, and Growth is ServerAnon less the median of the second
	// quarter.
	ServerRSS  float64 `json:"server_rss_bytes"`
	ServerAnon float64 `json:"server_anon_bytes"`
	Growth     float64 `json:"growth_bytes,omitempty"`
	// FirstError is the first of Errors.
	FirstError string `json:"first_error,omitempty"`
}

// SoakTotal sums stretches up, at least one.
func SoakTotal(rows []Soak) Soak {
	last := rows[len(rows)-1]
	t := Soak{
		Case: CaseSoakTotal, At: last.At, Capacity: last.Capacity, Offered: last.Offered, OptOuts: last.OptOuts, Loads: last.Loads,
	}
	for _, r := range rows {
		t.Seconds += r.Seconds
		t.Errors += r.Errors
		t.P99Max = max(t.P99Max, r.P99)
		if t.FirstError == "" {
			t.FirstError = r.FirstError
		}
	}
	figure := func(rows []Soak, of func(Soak) float64) float64 {
		var values []float64
		for _, r := range rows {
			values = append(values, of(r))
		}
		return median(values)
	}
	anon := func(s Soak) float64 { return s.ServerAnon }
	second, fourth := rows[len(rows)/4:(len(rows)+1)/2], rows[len(rows)*3/4:]
	if len(second) == 0 {
		second = rows
	}
	t.Rate = round(figure(rows, func(s Soak) float64 { return s.Rate }))
	t.P50 = figure(rows, func(s Soak) float64 { return s.P50 })
	t.P99 = figure(rows, func(s Soak) float64 { return s.P99 })
	t.P999 = figure(rows, func(s Soak) float64 { return s.P999 })
	t.ServerRSS = figure(fourth, func(s Soak) float64 { return s.ServerRSS })
	t.ServerAnon = figure(fourth, anon)
	t.Growth = t.ServerAnon - figure(second, anon)
	return t
}

// SoakTable writes stretches, and the whole, as a table for people.
func SoakTable(w io.Writer, rows []Soak) error {
	const header = "at\tchecks/s\terrors\tp50\tp99\tp99.9\topt-outs\tloads\tmemory\tanonymous"
	return table(w, header, len(rows), func(i int) string {
		s := rows[i]
		return fmt.Sprintf("%.0f s\t%.0f\t%d\t%.0f µs\t%.0f µs\t%.0f µs\t%d\t%d\t%s\t%s", s.At, s.Rate, s.Errors, s.P50, s.P99, s.P999,
			s.OptOuts, s.Loads, mega(s.ServerRSS), mega(s.ServerAnon))
	})
}

// stretches are the rows that are no total.
func stretches(rows []Soak) []Soak {
	return slices.DeleteFunc(slices.Clone(rows), func(s Soak) bool { return s.Case != CaseSoak })
}

// SetTimes takes over the figures of a histogram of microseconds.
func (s *Soak) SetTimes(h *hdrhistogram.Histogram, took time.Duration) {
	s.Seconds, s.Rate = took.Seconds(), round(float64(h.TotalCount())/took.Seconds())
	s.P50, s.P99, s.P999 = quantiles(h)
}
