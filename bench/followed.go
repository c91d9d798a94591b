package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
)

// followedBench measures checks with and without subscribers that follow.
type followedBench struct {
	listServer
	subscribers int
	checks      int
	optOuts     int
	runs        int
	duration    time.Duration
	json        bool

	caller *client.Client
	pool   *probePool
	next   atomic.Uint64 // number to be opted out
}

func followedCommand() *cobra.Command {
	var b followedBench
	cmd := &cobra.Command{
		Use:   "followed --subscribers N",
		Short: "Time checks with and without subscribers that follow by stream",
		Long: `Time checks with and without subscribers that follow by stream.

Checks are made at a rate, and timed from when each was due. Opt-outs are recorded at another,
with and without subscribers, to each of which they all go. The subscribers are a
process of their own. The two states take turns; figures are medians of the runs.`,
		Example: `  go run . followed --subscribers 100
  go run . followed --subscribers 100 --opt-outs 100 --runs 7`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	b.addFlags(f)
	f.IntVar(&b.subscribers, "subscribers", 100, "how many follow")
	f.IntVar(&b.checks, "checks", 1000, "checks a second")
	f.IntVar(&b.optOuts, "opt-outs", 1000, "opt-outs a second; 0: none")
	f.IntVar(&b.runs, "runs", 5, "of each state")
	f.DurationVar(&b.duration, "duration", 5*time.Second, "of a run; a second before it does not count")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *followedBench) run(ctx context.Context, out, log io.Writer) (err error) {
	if min(b.subscribers, b.checks, b.runs) < 1 || b.optOuts < 0 || b.duration <= 0 {
		return errors.New("--subscribers, --checks, --runs and --duration: above 0")
	}
	if err := b.open(ctx, log); err != nil {
		return err
	}
	defer b.close()
	if b.caller, err = client.New(b.server.Addr, client.WithUser("bench"), client.WithTimeout(time.Minute)); err != nil {
		return err
	}
	defer b.caller.Close()
	if b.pool, err = b.probes(ctx, 0.5, false); err != nil {
		return err
	}
	if err := register(ctx, b.caller, b.subscribers); err != nil {
		return err
	}
	var runs [][]report.Latency
	for run := range b.runs {
		b.space.say("run %d of %d", run+1, b.runs)
		alone, err := b.measure(ctx, "alone")
		if err != nil {
			return err
		}
		followed, err := b.follow(ctx)
		if err != nil {
			return err
		}
		runs = append(runs, []report.Latency{alone, followed})
	}
	rows := report.MedianLatencies(runs)
	ratio := report.NewRatio(fmt.Sprintf("p99 of checks beside %d subscribers", b.subscribers), "without", "", rows[1].P99, rows[0].P99)
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...), report.JSON(out, ratio))
	}
	return errors.Join(report.LatencyTable(out, rows), report.RatioTable(out, []report.Ratio{ratio}))
}

// follow measures while subscribers follow, which must get everything.
func (b *followedBench) follow(ctx context.Context) (row report.Latency, err error) {
	r, err := startReaders(ctx, b.server.Addr, b.subscribers)
	if err != nil {
		return row, err
	}
	before := b.next.Load()
	row, err = b.measure(ctx, "followed")
	want := (b.next.Load() - before) * uint64(b.subscribers)
	got, ended := r.end(want)
	if err = errors.Join(err, ended); err == nil && got < want {
		err = fmt.Errorf("%d of %d changes came to subscribers", got, want)
	}
	return row, err
}

func (b *followedBench) measure(ctx context.Context, state string) (row report.Latency, err error) {
	if _, err := b.both(ctx, time.Second); err != nil {
		return row, err
	}
	before, err := process.CPUOf(b.server.PID)
	if err != nil {
		return row, err
	}
	t, err := b.both(ctx, b.duration)
	if err != nil {
		return row, err
	}
	after, err := process.CPUOf(b.server.PID)
	row = report.Latency{Case: "check", Loop: "open", State: state, Numbers: b.numbers}
	row.SetTimes(t.hist, t.took)
	b.space.say("%s: p50 %.0f µs, p99 %.0f µs, %.2f cores of the server", state, row.P50, row.P99, (after-before).Seconds()/t.took.Seconds())
	return row, err
}

// both makes checks while it records.
func (b *followedBench) both(ctx context.Context, length time.Duration) (*times, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	recorded := make(chan error, 1)
	go func() {
		defer stop()
		recorded <- b.record(ctx, length)
	}()
	t := open(b.checks, b.check)(ctx)
	return t, errors.Join(t.failed(), <-recorded)
}

func (b *followedBench) record(ctx context.Context, length time.Duration) error {
	if b.optOuts == 0 {
		return sleep(ctx, length)
	}
	const recorders = 64
	_, err := paced(ctx, b.optOuts, recorders, length, func(int) error {
		number := fmt.Sprintf("+1415555%04d", b.next.Add(1)%groupSize)
		_, err := b.caller.RecordOptOut(ctx, client.OptOut{Number: number, Scope: baseScope})
		return err
	})
	return err
}

func (b *followedBench) check(ctx context.Context) error {
	p := b.pool.take(1)[0]
	r, err := b.caller.Check(ctx, p.e164())
	if err != nil {
		return err
	}
	return p.hold(r.Verdict == client.Block, r.Verdict == client.Allow)
}
