package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/nice"
	"github.com/dncd/dncd/internal/registry"
)

// importFlags are those of `dnc import`.
type importFlags struct {
	list, mode, format   string
	column, columns      string
	region               string
	delimiter            string
	snapshotDate         string
	maxShrink, maxReject string
	rejects              string
	dryRun, yes          bool
	optOuts              bool
	optOutFlags
	consentImportFlags
}

func (a *app) importCommand() *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import FILE... --list NAME | --opt-outs | --consents",
		Short: "Load list files, or zips of them, into a list; or record the opt-outs or consents of files",
		Long: `Load list files, or zips of them, into a list.

Mode replace takes all files of the list in one command: the list becomes their content.
It switches atomically: a check sees the old list or the new one. Every line is
accounted for: read = accepted + duplicates + rejected + empty (cells of a csv without
a number).

A load that looks wrong is refused and changes nothing (exit code 1): nothing
accepted, a list or a covered prefix that shrinks by more than --max-shrink, more
rejects than --max-rejects, a file that ends inside a line, a snapshot date older than
the list's, numbers outside the list's coverage, a coverage that would become the whole
jurisdiction because files do not say what they hold, or include area codes that no
file is named for. --yes overrides all guards except the first, and takes over from an
import that does not end.

An interrupted import resumes where it stopped, and says so, when the command is run
again with the same files, list, mode and snapshot date. An import that was refused is
not sent again when the command is run again with --yes.

The format is detected from the content and reported; use --format when it is ambiguous.
A change list is loaded with --mode delta; a number that it both adds and removes
stays listed.

The snapshot date is the registry's own, not the day of the load. Without
--snapshot-date it is taken from the names of the files, the oldest of several.

With --opt-outs the files are csv, or jsonl, of persons' own objections, and each row is
recorded as ` + "`dnc optout add`" + ` would. Columns for number, scope, channel, desk,
received_at, evidence, expires_at and note are found by their titles, English or French,
or named with --map; others are ignored, and the choice is reported. If more than one
column could hold the number, or the order of dates is ambiguous, nothing is recorded
(exit code 2) until --column or --date-order decides. Flags are the defaults for what a
row does not say. A row that its number already holds is a duplicate, so a file may be
imported again.

A row whose number can be read is recorded; anything else in it that cannot be read is
left out and reported as a remark. A row whose number cannot be read is a reject. If any
objection was not recorded, the exit code is 1; --allow-rejects N accepts up to N.

With --consents each row is recorded as ` + "`dnc consent add`" + ` would. Its columns are number,
scope, kind, form, channel, desk, obtained_at, evidence, expires_at, note, goods,
third_parties, appointment_from and appointment_until. A row that cannot be read in full is a
reject, as is one that does not say who may call and when the consent was obtained. If
permissions would lift older opt-outs, nothing is recorded (exit code 1): an officer
decides with --lift-opt-outs; with --yes they are recorded and lift none.`,
		Example: `  dnc import 2026-9-9_415_*.txt.zip 2026-9-9_818_*.txt.zip --list us-ftc
  dnc import suppression.csv --list partner --column phone --region FR --rejects rejects.csv
  dnc import more.txt --list partner --mode add
  dnc import 2026-9-9_*.zip --list us-ftc --dry-run
  dnc import changes.txt --list us-ftc --mode delta --format ftc-change --snapshot-date 2026-09-10
  dnc import crm.csv --opt-outs --region FR --scope acme --channel email --date-order day
  dnc import crm.csv --opt-outs --column "Phone Number,Mobile Phone Number" --dry-run
  dnc import forms.csv --consents --scope acme --kind permission --form written --rejects rejects.csv
  dnc import stop.csv --opt-outs --map ticket=evidence --map "date STOP=received_at" --rejects rejects.csv`,
		Args: counted(1, 1000, "file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := onceStdin(cmd, args); err != nil {
				return err
			}
			nice.Process() // calls on this machine take precedence
			if flags.optOuts || flags.consents {
				return a.importRecords(cmd, args, flags)
			}
			return a.importFiles(cmd, args, flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.list, "list", "", "the list")
	f.BoolVar(&flags.optOuts, "opt-outs", false, "record opt-outs instead of loading a list")
	flags.optOutFlags.define(cmd)
	flags.consentImportFlags.define(cmd)
	f.StringVar(&flags.mode, "mode", "replace", "replace, add, remove, or delta for a change list")
	f.StringVar(&flags.format, "format", "auto", "auto, "+registry.FormatNames())
	f.StringVar(&flags.column, "column", "", "of a csv, the column that holds the number: its name or its position from 1; of jsonl, the key; several: A,B")
	f.StringVar(&flags.delimiter, "delimiter", "", "of a csv, the delimiter: one character, or tab (default: detected from the first line)")
	f.StringVar(&flags.columns, "columns", "", "of a change list, its columns in order, - for one to ignore (default \""+registry.ChangeColumns+"\")")
	f.StringVar(&flags.region, "region", "", "how national numbers are read, such as FR")
	f.StringVar(&flags.snapshotDate, "snapshot-date", "", "the registry's own date of the files, YYYY-MM-DD (default: from their names)")
	f.StringVar(&flags.maxShrink, "max-shrink", "10%", "refuse a load that shrinks the list, or one covered prefix, by more")
	f.StringVar(&flags.maxReject, "max-rejects", "1%", "refuse a load with a larger share of rejects")
	f.StringVar(&flags.rejects, "rejects", "", "write the rejects to this file: of a list as file, line, reason, text; of opt-outs with the columns of their file and dncd_reason, to be corrected and imported again; an existing file keeps its permissions, a new one is readable only by its owner")
	f.BoolVar(&flags.dryRun, "dry-run", false, "compare and count, change nothing")
	f.BoolVar(&flags.yes, "yes", false, "override the guards")
	complete(cmd, "mode", "replace", "add", "remove", "delta")
	complete(cmd, "format", append([]string{"auto"}, strings.Split(registry.FormatNames(), ", ")...)...)
	a.completeLists(cmd, "list")
	return cmd
}

// onceStdin refuses standard input as more than one file: two readers would share its lines.
func onceStdin(cmd *cobra.Command, paths []string) error {
	first := slices.Index(paths, "-")
	if first >= 0 && slices.Contains(paths[first+1:], "-") {
		return usagef(cmd, "- is standard input, which is read once: give it once")
	}
	return nil
}

// importFiles loads files and prints the result.
func (a *app) importFiles(cmd *cobra.Command, paths []string, flags importFlags) (err error) {
	if err := refuseFlags(cmd, ofOptOuts, "is for opt-outs, not for a list: use --opt-outs"); err != nil {
		return err
	}
	if err := refuseFlags(cmd, ofConsents, "is for consents, not for a list: use --consents"); err != nil {
		return err
	}
	request, err := flags.request(cmd)
	if err != nil {
		return err
	}
	if err := refuseInput("rejects", flags.rejects, paths...); err != nil {
		return err
	}
	source, err := openSource(paths, flags)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := a.checkFormat(source.reader.Format(), flags.format, request.Mode); err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	request.Numbers, request.Sources = source, source.files()
	if request.SnapshotDate == "" && (request.Mode == client.ModeReplace || request.Mode == client.ModeDelta) {
		request.SnapshotDate, _ = source.reader.SnapshotDate()
	}
	dated, err := datedBefore(cmd.Context(), c, &request)
	if err != nil {
		return a.resumeHint(namesList(err, flags.list), flags.dryRun)
	}
	if err := source.rejects.create(flags.rejects); err != nil {
		return err
	}
	result, err := a.load(cmd.Context(), c, request, source)
	if err != nil {
		source.rejects.leave()
		return a.resumeHint(namesList(err, flags.list), flags.dryRun)
	}
	if err := source.rejects.close(); err != nil {
		return err
	}
	if err := a.printImport(flags.list, listReport{result, source.reader.Choices()}, source.rejects); err != nil {
		return err
	}
	if !result.Refused && !result.DryRun {
		a.sayUndated(flags.list, dated)
		a.sayUncovered(cmd.Context(), c, flags.list)
	}
	return nil
}

// datedBefore is the snapshot date of a list before a load that has none; empty: the list has none either.
func datedBefore(ctx context.Context, c *client.Client, r *client.ImportRequest) (string, error) {
	if r.SnapshotDate != "" || r.Mode != client.ModeReplace {
		return "", nil
	}
	l, err := c.GetList(ctx, r.List)
	return l.SnapshotDate, err
}

// sayUndated says that a list lost its date: without one, an older file is not noticed.
func (a *app) sayUndated(list, before string) {
	if before == "" {
		return
	}
	fmt.Fprintf(a.stderr, "dnc: %s had a snapshot date of %s and has none now: the files name none\n", list, before)
	fmt.Fprintf(a.stderr, "hint: load them again with --snapshot-date, so that an older file is noticed\n")
}

// resumeHint adds to the hint of an unreachable server, and of an interrupt, that the same command resumes the load. A dry
// run starts again.
func (a *app) resumeHint(err error, dryRun bool) error {
	if dryRun {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return withHint(err, "the same command resumes where it stopped; `dnc imports LIST` shows whether the import was finished anyway")
	}
	if hint := a.hintFor(err); hint != "" && hint == hints["UNAVAILABLE"] {
		return withHint(err, hint+"; the same command resumes where it stopped")
	}
	return err
}

// checkFormat reports the format that was detected, and refuses a mode that does not fit it.
func (a *app) checkFormat(format registry.Format, asked string, mode client.ImportMode) error {
	if parsed, err := registry.ParseFormat(asked); err == nil && parsed == registry.Auto {
		fmt.Fprintf(a.stderr, "dnc: read as %s\n", format)
	}
	switch removes := format.Removes(); {
	case removes && mode != client.ModeDelta:
		return withHint(fmt.Errorf("%s files remove numbers", format), "--mode delta adds and removes")
	case !removes && mode == client.ModeDelta:
		return withHint(fmt.Errorf("%s files are not change lists", format), "--format ftc-change reads those; --mode replace compares a full list with the current one")
	}
	return nil
}

// load runs the import under a progress bar.
func (a *app) load(ctx context.Context, c *client.Client, request client.ImportRequest, source *source) (client.ImportResult, error) {
	meter := &importMeter{files: source.reader, rejects: source.rejects}
	request.OnProgress = meter.take
	request.OnReject = source.rejects.fromServer
	aside, stop := a.showImport(meter)
	defer stop()
	request.OnResume = func(numbers uint64) { aside(func() { a.sayResumed(numbers, "number") }) }
	source.onEnd = func() { aside(func() { sayChoices(a.stderr, source.reader.Choices(), describeNumbers) }) }
	return c.Import(ctx, request)
}

// showImport shows the progress of an import until stop is called. aside writes something else to standard error
// meanwhile. Both are called by the goroutine of the import.
func (a *app) showImport(meter *importMeter) (aside func(write func()), stop func()) {
	bar := a.startProgress(meter.state)
	aside = func(write func()) {
		bar.stop()
		write()
		bar = a.startProgress(meter.state)
	}
	return aside, func() { bar.stop() }
}

// sayResumed says that an import continues another.
func (a *app) sayResumed(entries uint64, entry string) {
	fmt.Fprintf(a.stderr, "dnc: resuming the import that stopped after %s\n", count(entries, entry))
}

// request is the import without its numbers.
func (f importFlags) request(cmd *cobra.Command) (client.ImportRequest, error) {
	var none client.ImportRequest
	if f.list == "" {
		return none, usagef(cmd, "--list is missing, or --opt-outs")
	}
	mode, err := f.importMode(cmd)
	if err != nil {
		return none, err
	}
	maxShrink, err := parseRatio(cmd, "max-shrink", f.maxShrink)
	if err != nil {
		return none, err
	}
	maxReject, err := parseRatio(cmd, "max-rejects", f.maxReject)
	if err != nil {
		return none, err
	}
	return client.ImportRequest{
		List: f.list, Mode: mode, SnapshotDate: f.snapshotDate, MaxShrink: &maxShrink, MaxRejects: &maxReject,
		Override: f.yes, TakeOver: f.yes, DryRun: f.dryRun, Resume: true,
	}, nil
}

func (f importFlags) importMode(cmd *cobra.Command) (client.ImportMode, error) {
	switch mode := client.ImportMode(strings.ToUpper(f.mode)); mode {
	case client.ModeReplace, client.ModeAdd, client.ModeRemove, client.ModeDelta:
		return mode, nil
	}
	return "", usagef(cmd, "--mode is replace, add, remove or delta, not %q", f.mode)
}

// parseRatio reads 10% or 0.1. A bare 1 is refused: it may mean either 1% or all.
func parseRatio(cmd *cobra.Command, flag, text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	ratio, err := strconv.ParseFloat(number, 64)
	if percent {
		ratio /= 100
	}
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		return 0, usagef(cmd, "--%s %q is not a share such as 10%%", flag, text)
	}
	if !percent && ratio == 1 {
		return 0, usagef(cmd, "--%s %s is not a sure share: write 1%% or 100%%", flag, text)
	}
	return ratio, nil
}

// listReport is the result of a load, and how the columns of its files were read.
type listReport struct {
	client.ImportResult
	choices []registry.Choice
}

// MarshalJSON implements json.Marshaler.
func (r listReport) MarshalJSON() ([]byte, error) {
	return extended(r.ImportResult, struct {
		Columns []columnsOf `json:"columns"`
	}{columnsJSON(r.choices, false)})
}

// printImport prints the result of a load.
func (a *app) printImport(list string, r listReport, rejects *rejectLog) error {
	if err := a.print(r, func() string { return describeImport(list, r.ImportResult) }); err != nil {
		return err
	}
	rejects.explain(a.stderr)
	a.sayStale(list, r.ImportResult)
	if r.Refused {
		a.end(exitNo)
		fmt.Fprintf(a.stderr, "dnc: import refused, %s is as it was\n", list)
	}
	a.writeGuards(r.GuardFailures)
	return nil
}

// writeGuards says which guards failed and which flags override them: none does where
// nothing was accepted.
func (a *app) writeGuards(failures []client.GuardFailure) {
	final := slices.ContainsFunc(failures, func(g client.GuardFailure) bool { return g.Guard == client.GuardNothingAccepted })
	for _, g := range failures {
		fmt.Fprintf(a.stderr, "  %s\n", describeGuard(g, final))
	}
}

func describeImport(list string, r client.ImportResult) string {
	lines := []string{account{r.Read, r.Accepted, r.Duplicates, r.Rejected, r.Empty, r.Rows}.String()}
	changes := fmt.Sprintf("%s (%d added, %d removed, %d unchanged)", count(r.Numbers, "number"), r.Added, r.Removed, r.Unchanged)
	if r.SnapshotDate != "" {
		changes += ", snapshot " + r.SnapshotDate
	}
	switch end := fmt.Sprintf("revision %d  %.1f s", r.Revision, r.Elapsed.Seconds()); {
	case r.Refused:
		lines = append(lines, fmt.Sprintf("%s would hold %s", list, changes))
	case r.DryRun:
		lines = append(lines, fmt.Sprintf("dry run: %s would hold %s", list, changes))
	case r.AlreadyLoaded:
		lines = append(lines, fmt.Sprintf("%s  already loaded: %s  %s", list, changes, end))
	default:
		lines = append(lines, fmt.Sprintf("%s  %s  %s", list, changes, end))
	}
	if r.OutsideJurisdiction > 0 {
		lines = append(lines, fmt.Sprintf("of these, %d outside the jurisdiction of %s: blocked all the same", r.OutsideJurisdiction, list))
	}
	return strings.Join(lines, "\n")
}

// sayStale says that a load is too old to clear a number. That is no error, but its effect on checks is unexpected.
func (a *app) sayStale(list string, r client.ImportResult) {
	if !r.Stale || r.Refused {
		return
	}
	of := "has no snapshot date"
	if r.SnapshotDate != "" {
		of = "is past its max age with a snapshot of " + r.SnapshotDate
	}
	fmt.Fprintf(a.stderr, "dnc: %s %s: checks of numbers that are not on it answer UNKNOWN\n", list, of)
	fmt.Fprintf(a.stderr, "hint: load a newer file\n")
}

// describeGuard says which guard failed and, unless the refusal is final, which flag overrides it.
func describeGuard(g client.GuardFailure, final bool) string {
	flags := map[client.Guard]string{
		client.GuardShrink:           "--max-shrink or --yes",
		client.GuardPrefixShrink:     "--max-shrink or --yes",
		client.GuardRejects:          "--max-rejects or --yes",
		client.GuardSnapshotOlder:    "--yes",
		client.GuardCoverage:         "--yes",
		client.GuardCut:              "--yes",
		client.GuardCoverageWider:    "--yes",
		client.GuardCoverageInferred: "--yes",
		client.GuardLiftsOptOuts:     "--lift-opt-outs, or --yes without the lift,",
	}
	text := lower(g.Guard)
	if g.Prefix != "" && !strings.HasPrefix(string(g.Guard), "COVERAGE") { // whose messages name more than one
		text += " of " + g.Prefix
	}
	text += ": " + g.Message
	if g.Overridden {
		return text + " (overridden)"
	}
	if flag := flags[g.Guard]; flag != "" && !final {
		text += " (" + flag + " overrides it)"
	}
	return text
}
