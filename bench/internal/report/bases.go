package report

import (
	"fmt"
	"io"
)

// Bases is what came of four calling bases. The run fails if they do not end with what the server holds.
type Bases struct {
	Seconds     float64 `json:"seconds"` // of the writes
	Rate        float64 `json:"rate"`    // writes a second
	OptOuts     uint64  `json:"opt_outs"`
	Ending      int     `json:"ending"` // opt-outs that end
	Withdrawals uint64  `json:"withdrawals"`
	// LeftAndOptedOut are numbers that left a list and were opted out.
	LeftAndOptedOut int    `json:"left_and_opted_out"`
	Changes         uint64 `json:"changes"` // of the log of each base
	Rows            int    `json:"rows"`    // that each base holds
	Feeds           int    `json:"feeds"`   // of files
	// SettleSeconds is until nothing was pending any more, from the last write.
	SettleSeconds float64 `json:"settle_seconds"`
	DeadPending   uint64  `json:"dead_pending"`
	DeadLine      string  `json:"dead_line"` // of dnc subscriber ls
	IdleSeconds   float64 `json:"idle_seconds"`
}

// BasesTable writes it as a table for people.
func BasesTable(w io.Writer, rows []Bases) error {
	const head = "seconds\twrites/s\topt-outs\tof them end\twithdrawals\tleft and opted out\tchanges\trows\tfeeds of files\tlag 0 after\tdead\tidle"
	return table(w, head, len(rows), func(i int) string {
		r := rows[i]
		return fmt.Sprintf("%.0f\t%.0f\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f s\t%d\t%.0f s", r.Seconds, r.Rate, r.OptOuts, r.Ending, r.Withdrawals,
			r.LeftAndOptedOut, r.Changes, r.Rows, r.Feeds, r.SettleSeconds, r.DeadPending, r.IdleSeconds)
	})
}
