package report

import (
	"fmt"
	"io"
)

// CaseKill is the name of a row of Kill.
const CaseKill = "kill"

// Kill is a campaign that killed one side of a load, each round at another moment.
type Kill struct {
	Case    string `json:"case"`   // CaseKill
	Victim  string `json:"victim"` // server or client
	Numbers int    `json:"numbers"`
	Order   string `json:"order"`
	Seed    uint64 `json:"seed"`
	Rounds  int    `json:"rounds"`
	// Phases is how many kills hit each phase of the load.
	Phases map[string]int `json:"phases"`
	// SameProcess counts the rounds that the dnc which was under way ended itself,
	// NewProcess those in which dnc was run again.
	SameProcess int `json:"same_process"`
	NewProcess  int `json:"new_process"`
	// WentOn is how often a dnc that was run again said that it went on where the one
	// before had stopped; Finished how often a server finished a load by itself after
	// its start.
	WentOn   int `json:"went_on"`
	Finished int `json:"finished_by_server"`
	// Checks were answered and OptOuts acknowledged beside the loads.
	Checks  int `json:"checks"`
	OptOuts int `json:"opt_outs"`
	// LoadSeconds is a load that nobody breaks, Seconds the campaign.
	LoadSeconds float64 `json:"load_seconds"`
	Seconds     float64 `json:"seconds"`
}

// KillTable writes campaigns as a table for people. The phases are in this order.
func KillTable(w io.Writer, rows []Kill, phases []string) error {
	header := "killed\torder\tnumbers\trounds"
	for _, p := range phases {
		header += "\t" + p
	}
	header += "\tsame process\tnew process\twent on\tby the server\tchecks\topt-outs\tload\ttotal"
	return table(w, header, len(rows), func(i int) string {
		k := rows[i]
		line := fmt.Sprintf("%s\t%s\t%d\t%d", k.Victim, k.Order, k.Numbers, k.Rounds)
		for _, p := range phases {
			line += fmt.Sprintf("\t%d", k.Phases[p])
		}
		return line + fmt.Sprintf("\t%d\t%d\t%d\t%d\t%d\t%d\t%.2f s\t%.0f s", k.SameProcess, k.NewProcess, k.WentOn, k.Finished,
			k.Checks, k.OptOuts, k.LoadSeconds, k.Seconds)
	})
}
