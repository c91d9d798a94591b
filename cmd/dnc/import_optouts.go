package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/registry"
)

// optOutFlags are the flags of `dnc import --opt-outs`: the defaults of its rows, and how they are read.
type optOutFlags struct {
	scope, channel, desk, receivedAt string
	columns                          []string
	dateOrder                        string
	dayFirst                         bool
	allowRejects                     uint64
	remarks                          string
}

// define adds the flags to a command.
func (f *optOutFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.scope, "scope", "", "of opt-outs: who may not call, if a row does not say (default: nobody may); of consents: who may (no default)")
	flags.StringVar(&f.channel, "channel", "", "of opt-outs and consents: how they came in, if a row does not say: call, email, letter, sms, web, in-person or other")
	flags.StringVar(&f.desk, "desk", "", "of opt-outs and consents: who received them, if a row does not say")
	flags.StringVar(&f.receivedAt, "received-at", "", "of opt-outs: when they were received, if a row does not say: a time, or a date, which is its first moment in UTC (default: now)")
	flags.StringArrayVar(&f.columns, "map", nil, "of opt-outs and consents: COLUMN=FIELD, the column by its name or its position from 1, the field one of "+registry.RecordFieldNames(false)+"; of consents "+registry.RecordFieldNames(true))
	flags.StringVar(&f.dateOrder, "date-order", "", "of opt-outs and consents: what comes first in dates such as 9/10/2026: day, month or year (default: what fits all dates of the file)")
	flags.BoolVar(&f.dayFirst, "day-first", false, "of opt-outs and consents: the same as --date-order day")
	flags.Uint64Var(&f.allowRejects, "allow-rejects", 0, "of opt-outs and consents: exit with 0 although up to this many were not recorded")
	flags.StringVar(&f.remarks, "remarks", "", "of opt-outs: write the rows that were recorded only in part to this file, like --rejects")
	complete(cmd, "channel", channels...)
	complete(cmd, "date-order", "day", "month", "year")
}

// ofLists and ofOptOuts are the flags that apply to only one of them.
var (
	ofLists   = []string{"list", "mode", "format", "snapshot-date", "max-shrink"}
	ofOptOuts = []string{"scope", "channel", "desk", "received-at", "map", "date-order", "day-first", "allow-rejects", "remarks"}
)

// refuseFlags refuses flags that were given and do not apply here.
func refuseFlags(cmd *cobra.Command, names []string, why string) error {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return usagef(cmd, "--%s %s", name, why)
		}
	}
	return nil
}

// importRecords records the opt-outs or consents of files and prints the result.
func (a *app) importRecords(cmd *cobra.Command, paths []string, flags importFlags) error {
	if err := flags.refuseOthers(cmd); err != nil {
		return err
	}
	if err := oneOf(cmd, "channel", flags.channel, channels); err != nil {
		return err
	}
	maxReject, err := parseRatio(cmd, "max-rejects", flags.maxReject)
	if err != nil {
		return err
	}
	if err := errors.Join(refuseInput("rejects", flags.rejects, paths...), refuseInput("remarks", flags.remarks, paths...)); err != nil {
		return err
	}
	if flags.rejects != "" && flags.rejects == flags.remarks {
		return usagef(cmd, "--rejects and --remarks are two files")
	}
	source, err := openOptOuts(cmd, paths, flags)
	if err != nil {
		return err
	}
	defer source.Close()
	c, err := a.connect()
	if err != nil {
		return err
	}
	if err := source.create(flags); err != nil {
		return err
	}
	result, err := a.record(cmd.Context(), c, source, client.ImportOptOutsRequest{
		Rows: source, Sources: source.files(), MaxRejects: &maxReject, Override: flags.yes, DryRun: flags.dryRun, ScopeInstead: &flags.scope,
		Resume: true,
	}, flags.consentImportFlags)
	if err != nil {
		source.leaveFiles()
		return interrupted(err)
	}
	files, err := source.closeFiles()
	if err != nil {
		return err
	}
	return a.printOptOutImport(optOutReport{
		ImportOptOutsResult: result, choices: source.reader.Choices(), remarks: source.remarked.rows(), allowed: flags.allowRejects, consents: flags.consents,
	}, source, files)
}

// interrupted adds a hint to an interrupt: the same command can be run again.
func interrupted(err error) error {
	if !errors.Is(err, context.Canceled) {
		return err
	}
	return withHint(err, "it is safe to run the same command again: rows that were recorded are then duplicates")
}

// record runs the import under a progress bar.
func (a *app) record(
	ctx context.Context, c *client.Client, source *optOutSource, request client.ImportOptOutsRequest, consents consentImportFlags,
) (client.ImportOptOutsResult, error) {
	meter := &importMeter{files: source.reader, rejects: source.rejects}
	request.OnProgress = func(p client.Progress) {
		meter.take(p)
		source.staged(p)
	}
	request.OnReject, request.OnRemark = source.refused, source.remark
	aside, stop := a.showImport(meter)
	defer stop()
	request.OnResume = func(rows uint64) { aside(func() { a.sayResumed(rows, "row") }) }
	source.onEnd = func() { aside(func() { sayChoices(a.stderr, source.reader.Choices(), describeChoice) }) }
	if consents.consents {
		return c.ImportConsents(ctx, consents.request(source, &request))
	}
	return c.ImportOptOuts(ctx, request)
}

// optOutReport is the result of an import of opt-outs or consents.
type optOutReport struct {
	client.ImportOptOutsResult
	choices []registry.Choice
	remarks uint64 // rows recorded without a part of them
	allowed uint64 // rows that may be left out

	consents bool // the rows are
}

// what names a row.
func (r *optOutReport) what() string {
	if r.consents {
		return "consent"
	}
	return "opt-out"
}

// isIncomplete reports whether more opt-outs were left out than are allowed, or would be. A refused import is not incomplete.
func (r *optOutReport) isIncomplete() bool { return !r.Refused && r.Rejected > r.allowed }

// MarshalJSON implements json.Marshaler.
func (r optOutReport) MarshalJSON() ([]byte, error) {
	return extended(r.ImportOptOutsResult, struct {
		Remarks    uint64      `json:"remarks"`
		Incomplete bool        `json:"incomplete"`
		Columns    []columnsOf `json:"columns"`
	}{r.remarks, r.isIncomplete(), columnsJSON(r.choices, r.consents)})
}

// printOptOutImport prints the result of an import.
func (a *app) printOptOutImport(r optOutReport, source *optOutSource, files rowFiles) error {
	if err := a.print(r, func() string { return describeOptOutImport(r.ImportOptOutsResult, r.what()) }); err != nil {
		return err
	}
	source.rejects.explainAs(a.stderr, "rejected", "rejects", files.rejects)
	source.remarks.explainAs(a.stderr, "remark", "remarks", files.remarks)
	a.sayRemarks(r)
	switch {
	case r.Refused:
		a.end(exitNo)
		fmt.Fprintln(a.stderr, "dnc: import refused, nothing was recorded")
	case r.isIncomplete():
		a.end(exitNo)
		fmt.Fprintf(a.stderr, "dnc: %s not recorded: correct the rejects and import them again (--allow-rejects %d exits with 0 anyway)\n",
			wereNot(r.Rejected, r.what()), r.Rejected)
	}
	a.writeGuards(r.GuardFailures)
	return nil
}

// sayRemarks says that rows with a remark count, without the part that could not be read.
func (a *app) sayRemarks(r optOutReport) {
	if r.remarks == 0 || r.Refused {
		return
	}
	became := "counts"
	if r.remarks > 1 {
		became = "count"
	}
	fmt.Fprintf(a.stderr, "dnc: %s with a remark %s without the part that could not be read\n", count(r.remarks, "row"), became)
}

// wereNot begins a sentence about opt-outs or consents.
func wereNot(n uint64, what string) string {
	if n == 1 {
		return "1 " + what + " was"
	}
	return fmt.Sprintf("%d %ss were", n, what)
}

func describeOptOutImport(r client.ImportOptOutsResult, what string) string {
	text := account{r.Read, r.Accepted, r.Duplicates, r.Rejected, r.Empty, r.Rows}.String() + "\n"
	seconds := r.Elapsed.Seconds()
	switch {
	case r.Refused:
		return text + "nothing was recorded"
	case r.DryRun:
		return text + fmt.Sprintf("dry run: %s would be recorded", count(r.Accepted, what))
	case r.Accepted == 0:
		return text + fmt.Sprintf("nothing new  revision %d  %.1f s", r.Revision, seconds)
	}
	rate := float64(r.Accepted+r.Duplicates) / max(seconds, 0.001)
	return text + fmt.Sprintf("%s recorded  %s  %.1f s (%.0f rows/s)",
		count(r.Accepted, what), revisions(r.FirstRevision, r.Revision), seconds, rate)
}

// revisions is one revision, or the first and the last of several.
func revisions(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("revision %d", last)
	}
	return fmt.Sprintf("revisions %d to %d", first, last)
}

// defaults are the values of rows that have none of their own.
type defaults struct {
	scope      string
	channel    client.Channel
	desk       string
	receivedAt time.Time // or obtained

	kind client.ConsentKind
	form client.ConsentForm
}

func (f *optOutFlags) defaults(cmd *cobra.Command) (defaults, error) {
	at, err := parseTime(cmd, "received-at", f.receivedAt)
	return defaults{scope: f.scope, channel: client.Channel(f.channel), desk: f.desk, receivedAt: at}, err
}

// recordOptions says how the files are read.
func (f *importFlags) recordOptions(cmd *cobra.Command) (registry.RecordOptions, error) {
	o := registry.RecordOptions{
		Columns: map[registry.RecordField]string{}, Consents: f.consents, NeedScope: f.consents && !cmd.Flags().Changed("scope"),
	}
	var err error
	if o.Region, err = parseRegion(f.region); err != nil {
		return o, err
	}
	if o.DateOrder, err = f.order(cmd); err != nil {
		return o, err
	}
	if o.Delimiter, err = parseDelimiter(f.delimiter); err != nil {
		return o, err
	}
	if f.column != "" {
		o.Columns[registry.FieldNumber] = f.column
	}
	for _, pair := range f.optOutFlags.columns {
		at := strings.LastIndexByte(pair, '=')
		if at < 1 || at == len(pair)-1 {
			return o, usagef(cmd, "--map %q is not COLUMN=FIELD, such as --map ticket=evidence", pair)
		}
		field := registry.RecordField(strings.ReplaceAll(strings.ToLower(pair[at+1:]), "-", "_"))
		if before, twice := o.Columns[field]; twice {
			return o, usagef(cmd, "%s is both column %q and column %q", field, before, pair[:at])
		}
		o.Columns[field] = pair[:at]
	}
	return o, nil
}

// order is the order of dates; 0: not given.
func (f *optOutFlags) order(cmd *cobra.Command) (registry.DateOrder, error) {
	switch {
	case f.dayFirst && f.dateOrder != "" && f.dateOrder != "day":
		return 0, usagef(cmd, "--day-first is --date-order day, not %s", f.dateOrder)
	case f.dayFirst:
		return registry.DayFirst, nil
	case f.dateOrder == "":
		return 0, nil
	}
	order, err := registry.ParseDateOrder(f.dateOrder)
	if err != nil {
		return 0, usagef(cmd, "--date-order %q: %v", f.dateOrder, err)
	}
	return order, nil
}
