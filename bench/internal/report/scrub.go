package report

import (
	"fmt"
	"io"
)

// CaseScrub is the case of a file of leads that is checked.
const CaseScrub = "scrub"

// Scrub is a file of leads checked with `dnc check --file`, the median of its runs.
type Scrub struct {
	Case   string `json:"case"`   // CaseScrub
	Layout string `json:"layout"` // of the file
	Dnc    string `json:"dnc"`    // "this", or "other" for the one of --other
	Lines  int    `json:"lines"`
	Listed int    `json:"listed"` // of the lines
	Stored int    `json:"stored"` // numbers on the list
	Runs   int    `json:"runs"`
	// Seconds from before dnc starts until it has ended, Rate lines a second.
	Seconds          float64 `json:"seconds"`
	Rate             float64 `json:"rate"`
	ClientCPUSeconds float64 `json:"client_cpu_seconds"`
	ServerCPUSeconds float64 `json:"server_cpu_seconds"`
	ClientRSSPeak    float64 `json:"client_rss_peak_bytes"`
}

// MedianScrub returns the median of each figure over runs of one file by one dnc, at least one.
func MedianScrub(runs []Scrub) Scrub {
	m := runs[0]
	for _, figure := range []func(*Scrub) *float64{
		func(s *Scrub) *float64 { return &s.Seconds },
		func(s *Scrub) *float64 { return &s.ClientCPUSeconds },
		func(s *Scrub) *float64 { return &s.ServerCPUSeconds },
		func(s *Scrub) *float64 { return &s.ClientRSSPeak },
	} {
		values := make([]float64, len(runs))
		for r := range runs {
			values[r] = *figure(&runs[r])
		}
		*figure(&m) = median(values)
	}
	m.Runs, m.Rate = len(runs), round(float64(m.Lines)/m.Seconds)
	return m
}

// ScrubTable writes scrubs as a table for people.
func ScrubTable(w io.Writer, rows []Scrub) error {
	return table(w, "layout\tdnc\truns\tlines\tlisted\tseconds\tlines/s\tdncd cpu\tdnc cpu\tdnc peak", len(rows), func(i int) string {
		s := rows[i]
		return fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%.2f\t%.0f\t%.2f s\t%.2f s\t%s", s.Layout, s.Dnc, s.Runs, s.Lines, s.Listed,
			s.Seconds, s.Rate, s.ServerCPUSeconds, s.ClientCPUSeconds, mega(s.ClientRSSPeak))
	})
}
