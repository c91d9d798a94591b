package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
)

// duringBench measures calls while a list is loaded again.
type duringBench struct {
	numbers int
	order   string
	runs    int
	workers int // of the closed loop
	rate    int // checks a second of the open loop
	optOuts int // a second
	idle    time.Duration
	data    string
	json    bool

	space  *workspace
	inputs [2][]string // two lists as large, of other numbers
	listed []string    // some numbers of the first
	codes  []numberRange
}

func duringCommand() *cobra.Command {
	var b duringBench
	cmd := &cobra.Command{
		Use:   "during --numbers N",
		Short: "Measure checks and opt-outs while a list is loaded and switches",
		Long: `Measure checks and opt-outs while a list is loaded and switches.

A list is loaded; checks and opt-outs are timed while the server has nothing else
to do, then while dnc import replaces the list by one of other numbers as large.
First with checks in a closed loop (each worker calls again once it is answered),
then in an open one (at a rate, timed from when each was due). Half of the checked
numbers are on the list, half are drawn at random from the same area codes.`,
		Example: `  go run . during --numbers 10000000
  go run . during --json --numbers 100000000 --runs 3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.numbers, "numbers", 1_000_000, "how many numbers a load has")
	f.StringVar(&b.order, "order", sorted, "of the numbers: sorted or shuffled")
	f.IntVar(&b.runs, "runs", 1, "how many runs to take the median of")
	f.IntVar(&b.workers, "workers", 2, "of the closed loop")
	f.IntVar(&b.rate, "rate", 1000, "checks a second of the open loop")
	f.IntVar(&b.optOuts, "optouts", 100, "opt-outs a second")
	f.DurationVar(&b.idle, "idle", 10*time.Second, "how long to measure without a load")
	f.StringVar(&b.data, "data", "", "directory on the disk to measure (default: the system's for temporary files)")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *duringBench) run(ctx context.Context, out, log io.Writer) (err error) {
	if min(b.runs, b.workers, b.rate, b.optOuts) < 1 {
		return errors.New("--runs, --workers, --rate and --optouts: at least 1")
	}
	if b.space, err = newWorkspace(ctx, b.data, log); err != nil {
		return err
	}
	defer b.space.remove()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	var runs [][]report.Latency
	for run := range b.runs {
		b.space.say("run %d of %d", run+1, b.runs)
		rows, err := b.once(ctx)
		if err != nil {
			return err
		}
		runs = append(runs, rows)
	}
	return b.print(out, report.MedianLatencies(runs))
}

// prepare makes the files and the numbers to check.
func (b *duringBench) prepare(ctx context.Context) (err error) {
	for i := range b.inputs {
		if b.inputs[i], err = b.space.files(ctx, fmt.Sprint("files", i), b.numbers, b.order, uint64(i+1)); err != nil {
			return err
		}
	}
	const samples = 200_000
	listed, err := sample(b.inputs[0], b.numbers, samples)
	if err != nil {
		return err
	}
	for _, number := range listed {
		b.listed = append(b.listed, number.E164())
	}
	shares, err := divide(b.numbers, areaCodes())
	for _, s := range shares {
		b.codes = append(b.codes, s.numberRange)
	}
	return err
}

// random draws a number from the area codes that the list holds.
func (b *duringBench) random() string {
	code := b.codes[rand.IntN(len(b.codes))]
	return fmt.Sprintf("+1%s%d%04d", code.label, code.groups[rand.IntN(len(code.groups))], rand.IntN(groupSize))
}

// once is one run, with a server of its own.
func (b *duringBench) once(ctx context.Context) ([]report.Latency, error) {
	dir, err := b.space.empty()
	if err != nil {
		return nil, err
	}
	server, c, err := b.space.start(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer server.Kill()
	defer c.Close()
	if _, err := createList(ctx, c); err != nil {
		return nil, err
	}
	if _, err := b.space.importFiles(ctx, server.Addr, b.inputs[0], b.numbers); err != nil {
		return nil, err
	}
	var rows []report.Latency
	for i, loop := range []string{"closed", "open"} {
		found, err := b.loop(ctx, loop, server, c, b.inputs[(i+1)%len(b.inputs)])
		if err != nil {
			return nil, fmt.Errorf("checks in %s loop: %w", loop, err)
		}
		rows = append(rows, found...)
	}
	if err := c.Close(); err != nil {
		return nil, err
	}
	_, err = server.Stop()
	return rows, err
}

// loop measures one way to check, idle and while files are loaded.
func (b *duringBench) loop(ctx context.Context, loop string, server *daemon.Server, c *client.Client, files []string) ([]report.Latency, error) {
	const warmUp = time.Second
	resting := func(d time.Duration) func(context.Context) error {
		return func(ctx context.Context) error { return sleep(ctx, d) }
	}
	if _, err := b.beside(ctx, resting(warmUp), loop, "warm", c); err != nil {
		return nil, err
	}
	idle, err := b.beside(ctx, resting(b.idle), loop, "idle", c)
	if err != nil {
		return nil, err
	}
	loading, err := b.beside(ctx, func(ctx context.Context) error {
		i, err := b.space.importFiles(ctx, server.Addr, files, b.numbers)
		b.space.say("beside checks in %s loop: %d numbers in %.2f s", loop, b.numbers, i.Took.Seconds())
		return err
	}, loop, "loading", c)
	return append(idle, loading...), err
}

// beside makes checks and opt-outs as long as work takes.
func (b *duringBench) beside(ctx context.Context, work func(context.Context) error, loop, state string, c *client.Client) ([]report.Latency, error) {
	check := report.Latency{Case: "check", Loop: loop, State: state, Numbers: b.numbers}
	optOut := report.Latency{Case: "optout", Loop: "open", Beside: loop, State: state, Numbers: b.numbers}
	checks := open(b.rate, b.check(c))
	if loop == "closed" {
		check.Workers, checks = b.workers, closed(b.workers, b.check(c))
	}
	calling, stop := context.WithCancel(ctx)
	defer stop()
	ends := make(chan error, 2)
	for _, t := range []struct {
		traffic traffic
		row     *report.Latency
	}{{checks, &check}, {open(b.optOuts, b.optOut(c)), &optOut}} {
		go func() {
			found := t.traffic(calling)
			t.row.SetTimes(found.hist, found.took)
			ends <- found.failed()
		}()
	}
	err := work(ctx)
	stop()
	err = errors.Join(err, <-ends, <-ends)
	return []report.Latency{check, optOut}, err
}

func (b *duringBench) check(c *client.Client) call {
	return func(ctx context.Context) error {
		number := b.random()
		if rand.IntN(2) == 0 {
			number = b.listed[rand.IntN(len(b.listed))]
		}
		_, err := c.Check(ctx, number)
		return err
	}
}

func (b *duringBench) optOut(c *client.Client) call {
	return func(ctx context.Context) error {
		_, err := c.RecordOptOut(ctx, client.OptOut{Number: b.random(), Channel: client.ChannelCall, Desk: "bench"})
		return err
	}
}

func (b *duringBench) print(out io.Writer, rows []report.Latency) error {
	ratios := report.LatencyRatios(rows)
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...), report.JSON(out, ratios...))
	}
	if err := report.LatencyTable(out, rows); err != nil {
		return err
	}
	return report.RatioTable(out, ratios)
}
