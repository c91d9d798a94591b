package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/report"
)

// basesBench shows that every calling base ends with what the server holds.
type basesBench struct {
	rate      int
	recorders int
	duration  time.Duration
	numbers   int
	idle      time.Duration
	seed      uint64
	data      string
	json      bool

	space *workspace
}

func basesCommand() *cobra.Command {
	var b basesBench
	cmd := &cobra.Command{
		Use:   "bases",
		Short: "Hold four calling bases against the server: two by stream, one by files, one dead",
		Long: `Hold four calling bases against the server: two by stream, one by files, one dead.

Opt-outs, some of which end, and withdrawals are recorded at a rate. Meanwhile 1 % of a list
changes, and another list is deleted. One base is the file of a dnc follow, one is
kept by the Go client in memory, one takes the files of dnc feed, and one has taken a
snapshot and is not heard of again.

It fails when one of the three holds other rows than a whole feed has at the position that it holds, or the feed has
others than were recorded; when one does not reach lag 0; when the dead one does not stand
first in dnc subscriber ls, with the right age and count; when the report does not add up; when a number that left the
list and is opted out is not blocked everywhere; or when the server writes while nothing
happens.`,
		Example: `  go run . bases
  go run . bases --duration 2s --numbers 20000 --idle 1s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.rate, "rate", 1000, "writes a second")
	f.IntVar(&b.recorders, "recorders", 64, "how many calls may be under way")
	f.DurationVar(&b.duration, "duration", time.Minute, "how long they are made")
	f.IntVar(&b.numbers, "numbers", 1_000_000, "on the list that changes; the one that is deleted has a tenth")
	f.DurationVar(&b.idle, "idle", time.Minute, "how long nothing happens at the end")
	f.Uint64Var(&b.seed, "seed", 1, "where the random numbers start")
	f.StringVar(&b.data, "data", "", "directory on the disk to use (default: the system's for temporary files)")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *basesBench) run(ctx context.Context, out, log io.Writer) (err error) {
	const fewest = 10 * (changingGroup - 1)
	if min(b.rate, b.recorders) < 1 || b.numbers < fewest || min(b.duration, b.idle) <= 0 {
		return fmt.Errorf("--rate, --recorders, --duration and --idle: above 0; --numbers: at least %d", fewest)
	}
	if b.space, err = newWorkspace(ctx, b.data, log); err != nil {
		return err
	}
	defer b.space.remove()
	s, err := b.open(ctx)
	if err != nil {
		return err
	}
	row, err := s.show(ctx)
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, row))
	}
	return report.BasesTable(out, []report.Bases{row})
}

// show has everything happen, and then compares.
func (s *basesSite) show(ctx context.Context) (row report.Bases, err error) {
	if err := s.begin(ctx); err != nil {
		return row, fmt.Errorf("begin to follow: %w", err)
	}
	s.bench.space.say("all follow: recording for %v", s.bench.duration)
	began := time.Now()
	if err := s.happen(ctx); err != nil {
		return row, err
	}
	ended := time.Now()
	row.Seconds = ended.Sub(began).Seconds()
	if err := s.settle(ctx); err != nil {
		return row, err
	}
	row.SettleSeconds = time.Since(ended).Seconds()
	s.bench.space.say("all but the dead one have lag 0 after %.1f s: comparing", row.SettleSeconds)
	for _, hold := range []func(context.Context, *report.Bases) error{s.holdRows, s.holdBlocked, s.holdDead, s.holdReport, s.holdIdle} {
		if err := hold(ctx, &row); err != nil {
			return row, err
		}
	}
	return row, nil
}
