package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
)

// optOutsBench measures opt-outs by file, or consents.
type optOutsBench struct {
	consents bool
	rows     int
	seed     uint64
	runs     int
	rate     int // calls a second beside the file, of each kind; 0: none
	idle     time.Duration
	data     string
	json     bool

	space *workspace
	file  string
	codes []numberRange
}

func optOutsCommand() *cobra.Command {
	var b optOutsBench
	cmd := &cobra.Command{
		Use:   "optouts --rows N",
		Short: "Measure opt-outs by file, from text on disk to durable",
		Long: `Measure opt-outs by file, from text on disk to durable.

It makes a csv as a call centre's (number, scope, channel, desk, time, ticket),
starts dncd and records it with dnc import --opt-outs, each a process of its own,
then imports the same file again, so that every row is a duplicate. With --rate there
are checks and single opt-outs at that rate beside the file, and before it.

With --consents the rows are written permissions.`,
		Example: `  go run . optouts --rows 1000000 --runs 3
  go run . optouts --json --rows 1000000 --rate 100
  go run . optouts --consents --rows 1000000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&b.consents, "consents", false, "measure a file of consents")
	f.IntVar(&b.rows, "rows", 1_000_000, "of the file")
	f.Uint64Var(&b.seed, "seed", 1, "where the random numbers start")
	f.IntVar(&b.runs, "runs", 1, "how many runs to take the median of")
	f.IntVar(&b.rate, "rate", 0, "checks, and as many opt-outs, a second beside the file")
	f.DurationVar(&b.idle, "idle", 5*time.Second, "with --rate: how long to measure without a file")
	f.StringVar(&b.data, "data", "", "directory on the disk to measure (default: the system's for temporary files)")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *optOutsBench) run(ctx context.Context, out, log io.Writer) (err error) {
	if min(b.rows, b.runs) < 1 || b.rate < 0 {
		return errors.New("--rows and --runs: at least 1; --rate: at least 0")
	}
	if b.space, err = newWorkspace(ctx, b.data, log); err != nil {
		return err
	}
	defer b.space.remove()
	b.codes = areaCodes()
	if err := b.write(); err != nil {
		return err
	}
	var passes [2][]report.OptOuts
	var latencies [][]report.Latency
	for run := range b.runs {
		rows, beside, err := b.once(ctx)
		if err != nil {
			return err
		}
		for i, r := range rows {
			b.space.say("run %d of %d: %s: %d rows in %.2f s", run+1, b.runs, r.Pass, r.Read, r.Seconds)
			passes[i] = append(passes[i], r)
		}
		latencies = append(latencies, beside)
	}
	rows := []report.OptOuts{report.MedianOptOuts(passes[0]), report.MedianOptOuts(passes[1])}
	return b.print(out, rows, report.MedianLatencies(latencies))
}

// write makes the file. The same rows and seed make the same one.
func (b *optOutsBench) write() (err error) {
	b.file = filepath.Join(b.space.dir, "opt-outs.csv")
	f, err := os.Create(b.file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	rnd := rand.New(rand.NewPCG(b.seed, uint64(b.rows)))
	channels := []string{"call", "email", "letter", "sms", "web", "in-person"}
	scopes := []string{"", "acme", "acme/telecom"}
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	header, kind := "phone,scope,channel,desk,received_at,evidence", ""
	if b.consents {
		header, kind = "phone,scope,kind,form,channel,desk,obtained_at,evidence", ",permission,written"
		scopes[0] = "other" // a consent to everyone has to be said
	}
	fmt.Fprintln(w, header)
	for i := range b.rows {
		// No two rows say the same: each has a second of its own.
		received := first.Add(-time.Duration(i) * time.Second).Format(time.RFC3339)
		fmt.Fprintf(w, "%s,%s%s,%s,after-sales,%s,ticket-%d\n", b.number(rnd.IntN), scopes[rnd.IntN(len(scopes))], kind,
			channels[rnd.IntN(len(channels))], received, i)
	}
	return errors.Join(w.Flush(), f.Sync())
}

// number draws a number of the US.
func (b *optOutsBench) number(below func(int) int) string {
	code := b.codes[below(len(b.codes))]
	return fmt.Sprintf("+1%s%d%04d", code.label, code.groups[below(len(code.groups))], below(groupSize))
}

// once records the file twice with a server of its own.
func (b *optOutsBench) once(ctx context.Context) (passes []report.OptOuts, latencies []report.Latency, err error) {
	dir, err := b.space.empty()
	if err != nil {
		return nil, nil, err
	}
	server, c, err := b.space.start(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	defer server.Kill()
	defer c.Close()
	if b.rate > 0 {
		latencies, err = b.beside(ctx, func(ctx context.Context) error { return sleep(ctx, b.idle) }, "idle", c)
		if err != nil {
			return nil, nil, err
		}
	}
	for _, pass := range []string{report.PassNew, report.PassAgain} {
		var row report.OptOuts
		work := func(ctx context.Context) (err error) {
			row, err = b.pass(ctx, pass, server)
			return err
		}
		if b.rate == 0 || pass == report.PassAgain {
			err = work(ctx)
		} else {
			var found []report.Latency
			found, err = b.beside(ctx, work, "loading", c)
			latencies = append(latencies, found...)
		}
		if err != nil {
			return nil, nil, err
		}
		passes = append(passes, row)
	}
	if err := c.Close(); err != nil {
		return nil, nil, err
	}
	if _, err := server.Stop(); err != nil {
		return nil, nil, err
	}
	disk, err := process.DiskOf(dir, ballast)
	passes[len(passes)-1].BytesOnDisk = disk.Bytes
	return passes, latencies, err
}

// pass imports the file and looks that each row is accounted for.
func (b *optOutsBench) pass(ctx context.Context, pass string, server *daemon.Server) (report.OptOuts, error) {
	row := report.OptOuts{Case: report.CaseOptOuts, Pass: pass}
	before, err := process.CPUOf(server.PID)
	if err := errors.Join(err, process.ResetPeak(server.PID)); err != nil {
		return row, err
	}
	record := b.space.programs.ImportOptOuts
	if b.consents {
		row.Case, record = report.CaseConsents, b.space.programs.ImportConsents
	}
	i, err := record(ctx, server.Addr, b.file)
	if err != nil {
		return row, err
	}
	after, err := process.CPUOf(server.PID)
	memory, unknown := process.MemoryOf(server.PID)
	err = errors.Join(err, unknown)
	row.ServerRSSPeak, row.ServerAnon = memory.RSSPeak, memory.Anon
	row.Read, row.Accepted, row.Duplicates, row.Rejected = i.Read, i.Accepted, i.Duplicates, i.Rejected
	row.Seconds, row.ClientCPUSeconds, row.ServerCPUSeconds = i.Took.Seconds(), i.CPU.Seconds(), (after - before).Seconds()
	want := report.OptOuts{Accepted: uint64(b.rows)}
	if pass == report.PassAgain {
		want = report.OptOuts{Duplicates: uint64(b.rows)}
	}
	if row.Read != uint64(b.rows) || row.Accepted != want.Accepted || row.Duplicates != want.Duplicates || row.Rejected != 0 {
		err = errors.Join(err, fmt.Errorf("dnc import of %s, %s: read %d = %d accepted + %d duplicates + %d rejected of %d rows",
			row.Case, pass, row.Read, row.Accepted, row.Duplicates, row.Rejected, b.rows))
	}
	return row, err
}

// beside makes checks and single opt-outs as long as work takes.
func (b *optOutsBench) beside(ctx context.Context, work func(context.Context) error, state string, c *client.Client) ([]report.Latency, error) {
	calls := []call{
		func(ctx context.Context) error {
			_, err := c.Check(ctx, b.number(rand.IntN))
			return err
		},
		func(ctx context.Context) error {
			_, err := c.RecordOptOut(ctx, client.OptOut{Number: b.number(rand.IntN), Channel: client.ChannelCall, Desk: "bench"})
			return err
		},
	}
	rows := []report.Latency{
		{Case: "check", Loop: "open", State: state, Numbers: b.rows},
		{Case: "optout", Loop: "open", State: state, Numbers: b.rows},
	}
	calling, stop := context.WithCancel(ctx)
	defer stop()
	ends := make(chan error, len(calls))
	for i := range calls {
		go func() {
			found := open(b.rate, calls[i])(calling)
			rows[i].SetTimes(found.hist, found.took)
			ends <- found.failed()
		}()
	}
	err := work(ctx)
	stop()
	return rows, errors.Join(err, <-ends, <-ends)
}

func (b *optOutsBench) print(out io.Writer, rows []report.OptOuts, latencies []report.Latency) error {
	ratios := report.LatencyRatios(latencies)
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...), report.JSON(out, latencies...),
			report.JSON(out, ratios...))
	}
	return errors.Join(report.OptOutsTable(out, rows), report.LatencyTable(out, latencies), report.RatioTable(out, ratios))
}
