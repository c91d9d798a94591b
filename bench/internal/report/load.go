// Package report holds what was measured: rows, their medians over runs, ratios,
// and how they are printed and drawn.
package report

import (
	"math"
	"slices"
)

// Names of rows.
const (
	CaseMachine = "machine"
	CaseDncd    = "dncd"
	CaseRatio   = "ratio"
)

// Load is a load of numbers, the median of its runs. What is 0 is not known or
// does not apply. Sizes are in bytes.
type Load struct {
	Case    string `json:"case"` // CaseDncd or the peer's
	Numbers int    `json:"numbers"`
	Order   string `json:"order"`
	Runs    int    `json:"runs"`
	// Seconds from text on disk to the last number held, Rate numbers a second.
	Seconds    float64 `json:"seconds"`
	SecondsMin float64 `json:"seconds_min"`
	SecondsMax float64 `json:"seconds_max"`
	Rate       float64 `json:"rate"`
	// PrepareSeconds are the upload and the comparison, WriteSeconds the blocks up to
	// the switch.
	PrepareSeconds   float64 `json:"prepare_seconds,omitempty"`
	WriteSeconds     float64 `json:"write_seconds,omitempty"`
	ServerCPUSeconds float64 `json:"server_cpu_seconds,omitempty"`
	ClientCPUSeconds float64 `json:"client_cpu_seconds,omitempty"`
	// BytesOnDisk after a clean stop, holes in sparse files counted, BytesAllocated
	// without them; dncd's without its file ballast.
	BytesOnDisk    float64 `json:"bytes_on_disk,omitempty"`
	BytesAllocated float64 `json:"bytes_allocated,omitempty"`
	BytesPerNumber float64 `json:"bytes_per_number,omitempty"`
	// ServerRSSPeak while loading, ServerRSS some seconds after, ServerAnon the part
	// of that which is no page of a file.
	ServerRSSPeak float64 `json:"server_rss_peak_bytes,omitempty"`
	ServerRSS     float64 `json:"server_rss_bytes,omitempty"`
	ServerAnon    float64 `json:"server_anon_bytes,omitempty"`
	ClientRSSPeak float64 `json:"client_rss_peak_bytes,omitempty"`
	StopSeconds   float64 `json:"stop_seconds,omitempty"`
	// ReopenSeconds from the start of the process to its first answer.
	ReopenSeconds float64 `json:"reopen_seconds,omitempty"`
	Note          string  `json:"note,omitempty"`
}

// measured are what a run measures; the rest follows from it.
func (l *Load) measured() []*float64 {
	return []*float64{
		&l.Seconds, &l.PrepareSeconds, &l.WriteSeconds, &l.ServerCPUSeconds, &l.ClientCPUSeconds,
		&l.BytesOnDisk, &l.BytesAllocated, &l.ServerRSSPeak, &l.ServerRSS, &l.ServerAnon,
		&l.ClientRSSPeak, &l.StopSeconds, &l.ReopenSeconds,
	}
}

// MedianLoad returns the median of each figure over runs of one case, at least one.
func MedianLoad(runs []Load) Load {
	m := runs[0]
	figures := m.measured()
	for i := range figures {
		values := make([]float64, len(runs))
		for r := range runs {
			values[r] = *runs[r].measured()[i]
		}
		*figures[i] = median(values)
		if figures[i] == &m.Seconds {
			m.SecondsMin, m.SecondsMax = slices.Min(values), slices.Max(values)
		}
	}
	m.Runs = len(runs)
	m.Rate = round(float64(m.Numbers) / m.Seconds)
	m.BytesPerNumber = math.Round(1000*m.BytesOnDisk/float64(m.Numbers)) / 1000
	return m
}

// median of at least one value.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}

func round(v float64) float64 { return math.Round(v) }

// Ratio compares two figures of one run of the program.
type Ratio struct {
	Case    string  `json:"case"` // CaseRatio
	Of      string  `json:"of"`   // the figure
	Against string  `json:"against"`
	Order   string  `json:"order,omitempty"`
	Value   float64 `json:"value"`
}

// Ratios says how many times a peer's rate dncd's is, for each peer in rows.
func Ratios(rows []Load) []Ratio {
	var list []Ratio
	for _, own := range rows {
		for _, peer := range rows {
			if own.Case == CaseDncd && peer.Case != CaseDncd && own.Order == peer.Order {
				list = append(list, NewRatio("rate", peer.Case, own.Order, own.Rate, peer.Rate))
			}
		}
	}
	return list
}

// NewRatio is a divided by b, to two decimals; 0 when b is: nothing was measured there.
func NewRatio(of, against, order string, a, b float64) Ratio {
	if b == 0 {
		return Ratio{CaseRatio, of, against, order, 0}
	}
	return Ratio{CaseRatio, of, against, order, math.Round(100*a/b) / 100}
}
