package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dncd/dncd/bench/internal/report"
)

// overloadBench offers a server more checks than it can answer.
type overloadBench struct {
	list        listServer
	capacity    int
	times       []float64
	duration    time.Duration
	runs        int
	callers     int
	connections int
	deadline    time.Duration
	json        bool
}

func overloadCommand() *cobra.Command {
	var b overloadBench
	cmd := &cobra.Command{
		Use:   "overload",
		Short: "Measure what a server answers that is offered more than it can",
		Long: `Measure what a server answers that is offered more than it can.

A slow clock limits the server's capacity, so that this machine can offer a multiple of
it. Checks are due at random times that are fixed before, whatever becomes of them. Each
has a deadline, and its caller does not try again. Goodput is what is answered in time.`,
		Example: `  go run . overload
  go run . overload --json --times 1,1.5,2,3,4,5 > results/overload.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	b.list.addFlags(f)
	f.IntVar(&b.capacity, "capacity", 5000, "checks a second that the server is limited to")
	f.Float64SliceVar(&b.times, "times", []float64{1, 2, 3, 4, 5}, "multiples of it to offer")
	f.DurationVar(&b.duration, "duration", 5*time.Second, "of a multiple in one run; a fifth before it does not count")
	f.IntVar(&b.runs, "runs", 5, "how many runs to take the median of")
	f.IntVar(&b.callers, "callers", 2048, "how many checks may be under way")
	f.IntVar(&b.connections, "connections", 8, "over which they go")
	f.DurationVar(&b.deadline, "deadline", time.Second, "of a check")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *overloadBench) run(ctx context.Context, out, log io.Writer) error {
	if min(b.capacity, b.runs, b.callers, b.connections, len(b.times)) < 1 || b.duration <= 0 || b.deadline <= 0 {
		return errors.New("--capacity, --times, --duration, --runs, --callers, --connections and --deadline: at least 1")
	}
	if !(slices.Min(b.times) > 0) {
		return errors.New("--times: above 0")
	}
	b.list.options = []string{"--capacity", fmt.Sprint(b.capacity)}
	if err := b.list.open(ctx, log); err != nil {
		return err
	}
	defer b.list.close()
	const listed = 0.1
	probes, err := b.list.probes(ctx, listed, false)
	if err != nil {
		return err
	}
	s, err := dialStubs(b.list.server.Addr, b.connections)
	if err != nil {
		return err
	}
	defer s.close()
	c := callers{size: 1, pool: probes}
	unary := s.unary()
	for i := range b.callers {
		ask, err := unary.asker(ctx, i)
		if err != nil {
			return err
		}
		c.askers = append(c.askers, b.once(ask))
	}
	rows, err := b.measure(ctx, c)
	if err != nil {
		return err
	}
	return b.print(out, rows)
}

// once asks with a deadline, and tells refusals from answers.
func (b *overloadBench) once(ask asker) asker {
	return func(ctx context.Context, probes []probe) error {
		ctx, cancel := context.WithTimeout(ctx, b.deadline)
		defer cancel()
		err := ask(ctx, probes)
		switch status.Code(err) {
		case codes.ResourceExhausted:
			return errRefused
		case codes.DeadlineExceeded:
			return errExpired
		}
		return err
	}
}

// measure lets the multiples take turns, begins with another one each time, and returns the medians.
func (b *overloadBench) measure(ctx context.Context, c callers) ([]report.Overload, error) {
	runs := make([][]report.Overload, len(b.times))
	for run := range b.runs {
		for i := range b.times {
			i = (i + run) % len(b.times)
			row := report.Overload{Case: report.CaseOverload, Capacity: float64(b.capacity), Times: b.times[i]}
			row.Offered = row.Capacity * row.Times
			if _, warm := c.open(ctx, row.Offered, b.duration/5); warm.failed() != nil {
				return nil, warm.failed()
			}
			o, found := c.open(ctx, row.Offered, b.duration)
			if err := errors.Join(found.failed(), ctx.Err()); err != nil {
				return nil, err
			}
			row.SetTimes(found.hist, found.took)
			row.Refused = float64(o.refused.Load()) / found.took.Seconds()
			row.Expired = float64(o.expired.Load()) / found.took.Seconds()
			b.list.space.say("run %d of %d: %.0f offered, %.0f answered a second, p99 %.0f µs", run+1, b.runs, row.Offered, row.Goodput, row.P99)
			runs[i] = append(runs[i], row)
		}
	}
	rows := make([]report.Overload, len(runs))
	for i := range runs {
		rows[i] = report.MedianOverload(runs[i])
	}
	return rows, nil
}

func (b *overloadBench) print(out io.Writer, rows []report.Overload) error {
	ratios := report.OverloadRatios(rows)
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...), report.JSON(out, ratios...))
	}
	return errors.Join(report.OverloadTable(out, rows), report.RatioTable(out, ratios))
}
