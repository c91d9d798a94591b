package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/nice"
	"github.com/dncd/dncd/internal/registry"
)

// compareFlags are the flags of `subscriber compare`.
type compareFlags struct {
	takenAt, out string
	removals     bool
	file         importFlags // how the export is read
}

func (a *app) subscriberCompareCommand() *cobra.Command {
	var flags compareFlags
	cmd := &cobra.Command{
		Use:   "compare NAME FILE...",
		Short: "Compare what a calling base blocks, by its own export, with what it has acknowledged",
		Long: `Compare what a calling base blocks, by its own export, with what it has acknowledged as applied.

The files are read as ` + "`dnc import`" + ` reads those of a list. A number that the base acknowledged, that was in
force when the export was taken, and that is not in it is missing: the base may be calling it. What was
recorded after that position, or after the export was taken, is in flight. Numbers that nothing here
blocks are extra, which is no fault: a base serves others too. A base that has acknowledged nothing yet
is compared with everything that was recorded until the export was taken.

--out writes what the base lacks and must block now, as csv: number, scope, source, since. Source is
opt-out, or the id of a list. --removals adds the column action, and numbers that may go: no row of the
base blocks them any more, and they were withdrawn. The base may have a reason of its own to keep them.

The server keeps counts, hashes and the time of the comparison. The exit code is 1 if a number is missing,
or if a list could not be compared.`,
		Example: `  dnc subscriber compare call-centre blocked.csv --region FR --out repair.csv
  dnc subscriber compare call-centre blocked.csv --taken-at 2026-11-29T06:00:00+01:00
  dnc subscriber compare call-centre blocked.csv --removals --out repair.csv`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef(cmd, "a name is missing")
			}
			return counted(2, 1000, "file")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := onceStdin(cmd, args[1:]); err != nil {
				return err
			}
			nice.Process() // calls on this machine take precedence
			return a.compareBase(cmd, args[0], args[1:], flags)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return a.firstIsSubscriber(cmd, args, begun)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.takenAt, "taken-at", "", "when the export was taken, as RFC 3339 or a date (default: now)")
	f.StringVar(&flags.out, "out", "", "write what the base must block to this file, - is standard output; an existing file keeps its permissions, a new one is readable only by its owner")
	f.BoolVar(&flags.removals, "removals", false, "with --out, also what may go, in a column action")
	f.StringVar(&flags.file.format, "format", "auto", "auto, "+registry.FormatNames())
	f.StringVar(&flags.file.column, "column", "", "of a csv, the column that holds the number: its name or its position from 1; of jsonl, the key; several: A,B")
	f.StringVar(&flags.file.delimiter, "delimiter", "", "of a csv, the delimiter: one character, or tab (default: detected from the first line)")
	f.StringVar(&flags.file.region, "region", "", "how national numbers are read, such as FR")
	f.StringVar(&flags.file.rejects, "rejects", "", "write the entries that are no numbers to this file, as file, line, reason, text")
	complete(cmd, "format", append([]string{"auto"}, strings.Split(registry.FormatNames(), ", ")...)...)
	return cmd
}

func (a *app) compareBase(cmd *cobra.Command, name string, paths []string, flags compareFlags) error {
	request := client.CompareRequest{Subscriber: name, Removals: flags.removals}
	var err error
	if request.TakenAt, err = parseTime(cmd, "taken-at", flags.takenAt); err != nil {
		return err
	}
	if flags.removals && flags.out == "" {
		return usagef(cmd, "--removals lists numbers: --out says where")
	}
	for flag, file := range map[string]string{"out": flags.out, "rejects": flags.file.rejects} {
		if err := refuseInput(flag, file, paths...); err != nil {
			return err
		}
	}
	source, err := openSource(paths, flags.file)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := a.checkFormat(source.reader.Format(), flags.file.format, client.ModeReplace); err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	if err := source.rejects.create(flags.file.rejects); err != nil {
		return err
	}
	result, err := a.compareTo(cmd.Context(), c, request, source, flags)
	if err != nil {
		source.rejects.leave()
		return err
	}
	if err := source.rejects.close(); err != nil {
		return err
	}
	return a.printComparison(compareReport{result, source.reader.Choices()}, source.rejects, flags)
}

// compareTo compares under a progress bar, and writes what the base must block.
func (a *app) compareTo(ctx context.Context, c *client.Client, request client.CompareRequest, source *source, flags compareFlags) (client.CompareResult, error) {
	repair, err := a.openRepair(flags)
	if err != nil {
		return client.CompareResult{}, err
	}
	meter := &importMeter{files: source.reader, rejects: source.rejects}
	aside, stop := a.showImport(meter)
	source.onEnd = func() { aside(func() { sayChoices(a.stderr, source.reader.Choices(), describeNumbers) }) }
	request.Numbers, request.OnProgress, request.OnDifference = source, meter.take, repair.add
	result, err := c.CompareBase(ctx, request)
	stop()
	if err != nil {
		repair.abandon()
		return result, err
	}
	return result, repair.keep()
}

// repair is the file with what a base must block. The zero value writes nothing.
type repair struct {
	out      *outFile
	csv      *csv.Writer
	removals bool
}

func (a *app) openRepair(flags compareFlags) (*repair, error) {
	r := &repair{removals: flags.removals}
	if flags.out == "" {
		return r, nil
	}
	var err error
	if r.out, err = a.openOut(flags.out); err != nil {
		return nil, err
	}
	r.csv = csv.NewWriter(r.out)
	if err := r.write("number", "scope", "source", "since", "action"); err != nil {
		r.abandon()
		return nil, err
	}
	return r, nil
}

// write leaves out the action of a file in which all are the same.
func (r *repair) write(fields ...string) error {
	if !r.removals {
		fields = fields[:4]
	}
	return r.csv.Write(fields)
}

// add writes a number that the base must block, or may let go.
func (r *repair) add(d client.Difference) error {
	action := "block"
	if d.Kind == client.DifferenceRemovable {
		action = "remove"
	}
	if r.csv == nil || action == "block" && !d.InForce { // it ended since the export was taken
		return nil
	}
	return r.write(d.Number, d.Scope, d.Source, d.Since.UTC().Format(time.RFC3339Nano), action)
}

func (r *repair) keep() error {
	if r.out == nil {
		return nil
	}
	r.csv.Flush()
	if err := r.csv.Error(); err != nil {
		r.out.abandon()
		return err
	}
	if err := r.out.keep(); err != nil {
		r.out.abandon()
		return err
	}
	return nil
}

func (r *repair) abandon() {
	if r.out != nil {
		r.out.abandon()
	}
}

// compareReport is a comparison, and how the columns of the export were read.
type compareReport struct {
	client.CompareResult
	choices []registry.Choice
}

// MarshalJSON implements json.Marshaler.
func (r compareReport) MarshalJSON() ([]byte, error) {
	return extended(r.CompareResult, struct {
		Columns []columnsOf `json:"columns"`
	}{columnsJSON(r.choices, false)})
}

// printComparison prints what was found: to standard error if the numbers go to standard output.
func (a *app) printComparison(r compareReport, rejects *rejectLog, flags compareFlags) error {
	to := a.stdout
	if flags.out == "-" || a.isStdout(flags.out) {
		to = a.stderr
	}
	var err error
	if a.output == "json" {
		err = a.printTo(to, r)
	} else {
		_, err = fmt.Fprintln(to, describeComparison(r.CompareResult))
	}
	if err != nil {
		return err
	}
	rejects.explain(a.stderr)
	a.sayFound(a.stderr, r.CompareResult, flags)
	return nil
}

// sayFound says what to do about a comparison that found something.
func (a *app) sayFound(w io.Writer, r client.CompareResult, flags compareFlags) {
	if r.IsClean() {
		return
	}
	a.end(exitNo)
	if n := len(r.ListsInDoubt); n > 0 {
		fmt.Fprintf(w, "dnc: %s could not be compared: a repair found the content damaged\n", strings.Join(r.ListsInDoubt, ", "))
		fmt.Fprintf(w, "hint: load it again, then compare again\n")
	}
	if r.Missing == 0 {
		return
	}
	fmt.Fprintf(w, "dnc: %s does not block %s that it has to block: it may be calling them\n", r.Subscriber, count(r.Missing, "number"))
	if flags.out == "" {
		fmt.Fprintf(w, "hint: --out repair.csv writes what the base must block\n")
	} else {
		fmt.Fprintf(w, "hint: have the base load %s, then compare a new export\n", flags.out)
	}
}

func describeComparison(r client.CompareResult) string {
	lines := []string{
		fmt.Sprintf("%s  %d of %s missing  revision %d  %.1f s", r.Subscriber, r.Missing, count(r.Expected, "number"), r.Revision, r.Elapsed.Seconds()),
		"  " + describeExpected(r.Comparison),
		fmt.Sprintf("  in flight: %d, not expected in the export yet", r.InFlight),
		fmt.Sprintf("  extra: %d, which nothing here blocks", r.Extra),
	}
	if r.Removable > 0 {
		lines[3] += fmt.Sprintf("; %d of them may go", r.Removable)
	}
	export := fmt.Sprintf("  export: %s, taken %s", count(r.Numbers, "number"), stamp(r.TakenAt))
	if r.Rejected > 0 {
		export += fmt.Sprintf(", and %d that could not be read: one of them may be a missing one", r.Rejected)
	}
	return strings.Join(append(lines, export), "\n")
}

// describeExpected says what an export was compared with.
func describeExpected(c client.Comparison) string {
	if c.AcknowledgedRevision == 0 {
		return fmt.Sprintf("compared with: all that was recorded until the export was taken, revision %d, since the base has acknowledged nothing", c.UpToRevision)
	}
	text := fmt.Sprintf("compared with: revision %d, which the base has acknowledged as applied", c.AcknowledgedRevision)
	if c.UpToRevision < c.AcknowledgedRevision {
		text += fmt.Sprintf(", but only up to revision %d, when the export was taken", c.UpToRevision)
	}
	return text
}

// describeLastComparison is one line of a base's status.
func describeLastComparison(c *client.Comparison) string {
	if c == nil {
		return "never"
	}
	text := fmt.Sprintf("%s, %d of %s missing", stamp(c.ComparedAt), c.Missing, count(c.Expected, "number"))
	if len(c.ListsInDoubt) > 0 {
		text += ", without " + strings.Join(c.ListsInDoubt, ", ")
	}
	return text
}
