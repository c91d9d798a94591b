package main

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

func (a *app) reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "report",
		Short:   "Report how objections reached the calling bases",
		Example: "  dnc report propagation --from 2026-09-01 --to 2026-09-30",
	}
	requireSubcommand(cmd)
	cmd.AddCommand(a.reportPropagationCommand())
	return cmd
}

// reportFlags are those of `dnc report propagation`.
type reportFlags struct{ from, to, format, out string }

// reportFormats has what writes a report, by format.
var reportFormats = map[string]func(io.Writer, *client.Report) error{
	"text": reportText, "csv": reportCSV, "json": reportJSON, "html": reportHTML,
}

func (a *app) reportPropagationCommand() *cobra.Command {
	var flags reportFlags
	cmd := &cobra.Command{
		Use:   "propagation --from D [--to D]",
		Short: "Show how long objections took to be recorded, and to reach each calling base",
		Long: `Show how long objections took to be recorded, and to reach each calling base: what an inspector asks.

The period is by when objections were recorded, in UTC. A date belongs to it whole: --from 2026-09-01
--to 2026-09-30 is all of September. Acknowledgements count whenever they came, also after the period.

By desk and channel it shows how many objections came in, and how long it took from received to recorded;
"unknown" is any desk that is not registered. By calling base and stage it shows how long it took from
recorded to acknowledged, what is pending, what was late, and when the base was last compared. Rows of
files have lines of their own. Median and p95 are at most 0.8 % too long, and worst is exact. No number
of a person is shown. html is one page to print.`,
		Example: `  dnc report propagation --from 2026-09-01 --to 2026-09-30
  dnc report propagation --from 30d --format html --out report.html`,
		Args: counted(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.reportPropagation(cmd, flags)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&flags.from, "from", "", "from this time on: days ago such as 30d, a time, or a date in UTC; required")
	f.StringVar(&flags.to, "to", "", "before this time, in the same forms; a date is its last moment (default: now)")
	f.StringVar(&flags.format, "format", "", "text, csv, json or html (default: text, json with -o json)")
	f.StringVar(&flags.out, "out", "", "file to write, readable only by its owner (default: standard output)")
	complete(cmd, "format", "text", "csv", "json", "html")
	return cmd
}

// period reads the period. A date is a whole day.
func (f *reportFlags) period(cmd *cobra.Command) (from, to time.Time, err error) {
	if f.from == "" {
		return from, to, usagef(cmd, "--from is missing")
	}
	end := f.to
	if day, err := time.Parse(time.DateOnly, f.to); err == nil {
		end = day.AddDate(0, 0, 1).Format(time.RFC3339)
	}
	p := period{f.from, end}
	if from, to, err = p.read(cmd); err == nil && to.IsZero() && from.After(time.Now()) {
		err = usagef(cmd, "--from is in the future: that period is empty")
	}
	return from, to, err
}

// write returns what writes the report.
func (f *reportFlags) write(cmd *cobra.Command, output string) (func(io.Writer, *client.Report) error, error) {
	format := strings.ToLower(f.format)
	if format == "" {
		format = output
	}
	write := reportFormats[format]
	if write == nil {
		return nil, usagef(cmd, "--format is text, csv, json or html, not %q", f.format)
	}
	return write, nil
}

func (a *app) reportPropagation(cmd *cobra.Command, flags reportFlags) error {
	from, to, err := flags.period(cmd)
	if err != nil {
		return err
	}
	write, err := flags.write(cmd, a.output)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	out, err := a.openOut(flags.out)
	if err != nil {
		return err
	}
	defer out.abandon()
	var done, total atomic.Int64
	bar := a.startProgress(func() progressState {
		return progressState{what: "reading revisions", done: done.Load(), total: total.Load()}
	})
	r, err := c.PropagationReport(cmd.Context(), from, to, func(d, t uint64) {
		done.Store(int64(d))
		total.Store(int64(t))
	})
	bar.stop()
	if err != nil {
		return err
	}
	if err := write(out, r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return out.keep()
}
