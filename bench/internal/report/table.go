package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dncd/dncd/bench/internal/process"
)

// Machine is where it was measured.
type Machine struct {
	Case   string  `json:"case"` // CaseMachine
	CPU    string  `json:"cpu,omitempty"`
	Cores  int     `json:"cores"`
	Memory float64 `json:"memory_bytes,omitempty"`
	System string  `json:"system"`
	Go     string  `json:"go"`
	// Command that measured, without --data, and the day in UTC.
	Command string `json:"command,omitempty"`
	Date    string `json:"date,omitempty"`
}

// ThisMachine tells about the machine that it runs on.
func ThisMachine() Machine {
	cpu, memory := process.Machine()
	return Machine{
		CaseMachine, cpu, runtime.GOMAXPROCS(0), memory, runtime.GOOS + "/" + runtime.GOARCH, runtime.Version(),
		command(os.Args[1:]), time.Now().UTC().Format(time.DateOnly),
	}
}

// command is what to type to measure again. A directory of this machine is no part of it.
func command(args []string) string {
	typed := "go run ."
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--data":
			i++
		case !strings.HasPrefix(args[i], "--data="):
			typed += " " + args[i]
		}
	}
	return typed
}

// JSON writes one object a line.
func JSON[R any](w io.Writer, rows ...R) error {
	encoder := json.NewEncoder(w)
	for _, row := range rows {
		if err := encoder.Encode(row); err != nil {
			return err
		}
	}
	return nil
}

// LoadTable writes loads as a table for people.
func LoadTable(w io.Writer, rows []Load) error {
	return table(w, "case\torder\tnumbers\truns\tseconds\tnumbers/s\tdisk\tbytes/number\tpeak\tafter\treopen", len(rows), func(i int) string {
		l := rows[i]
		return fmt.Sprintf("%s\t%s\t%d\t%d\t%.2f\t%.2f M\t%s\t%s\t%s\t%s\t%s", l.Case, l.Order, l.Numbers, l.Runs, l.Seconds, l.Rate/1e6,
			mega(l.BytesOnDisk), known("%.2f", l.BytesPerNumber), mega(l.ServerRSSPeak), mega(l.ServerRSS), known("%.2f s", l.ReopenSeconds))
	})
}

// LatencyTable writes latencies as a table for people.
func LatencyTable(w io.Writer, rows []Latency) error {
	return table(w, "calls\tstate\tcount\tcalls/s\tp50\tp99\tp99.9\tmax", len(rows), func(i int) string {
		l := rows[i]
		return fmt.Sprintf("%s\t%s\t%d\t%.0f\t%.0f µs\t%.0f µs\t%.0f µs\t%.0f µs",
			l.name(), l.State, l.Calls, l.Rate, l.P50, l.P99, l.P999, l.Max)
	})
}

// RatioTable writes ratios as a table for people.
func RatioTable(w io.Writer, rows []Ratio) error {
	return table(w, "ratio\tagainst\torder\ttimes", len(rows), func(i int) string {
		return fmt.Sprintf("%s\t%s\t%s\t%s", rows[i].Of, rows[i].Against, rows[i].Order, known("%.2f", rows[i].Value))
	})
}

func table(w io.Writer, header string, rows int, row func(i int) string) error {
	if rows == 0 {
		return nil
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i := -1; i < rows; i++ {
		line := header
		if i >= 0 {
			line = row(i)
		}
		fmt.Fprintln(columns, line+"\t")
	}
	return columns.Flush()
}

func mega(bytes float64) string { return known("%.1f MB", bytes/1e6) }

// known formats what is known.
func known(format string, v float64) string {
	if v == 0 {
		return "-"
	}
	return strings.TrimSpace(fmt.Sprintf(format, v))
}
