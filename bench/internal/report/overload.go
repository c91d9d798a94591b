package report

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// CaseOverload is the case of an overload.
const CaseOverload = "overload"

// Overload is what a server does whose capacity is cut, offered a multiple of it: the median of its runs.
type Overload struct {
	Case     string  `json:"case"`     // CaseOverload
	Capacity float64 `json:"capacity"` // checks a second
	Times    float64 `json:"times"`    // Offered by Capacity
	Offered  float64 `json:"offered"`  // checks a second
	Runs     int     `json:"runs"`
	// Goodput is how many a second were answered within their deadline, Refused how many were turned away, Expired how
	// many had no answer in time.
	Goodput float64 `json:"goodput"`
	Refused float64 `json:"refused"`
	Expired float64 `json:"expired"`
	// P50, P99 and P999 of what was answered, in microseconds since it was due.
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
}

// MedianOverload returns the median of each figure over runs of one multiple, at least one.
func MedianOverload(runs []Overload) Overload {
	m := runs[0]
	for _, figure := range []func(*Overload) *float64{
		func(o *Overload) *float64 { return &o.Goodput }, func(o *Overload) *float64 { return &o.Refused },
		func(o *Overload) *float64 { return &o.Expired }, func(o *Overload) *float64 { return &o.P50 },
		func(o *Overload) *float64 { return &o.P99 }, func(o *Overload) *float64 { return &o.P999 },
	} {
		values := make([]float64, len(runs))
		for r := range runs {
			values[r] = *figure(&runs[r])
		}
		*figure(&m) = round(median(values))
	}
	m.Runs = len(runs)
	return m
}

// OverloadRatios says what part of the most goodput the least is.
func OverloadRatios(rows []Overload) []Ratio {
	if len(rows) < 2 {
		return nil
	}
	least := slices.MinFunc(rows, byGoodput)
	most := slices.MaxFunc(rows, byGoodput)
	return []Ratio{NewRatio("least goodput", "most goodput", "", least.Goodput, most.Goodput)}
}

func byGoodput(a, b Overload) int { return int(a.Goodput - b.Goodput) }

// OverloadTable writes overloads as a table for people.
func OverloadTable(w io.Writer, rows []Overload) error {
	return table(w, "times\toffered/s\tanswered/s\trefused/s\texpired/s\tp50\tp99\tp99.9", len(rows), func(i int) string {
		o := rows[i]
		return fmt.Sprintf("%g\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f µs\t%.0f µs\t%.0f µs", o.Times, o.Offered, o.Goodput, o.Refused, o.Expired,
			o.P50, o.P99, o.P999)
	})
}

// SetTimes takes over the figures of a histogram of microseconds.
func (o *Overload) SetTimes(h *hdrhistogram.Histogram, took time.Duration) {
	o.Goodput = float64(h.TotalCount()) / took.Seconds()
	o.P50, o.P99, o.P999 = quantiles(h)
}
