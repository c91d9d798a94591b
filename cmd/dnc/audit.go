package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	atlas "github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/registry"
)

// auditFlags are those of `dnc audit`.
type auditFlags struct {
	column, timeColumn, scope, scopeColumn, region, delimiter string
	timezone, dateOrder, purpose, subscriber, out             string
}

func (a *app) auditCommand() *cobra.Command {
	var flags auditFlags
	cmd := &cobra.Command{
		Use:   "audit CALLS.csv",
		Short: "Check calls of the past against what was known when each was made",
		Long: `Check calls of the past against what was known when each was made.

Each row of the file is a call: its number, when it began, and for whom it was. It gets the
answer that a check would have given at that time. The calls are counted by day, scope,
verdict and reason. --out writes every row with the answer in further columns.

A BLOCK by an opt-out is also counted by how long the opt-out had been known: since it was
recorded, or, with --subscriber, since that base acknowledged it as applied. An ALLOW is
OPT_OUT_RECORDED_LATER if an opt-out had been received before the call and was recorded only
after it: by what was known, the call was permitted. NOT_KNOWN is a call that cannot be
answered, such as one before the journal begins: it was not permitted. INVALID is a row
whose number or time cannot be read.

A time is a date with a time of day, such as 2026-09-10T14:03:00+02:00 or 2026-09-10 14:03:00.
Times without an offset need --timezone. Dates that end with the year, such as 30/11/2026, need
--date-order.

The exit code is 0 when every call was permitted and no opt-out was recorded late, 1 when not,
and 2 when no row is a call or the server could not be asked. Nothing is written on the
server, except one entry in its access log for each 500,000 rows.`,
		Example: `  dnc audit calls.csv --scope acme/telecom --timezone Europe/Paris
  dnc audit calls.csv --column phone --time-column started --scope-column brand --subscriber lyon --out audited.csv
  dnc audit calls.csv -o json | jq 'select(.verdict != "ALLOW")'`,
		Args: counted(1, 1, "file of calls"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.audit(cmd, args[0], flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.column, "column", "", "the column that holds the number: its name or its position from 1")
	f.StringVar(&flags.timeColumn, "time-column", "", "the column of the time when a call began (default: the one whose title says so)")
	f.StringVar(&flags.scope, "scope", "", "for whom the calls were, such as acme/telecom")
	f.StringVar(&flags.scopeColumn, "scope-column", "", "the column that says for whom a call was; --scope is for rows where it is empty")
	f.StringVar(&flags.region, "region", "", "how national numbers are read, such as FR")
	f.StringVar(&flags.timezone, "timezone", "", "the time zone of times that name none, such as Europe/Paris or UTC")
	f.StringVar(&flags.dateOrder, "date-order", "", "what comes first in dates such as 9/10/2026: day, month or year")
	f.StringVar(&flags.purpose, "purpose", "", "what the calls were for: marketing or service (default: the purpose with the strictest rule)")
	f.StringVar(&flags.subscriber, "subscriber", "", "the calling base that made the calls")
	f.StringVar(&flags.delimiter, "delimiter", "", "the delimiter: one character, or tab (default: detected from the first line)")
	f.StringVar(&flags.out, "out", "", "file for the rows with the answer in columns: an existing file keeps its permissions, a new one is readable only by its owner")
	complete(cmd, "date-order", "day", "month", "year")
	complete(cmd, "purpose", purposes...)
	a.completeSubscribers(cmd, "subscriber")
	return cmd
}

// open opens the file of calls.
func (f *auditFlags) open(cmd *cobra.Command, file string) (*registry.Calls, error) {
	options := registry.CallOptions{Time: f.timeColumn, Scope: f.scopeColumn}
	var err error
	if f.timezone != "" {
		if options.Location, err = atlas.Location(f.timezone); err != nil {
			return nil, usagef(cmd, "--timezone %q is no time zone such as Europe/Paris or UTC", f.timezone)
		}
	}
	if f.dateOrder != "" {
		if options.Order, err = registry.ParseDateOrder(f.dateOrder); err != nil {
			return nil, usagef(cmd, "--date-order %q: %v", f.dateOrder, err)
		}
	}
	rows, err := openRows(checkFlags{file: file, column: f.column, region: f.region, delimiter: f.delimiter})
	if err != nil {
		return nil, err
	}
	calls, err := rows.Calls(options)
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	return calls, nil
}

func (a *app) audit(cmd *cobra.Command, file string, flags auditFlags) error {
	if err := refuseInput("out", flags.out, file); err != nil {
		return err
	}
	if err := oneOf(cmd, "purpose", flags.purpose, purposes); err != nil {
		return err
	}
	if cmd.Flags().Changed("subscriber") && flags.subscriber == "" {
		return usagef(cmd, "--subscriber is empty: leave it out to count from when opt-outs were recorded")
	}
	if flags.out == "-" || flags.out != "" && a.isStdout(flags.out) {
		return usagef(cmd, "--out needs a file: the counts go to standard output")
	}
	calls, err := flags.open(cmd, file)
	if err != nil {
		return err
	}
	defer calls.Close()
	c, err := a.connect()
	if err != nil {
		return err
	}
	run := &auditRun{client: c, calls: calls, flags: flags, counts: newCallCounts(), layout: newLayout(calls.Rows, false)}
	if flags.out != "" {
		if err := checkTitles(calls.Header(), "csv", callColumns); err != nil {
			return err
		}
		out, err := a.openOut(flags.out)
		if err != nil {
			return err
		}
		defer out.abandon()
		run.writeTo(out)
	}
	bar := a.startProgress(run.progress)
	err = run.all(cmd.Context())
	bar.stop()
	if err != nil {
		return err
	}
	return a.finishAudit(run)
}

// finishAudit gives the file its name, and reports the counts.
func (a *app) finishAudit(run *auditRun) error {
	if run.out != nil {
		if err := run.out.keep(); err != nil {
			return err
		}
	}
	fmt.Fprintln(a.stderr, "dnc: "+describeCalls(run.calls))
	if err := a.printCounts(run.counts); err != nil {
		return err
	}
	fmt.Fprintln(a.stderr, run.counts.summary())
	if run.counts.total > 0 && run.counts.verdicts[invalid] == run.counts.total {
		return withHint(errors.New("no row is a call: none has both a number and a time"), "look at the reasons; --column, --time-column, --timezone, --date-order and --region say how rows are read")
	}
	if run.counts.found() {
		a.end(exitNo)
	}
	return nil
}

// describeCalls says how the columns of a file of calls were taken.
func describeCalls(calls *registry.Calls) string {
	choice := calls.Choice()
	text := fmt.Sprintf("%s: number from %s; time from %s", choice.File, columnNames(choice.Numbers), columnName(calls.TimeColumn()))
	if column := calls.ScopeColumn(); column != "" {
		text += "; scope from " + columnName(column)
	}
	return text
}
