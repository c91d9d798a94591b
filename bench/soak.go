package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
)

// soakBench loads a server for long.
type soakBench struct {
	list     listServer
	listed   float64
	duration time.Duration
	every    time.Duration // a stretch
	share    float64       // of capacity
	rate     float64       // checks a second; 0: share of what is measured
	callers  int
	optOuts  int           // a second
	replace  time.Duration // between two loads
	age      time.Duration // of connections
	json     bool

	recorded, loaded atomic.Int64
	mu               sync.Mutex
	failures         int64 // beside the checks, in this stretch
	firstFailure     error // of all
}

func soakCommand() *cobra.Command {
	var b soakBench
	cmd := &cobra.Command{
		Use:   "soak --duration D",
		Short: "Measure errors, memory and latency over time, under a steady load",
		Long: `Measure errors, memory and latency over time, under a steady load.

What the server can do is measured first, by the Go client; then checks are due at a
share of it, at random times fixed before, while opt-outs are recorded, the list is
replaced periodically by one with other numbers in half of the exchanges, and
connections are renewed. The numbers checked are of the other exchanges, so that each
answer is known. An error of any kind makes the command fail at the end, a wrong
answer immediately.`,
		Example: `  go run . soak --duration 10m
  go run . soak --json --duration 10m --numbers 10000000 > results/soak.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	b.list.addFlags(f)
	f.Float64Var(&b.listed, "listed", 0.1, "share of the checked numbers that are on the list, 0 to 1")
	f.DurationVar(&b.duration, "duration", 10*time.Minute, "of the load")
	f.DurationVar(&b.every, "every", 5*time.Second, "length of a row's stretch")
	f.Float64Var(&b.share, "share", 0.7, "of the measured capacity to offer")
	f.Float64Var(&b.rate, "rate", 0, "checks a second to offer instead")
	f.IntVar(&b.callers, "callers", 256, "how many checks may be under way")
	f.IntVar(&b.optOuts, "optouts", 20, "opt-outs a second")
	f.DurationVar(&b.replace, "replace", 2*time.Minute, "from the begin of a load of the list to the next")
	f.DurationVar(&b.age, "connection-age", time.Minute, "after which the server asks clients to reconnect")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *soakBench) run(ctx context.Context, out, log io.Writer) error {
	if min(b.callers, b.optOuts) < 1 || min(b.duration, b.every, b.replace, b.age) <= 0 || b.rate < 0 || !(b.share > 0) {
		return errors.New("--callers, --optouts, --duration, --every, --replace, --connection-age and --share: above 0")
	}
	if !(b.listed >= 0 && b.listed <= 1) {
		return errors.New("--listed: from 0 to 1")
	}
	b.list.options = []string{"--connection-age", b.age.String()}
	if err := b.list.open(ctx, log); err != nil {
		return err
	}
	defer b.list.close()
	probes, err := b.list.probes(ctx, b.listed, true)
	if err != nil {
		return err
	}
	c := callers{size: 1, pool: probes}
	check := viaClient(report.CaseClient, b.list.client)
	for i := range b.callers {
		ask, err := check.asker(ctx, i)
		if err != nil {
			return err
		}
		c.askers = append(c.askers, b.counted(ask))
	}
	rows, err := b.soak(ctx, c)
	if len(rows) == 0 {
		return err
	}
	total := report.SoakTotal(rows)
	err = errors.Join(err, b.print(out, append(rows, total)))
	if total.Errors > 0 {
		err = errors.Join(err, fmt.Errorf("%d errors, the first: %s", total.Errors, total.FirstError))
	}
	return err
}

// counted lets errors be counted, but for wrong answers.
func (b *soakBench) counted(ask asker) asker {
	return func(ctx context.Context, probes []probe) error {
		err := ask(ctx, probes)
		if err == nil || errors.Is(err, errNotBlocked) || errors.Is(err, errNotAllowed) {
			return err
		}
		b.note(err, 0)
		return errFailed
	}
}

// note keeps the first failure and counts so many in this stretch.
func (b *soakBench) note(err error, count int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures += count
	if b.firstFailure == nil {
		b.firstFailure = err
	}
}

// soak measures the capacity and returns the stretches.
func (b *soakBench) soak(ctx context.Context, c callers) ([]report.Soak, error) {
	capacity, err := b.measureCapacity(ctx, c)
	if err != nil {
		return nil, err
	}
	offered := b.rate
	if offered == 0 {
		offered = capacity * b.share
	}
	b.list.space.say("it checks %.0f a second: offering %.0f", capacity, offered)
	beside, stop := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer stop()
	others.Go(func() { b.recordOptOuts(beside) })
	others.Go(func() { b.replaceList(beside) })

	var rows []report.Soak
	for start := time.Now(); time.Since(start) < b.duration && ctx.Err() == nil; {
		row := report.Soak{Case: report.CaseSoak, Capacity: capacity, Offered: offered}
		err := b.stretch(ctx, c, &row)
		row.At = time.Since(start).Seconds()
		if err != nil {
			return rows, err
		}
		b.list.space.say("%.0f s: %.0f checks/s, p99 %.0f µs, %d errors, %.0f MB", row.At, row.Rate, row.P99, row.Errors, row.ServerAnon/1e6)
		rows = append(rows, row)
	}
	return rows, ctx.Err()
}

// measureCapacity lets a quarter of the callers ask as fast as they are answered.
func (b *soakBench) measureCapacity(ctx context.Context, c callers) (float64, error) {
	c.askers = c.askers[:(len(c.askers)+3)/4]
	if _, warm := c.closed(ctx, b.every/5); warm.failed() != nil {
		return 0, warm.failed()
	}
	o, found := c.closed(ctx, b.every)
	if o.failed.Load() > 0 {
		return 0, b.firstFailure
	}
	return float64(found.hist.TotalCount()) / found.took.Seconds(), found.failed()
}

// stretch is one row.
func (b *soakBench) stretch(ctx context.Context, c callers, row *report.Soak) error {
	o, found := c.open(ctx, row.Offered, b.every)
	if err := found.failed(); err != nil {
		return err
	}
	memory, err := process.MemoryOf(b.list.server.PID)
	row.SetTimes(found.hist, found.took)
	row.OptOuts, row.Loads = b.recorded.Load(), b.loaded.Load()
	row.ServerRSS, row.ServerAnon = memory.RSS, memory.Anon
	b.mu.Lock()
	defer b.mu.Unlock()
	row.Errors = o.failed.Load() + b.failures
	if b.failures = 0; row.Errors > 0 {
		row.FirstError = b.firstFailure.Error()
	}
	return err
}

// recordOptOuts records numbers that no check asks about: of the exchanges that turn.
func (b *soakBench) recordOptOuts(ctx context.Context) {
	c := b.list.client
	record := func(ctx context.Context) error {
		s := b.list.drawn.shares[rand.IntN(len(b.list.drawn.shares))]
		group := rand.IntN(len(s.groups))
		for !isOdd(s.groups[group]) {
			group = rand.IntN(len(s.groups))
		}
		number := probe(s.firstOf(group) + rand.Uint64N(groupSize)).e164()
		_, err := c.RecordOptOut(ctx, client.OptOut{Number: number, Channel: client.ChannelCall, Desk: "bench"})
		if err == nil {
			b.recorded.Add(1)
		} else if ctx.Err() == nil {
			b.note(fmt.Errorf("opt-out: %w", err), 1)
		}
		return nil
	}
	open(b.optOuts, record)(ctx)
}

// replaceList loads the list with half of its exchanges turned, then as it was, and so on.
func (b *soakBench) replaceList(ctx context.Context) {
	next := b.list.drawn
	tick := time.NewTicker(b.replace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		next.turned = !next.turned
		err := b.list.load(ctx, next)
		switch {
		case err == nil:
			b.loaded.Add(1)
		case ctx.Err() == nil:
			b.note(fmt.Errorf("load: %w", err), 1)
		}
	}
}

func (b *soakBench) print(out io.Writer, rows []report.Soak) error {
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...))
	}
	return report.SoakTable(out, rows)
}
