package report

import (
	"fmt"
	"io"
)

// Relist is how the change of a list reached a follower.
type Relist struct {
	Numbers         int     `json:"numbers"`
	Came            int     `json:"came"` // numbers that the follower got
	Went            int     `json:"went"`
	SnapshotSeconds float64 `json:"snapshot_seconds"` // until the follower had all numbers
	LoadSeconds     float64 `json:"load_seconds"`     // of the import that changed the list
	FollowSeconds   float64 `json:"follow_seconds"`   // from its end until the follower had every change
	// AnonBefore and AnonAfter are the server's memory without the pages of files, RSSPeak the most with them.
	AnonBefore float64 `json:"server_anon_before_bytes"`
	AnonAfter  float64 `json:"server_anon_after_bytes"`
	RSSPeak    float64 `json:"server_rss_peak_bytes"`
}

// RelistTable writes it as a table for people.
func RelistTable(w io.Writer, rows []Relist) error {
	return table(w, "numbers\tcame\twent\tsnapshot\tload\tat the follower\tserver before\tafter\tpeak", len(rows), func(i int) string {
		r := rows[i]
		return fmt.Sprintf("%d\t%d\t%d\t%.2f s\t%.2f s\t%.3f s\t%.1f MB\t%.1f MB\t%.1f MB", r.Numbers, r.Came, r.Went, r.SnapshotSeconds, r.LoadSeconds,
			r.FollowSeconds, r.AnonBefore/1e6, r.AnonAfter/1e6, r.RSSPeak/1e6)
	})
}
