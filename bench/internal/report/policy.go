package report

import (
	"fmt"
	"io"
	"math"
)

// Policy is what a policy adds to one way to check.
type Policy struct {
	Case    string `json:"case"`
	Size    int    `json:"size"` // numbers a call
	Callers int    `json:"callers"`
	Runs    int    `json:"runs"`
	// Without and With are the server's processor time a number, in microseconds, without and with a policy: medians.
	Without float64 `json:"server_cpu_without_us"`
	With    float64 `json:"server_cpu_with_us"`
	// Ratio is the median of the runs' ratios of the one by the other, RatioMin and RatioMax the lowest and the highest.
	Ratio    float64 `json:"ratio"`
	RatioMin float64 `json:"ratio_min"`
	RatioMax float64 `json:"ratio_max"`
}

// PolicyOf makes the row of measurements that were made in pairs.
func PolicyOf(without, with []Check) Policy {
	p := Policy{Case: with[0].Case, Size: with[0].Size, Callers: with[0].Callers, Runs: len(with), RatioMin: math.Inf(1)}
	var was, is, ratios []float64
	for i := range with {
		was, is = append(was, without[i].ServerCPU), append(is, with[i].ServerCPU)
		r := with[i].ServerCPU / without[i].ServerCPU
		ratios = append(ratios, r)
		p.RatioMin, p.RatioMax = min(p.RatioMin, r), max(p.RatioMax, r)
	}
	p.Without, p.With, p.Ratio = median(was), median(is), median(ratios)
	return p
}

// PolicyTable writes rows as a table for people.
func PolicyTable(w io.Writer, rows []Policy) error {
	return table(w, "case\tsize\tcallers\tpairs\twithout, server\twith a policy\ttimes\tlowest\thighest", len(rows), func(i int) string {
		p := rows[i]
		return fmt.Sprintf("%s\t%d\t%d\t%d\t%.3f µs\t%.3f µs\t%.2f\t%.2f\t%.2f", p.Case, p.Size, p.Callers, p.Runs, p.Without, p.With, p.Ratio, p.RatioMin, p.RatioMax)
	})
}
