package report

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Cases of checks.
const (
	CaseEmpty     = "empty"
	CaseUnary     = "unary"
	CaseClient    = "client"
	CaseBatch     = "batch"
	CaseStream    = "stream"
	CaseRedis     = "redis-sismember"
	CaseRueidis   = "rueidis-sismember"
	CaseRedisMany = "redis-smismember"
)

// Loops in which calls are made.
const (
	// LoopClosed: each caller calls again once it is answered.
	LoopClosed = "closed"
	// LoopOpen: calls are due at a rate, and timed from when they were due.
	LoopOpen = "open"
)

// Check is one way to ask for verdicts, the median of its runs. What is 0 is not known or does not apply.
type Check struct {
	Case    string  `json:"case"`
	Loop    string  `json:"loop"`
	Callers int     `json:"callers"` // at once; in the open loop, at most
	Size    int     `json:"size"`    // numbers a call
	Numbers int     `json:"numbers"` // stored
	Listed  float64 `json:"listed"`  // share of the numbers that are asked about
	Runs    int     `json:"runs"`
	// Offered is how many numbers a second are due in the open loop, Rate how many were answered.
	Offered float64 `json:"offered,omitempty"`
	Rate    float64 `json:"rate"`
	RateMin float64 `json:"rate_min"`
	RateMax float64 `json:"rate_max"`
	// P50, P99 and P999 are of calls, in microseconds.
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	// ServerCPU and ClientCPU are the processor time a number, in microseconds, of the process that answers and of
	// the one that asks.
	ServerCPU float64 `json:"server_cpu_us"`
	ClientCPU float64 `json:"client_cpu_us"`
	// ServerRSS and ServerAnon are the memory of the process that answers, after, in bytes; ServerAnon without the
	// pages of files.
	ServerRSS  float64 `json:"server_rss_bytes,omitempty"`
	ServerAnon float64 `json:"server_anon_bytes,omitempty"`
}

func (c *Check) measured() []*float64 {
	return []*float64{&c.Rate, &c.P50, &c.P99, &c.P999, &c.ServerCPU, &c.ClientCPU, &c.ServerRSS, &c.ServerAnon}
}

// SetTimes takes over the figures of a histogram of microseconds, whose calls were of Size numbers.
func (c *Check) SetTimes(h *hdrhistogram.Histogram, took time.Duration) {
	c.Rate = float64(h.TotalCount()) * float64(c.Size) / took.Seconds()
	c.P50, c.P99, c.P999 = quantiles(h)
}

func quantiles(h *hdrhistogram.Histogram) (p50, p99, p999 float64) {
	return float64(h.ValueAtQuantile(50)), float64(h.ValueAtQuantile(99)), float64(h.ValueAtQuantile(99.9))
}

// MedianCheck returns the median of each figure over runs of one case, at least one.
func MedianCheck(runs []Check) Check {
	m := runs[0]
	for i, figure := range m.measured() {
		values := make([]float64, len(runs))
		for r := range runs {
			values[r] = *runs[r].measured()[i]
		}
		*figure = median(values)
		if figure == &m.Rate {
			m.RateMin, m.RateMax = round(slices.Min(values)), round(slices.Max(values))
		}
	}
	m.Runs, m.Rate = len(runs), round(m.Rate)
	return m
}

// CheckRatios compares the cases that are asked to be compared, each with as many callers.
func CheckRatios(rows []Check) []Ratio {
	pairs := []struct {
		of, against string
		figure      string
		of1         func(Check) float64
	}{
		{CaseUnary, CaseEmpty, "rate", func(c Check) float64 { return c.Rate }},
		{CaseUnary, CaseEmpty, "p99", func(c Check) float64 { return c.P99 }},
		{CaseClient, CaseUnary, "rate", func(c Check) float64 { return c.Rate }},
		{CaseClient, CaseRueidis, "rate", func(c Check) float64 { return c.Rate }},
		{CaseBatch, CaseRedisMany, "rate", func(c Check) float64 { return c.Rate }},
	}
	var list []Ratio
	for _, p := range pairs {
		for _, of := range rows {
			for _, against := range rows {
				if of.Case == p.of && against.Case == p.against && of.key(against.Case) == against.key(against.Case) {
					name := fmt.Sprintf("%s of %s, %s", p.figure, of.Case, of.load())
					list = append(list, NewRatio(name, against.Case, "", p.of1(of), p.of1(against)))
				}
			}
		}
	}
	return list
}

// key is what tells rows apart, as if its case were this.
func (c Check) key(name string) Check {
	return Check{
		Case: name, Loop: c.Loop, Callers: c.Callers, Size: c.Size, Numbers: c.Numbers, Listed: c.Listed, Offered: c.Offered,
	}
}

// load says how much is asked at once.
func (c Check) load() string {
	if c.Loop == LoopOpen {
		return fmt.Sprintf("%.0f offered", c.Offered)
	}
	return fmt.Sprintf("%d callers", c.Callers)
}

// CheckTable writes checks as a table for people.
func CheckTable(w io.Writer, rows []Check) error {
	const header = "case\tload\tsize\tnumbers/s\tleast\tmost\tp50\tp99\tp99.9\tserver cpu\tclient cpu\tserver memory"
	return table(w, header, len(rows), func(i int) string {
		c := rows[i]
		return fmt.Sprintf("%s\t%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f µs\t%.0f µs\t%.0f µs\t%.3f µs\t%.3f µs\t%s", c.Case, c.load(), c.Size,
			c.Rate, c.RateMin, c.RateMax, c.P50, c.P99, c.P999, c.ServerCPU, c.ClientCPU, mega(c.ServerRSS))
	})
}
