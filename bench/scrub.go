package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/bench/internal/report"
)

// scrubBench measures files of leads that are checked.
type scrubBench struct {
	list   listServer
	lines  int
	listed float64
	runs   int
	other  string // path of a dnc that takes turns with this one
	json   bool

	blocked int // of the lines
	files   map[string]string
}

// leadLayouts are the files that are checked: what is written before a number and behind it.
var leadLayouts = []struct{ name, header, before, behind string }{
	{"plain", "phone", "", ""},
	{"columns", "name,phone,city", "Ana Smith,", ",San Francisco"},
	{"quoted", `"name","phone","city"`, `"Ana Smith","`, `","San Francisco"`},
}

func scrubCommand() *cobra.Command {
	var b scrubBench
	cmd := &cobra.Command{
		Use:   "scrub --lines N",
		Short: "Measure dnc check --file, from text on disk to text with verdicts",
		Long: `Measure dnc check --file, from text on disk to text with verdicts.

It starts dncd with a list, makes files of leads, some of them listed, and checks them
with dnc, each a process of its own: a file of only numbers, one with three columns,
and that one with quotes. A run whose counts are wrong fails.`,
		Example: `  go run . scrub --lines 1000000 --runs 3
  go run . scrub --json --lines 10000000 --numbers 10000000 --runs 5 --other /path/to/older/dnc`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	b.list.addFlags(f)
	f.IntVar(&b.lines, "lines", 1_000_000, "of each file")
	f.Float64Var(&b.listed, "listed", 0.01, "share of the lines whose number is on the list, 0 to 1")
	f.IntVar(&b.runs, "runs", 1, "how many runs to take the median of")
	f.StringVar(&b.other, "other", "", "another dnc, such as that of an older version, that takes turns with this one")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	if err := f.MarkHidden("probes"); err != nil {
		panic(err) // the flag is defined above: it is as many as lines
	}
	return cmd
}

func (b *scrubBench) run(ctx context.Context, out, log io.Writer) (err error) {
	if b.lines < 2 || b.runs < 1 || !(b.listed >= 0 && b.listed <= 1) {
		return errors.New("--lines: at least 2; --runs: at least 1; --listed: from 0 to 1")
	}
	if err := b.list.open(ctx, log); err != nil {
		return err
	}
	defer b.list.close()
	b.list.space.say("building dnc")
	if b.list.space.programs, err = daemon.Build(ctx, b.list.space.dir); err != nil {
		return err
	}
	if err := b.write(ctx); err != nil {
		return err
	}
	rows, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...))
	}
	return report.ScrubTable(out, rows)
}

// write makes the files, with the same numbers in each.
func (b *scrubBench) write(ctx context.Context) error {
	b.list.space.say("making %d leads", b.lines)
	leads, err := b.list.drawn.probes(ctx, b.lines, b.listed, false)
	if err != nil {
		return err
	}
	b.files = map[string]string{}
	for _, l := range leadLayouts {
		b.files[l.name] = filepath.Join(b.list.space.dir, l.name+".csv")
		if err := writeLeads(b.files[l.name], l.header, l.before, l.behind, leads); err != nil {
			return err
		}
	}
	for _, lead := range leads {
		if lead.isListed() {
			b.blocked++
		}
	}
	process.SyncDisks()
	return nil
}

func writeLeads(path, header, before, behind string, leads []probe) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, header)
	for _, lead := range leads {
		_, _ = w.WriteString(before)
		_, _ = w.WriteString(lead.e164())
		_, _ = w.WriteString(behind)
		_ = w.WriteByte('\n') // Flush tells of errors
	}
	return w.Flush()
}

// measure lets every file and every dnc take turns.
func (b *scrubBench) measure(ctx context.Context) ([]report.Scrub, error) {
	type turn struct{ layout, dnc, path string }
	var turns []turn
	for _, l := range leadLayouts {
		turns = append(turns, turn{l.name, "this", ""})
		if b.other != "" {
			turns = append(turns, turn{l.name, "other", b.other})
		}
	}
	runs := make([][]report.Scrub, len(turns))
	for r := range b.runs {
		for i, t := range turns {
			row, err := b.once(ctx, b.files[t.layout], t.path)
			if err != nil {
				return nil, err
			}
			row.Layout, row.Dnc = t.layout, t.dnc
			b.list.space.say("run %d of %d: %s, %s dnc: %.2f s", r+1, b.runs, t.layout, t.dnc, row.Seconds)
			runs[i] = append(runs[i], row)
		}
	}
	var rows []report.Scrub
	for _, of := range runs {
		rows = append(rows, report.MedianScrub(of))
	}
	return rows, nil
}

// once checks a file and looks that each line is accounted for.
func (b *scrubBench) once(ctx context.Context, file, dnc string) (report.Scrub, error) {
	row := report.Scrub{Case: report.CaseScrub, Lines: b.lines, Listed: b.blocked, Stored: b.list.numbers}
	before, err := process.CPUOf(b.list.server.PID)
	if err != nil {
		return row, err
	}
	s, err := b.list.space.programs.Scrub(ctx, dnc, b.list.server.Addr, file, filepath.Join(b.list.space.dir, "verdicts.csv"))
	if err != nil {
		return row, err
	}
	after, err := process.CPUOf(b.list.server.PID)
	row.Seconds, row.ClientCPUSeconds, row.ServerCPUSeconds = s.Took.Seconds(), s.CPU.Seconds(), (after - before).Seconds()
	row.ClientRSSPeak = s.RSSPeak
	if want := b.summary(); s.Summary != want {
		err = errors.Join(err, fmt.Errorf("dnc check --file says %q, want %q", s.Summary, want))
	}
	return row, err
}

// summary is what dnc must say.
func (b *scrubBench) summary() string {
	var parts []string
	if allowed := b.lines - b.blocked; allowed > 0 {
		parts = append(parts, fmt.Sprintf("ALLOW %d", allowed))
	}
	if b.blocked > 0 {
		parts = append(parts, fmt.Sprintf("BLOCK %d", b.blocked))
	}
	return fmt.Sprintf("%d rows: %s", b.lines, strings.Join(parts, ", "))
}
