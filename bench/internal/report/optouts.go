package report

import (
	"fmt"
	"io"
)

// The cases of an import of records.
const (
	CaseOptOuts  = "optouts"
	CaseConsents = "consents"
)

// Passes of a file of opt-outs.
const (
	PassNew   = "new"   // no row was recorded before
	PassAgain = "again" // all were
)

// OptOuts is an import of opt-outs by file, the median of its runs. Every run has
// the same counts.
type OptOuts struct {
	Case       string `json:"case"` // CaseOptOuts or CaseConsents
	Pass       string `json:"pass"`
	Runs       int    `json:"runs"`
	Read       uint64 `json:"read"`
	Accepted   uint64 `json:"accepted"`
	Duplicates uint64 `json:"duplicates"`
	Rejected   uint64 `json:"rejected"`
	// Seconds from text on disk to the last row durable, Rate rows a second.
	Seconds          float64 `json:"seconds"`
	Rate             float64 `json:"rate"`
	ClientCPUSeconds float64 `json:"client_cpu_seconds"`
	ServerCPUSeconds float64 `json:"server_cpu_seconds"`
	// ServerRSSPeak is the most memory of the server during the pass, ServerAnon the
	// part at its end that is no page of a file.
	ServerRSSPeak float64 `json:"server_rss_peak_bytes"`
	ServerAnon    float64 `json:"server_anon_bytes"`
	// BytesOnDisk of the server's directory without its reserved space, after a clean
	// stop: of the last pass alone, and of the rows of all passes.
	BytesOnDisk float64 `json:"bytes_on_disk,omitempty"`
	BytesPerRow float64 `json:"bytes_per_row,omitempty"`
}

// MedianOptOuts returns the median of each figure over runs of one pass, at least one.
func MedianOptOuts(runs []OptOuts) OptOuts {
	m := runs[0]
	for _, figure := range []func(*OptOuts) *float64{
		func(o *OptOuts) *float64 { return &o.Seconds },
		func(o *OptOuts) *float64 { return &o.ClientCPUSeconds },
		func(o *OptOuts) *float64 { return &o.ServerCPUSeconds },
		func(o *OptOuts) *float64 { return &o.ServerRSSPeak },
		func(o *OptOuts) *float64 { return &o.ServerAnon },
		func(o *OptOuts) *float64 { return &o.BytesOnDisk },
	} {
		values := make([]float64, len(runs))
		for r := range runs {
			values[r] = *figure(&runs[r])
		}
		*figure(&m) = median(values)
	}
	m.Runs, m.Rate = len(runs), round(float64(m.Read)/m.Seconds)
	m.BytesPerRow = round(m.BytesOnDisk / float64(m.Read))
	return m
}

// OptOutsTable writes imports of opt-outs as a table for people.
func OptOutsTable(w io.Writer, rows []OptOuts) error {
	return table(w, "pass\truns\tread\taccepted\tduplicates\trejected\tseconds\trows/s\tdncd cpu\tdnc cpu\tpeak\tbytes/row", len(rows), func(i int) string {
		r := rows[i]
		return fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d\t%.2f\t%.0f\t%.2f s\t%.2f s\t%s\t%s", r.Pass, r.Runs, r.Read, r.Accepted, r.Duplicates,
			r.Rejected, r.Seconds, r.Rate, r.ServerCPUSeconds, r.ClientCPUSeconds,
			mega(r.ServerRSSPeak), known("%.0f", r.BytesPerRow))
	})
}
