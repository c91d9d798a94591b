package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/peer"
	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/bench/internal/report"
)

// checkBench measures checks in every way there is to ask.
type checkBench struct {
	list     listServer
	listed   float64
	duration time.Duration
	runs     int
	peers    string
	cases    []string
	callers  []int
	many     []int // callers of many numbers a call
	batch    int
	message  int
	rates    []float64
	json     bool

	lines []line
}

// line is one row to be: a target under one load.
type line struct {
	target target
	row    report.Check
	pid    int // of the process that answers
	runs   []report.Check
}

func checkCommand() *cobra.Command {
	var b checkBench
	cmd := &cobra.Command{
		Use:   "check --numbers N --listed SHARE",
		Short: "Measure checks: one a call, shared streams, batches, and beside them Redis",
		Long: `Measure checks: one a call, shared streams, batches, and beside them Redis.

A dncd that is a process of its own loads numbers; random numbers of the same area
codes, a share of them listed, are checked, and each answer is compared with what is
known: a wrong one ends the run. The cases take turns, each --duration long, all
of them --runs times, beginning with another one each time; a row is the median.

Without --rate each caller asks again once it is answered. With --rate calls are due at
random times that are fixed beforehand, that many numbers a second, answered or not,
and each is timed from when it was due; --callers is then how many may be in flight.`,
		Example: `  go run . check --numbers 10000000 --listed 0.01
  go run . check --json --numbers 10000000 --listed 0.5 --cases unary,client --peers rueidis --rate 10000,50000
  go run . check --json --numbers 100000000 --listed 0.5 --cases batch --peers none --block-cache 1GiB`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	b.list.addFlags(f)
	f.Float64Var(&b.listed, "listed", 0.01, "share of the checked numbers that are on the list, 0 to 1")
	f.DurationVar(&b.duration, "duration", 2*time.Second, "of a case in one run")
	f.IntVar(&b.runs, "runs", 5, "how many runs to take the median of")
	f.StringVar(&b.peers, "peers", "redis,rueidis", "what to ask beside it: redis, rueidis; or none")
	f.StringSliceVar(&b.cases, "cases", nil, "only these of the cases (default: all)")
	f.IntSliceVar(&b.callers, "callers", nil, "of a number a call (default 1,64,256,1024; with --rate 1024)")
	f.IntSliceVar(&b.many, "batch-callers", []int{4}, "of many numbers a call")
	f.IntVar(&b.batch, "batch", 1000, "numbers of a batch and of SMISMEMBER")
	f.IntVar(&b.message, "message", 100, "checks of a message of a stream")
	f.Float64SliceVar(&b.rates, "rate", nil, "numbers a second that are due, answered or not")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *checkBench) check() error {
	if b.callers == nil {
		b.callers = []int{1, 64, 256, 1024}
		if len(b.rates) > 0 {
			b.callers = b.callers[3:]
		}
	}
	counts := slices.Concat(b.callers, b.many, []int{b.runs, b.batch, b.message, len(b.callers), len(b.many)})
	if slices.Min(counts) < 1 || b.duration <= 0 {
		return errors.New("--runs, --callers, --batch-callers, --batch, --message and --duration: at least 1")
	}
	if !(b.listed >= 0 && b.listed <= 1) {
		return errors.New("--listed: from 0 to 1")
	}
	if len(b.rates) > 0 && !(slices.Min(b.rates) > 0) {
		return errors.New("--rate: above 0")
	}
	for _, p := range b.chosenPeers() {
		if p != "redis" && p != "rueidis" {
			return fmt.Errorf("--peers: unknown %q: use redis, rueidis or none", p)
		}
	}
	return nil
}

func (b *checkBench) chosenPeers() []string {
	if b.peers == "none" || b.peers == "" {
		return nil
	}
	return strings.Split(b.peers, ",")
}

func (b *checkBench) run(ctx context.Context, out, log io.Writer) error {
	if err := b.check(); err != nil {
		return err
	}
	if err := b.list.open(ctx, log); err != nil {
		return err
	}
	defer b.list.close()
	s, err := dialStubs(b.list.server.Addr, connections)
	if err != nil {
		return err
	}
	defer s.close()
	one := []target{s.empty(), s.unary(), viaClient(report.CaseClient, b.list.client)}
	b.add(one, b.list.server.PID, b.callers)
	b.add([]target{s.batch(b.batch), s.stream(b.message)}, b.list.server.PID, b.many)
	end, err := b.addRedis(ctx)
	if err != nil {
		return err
	}
	defer end()
	if len(b.lines) == 0 {
		return errors.New("--cases: none of the cases that there are")
	}
	rows, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return b.print(out, rows)
}

// add adds the lines of targets that were chosen.
func (b *checkBench) add(targets []target, pid int, callers []int) {
	for _, s := range targets {
		if len(b.cases) > 0 && !slices.Contains(b.cases, s.name) {
			continue
		}
		row := report.Check{Case: s.name, Loop: report.LoopClosed, Size: s.size, Numbers: b.list.numbers, Listed: b.listed}
		for _, row.Callers = range callers {
			if len(b.rates) == 0 {
				b.lines = append(b.lines, line{target: s, row: row, pid: pid})
			}
			for _, rate := range b.rates {
				row.Loop, row.Offered = report.LoopOpen, rate
				b.lines = append(b.lines, line{target: s, row: row, pid: pid})
			}
		}
	}
}

// addRedis starts a redis-server that holds the same numbers, when one of its cases was chosen.
func (b *checkBench) addRedis(ctx context.Context) (end func(), err error) {
	chosen := b.chosenPeers()
	if len(b.cases) > 0 {
		chosen = slices.DeleteFunc(chosen, func(p string) bool {
			return !slices.ContainsFunc(b.cases, func(name string) bool { return strings.HasPrefix(name, p+"-") })
		})
	}
	if len(chosen) == 0 {
		return func() {}, nil
	}
	if why := peer.RedisMissing(); why != "" {
		b.list.space.say("%s left out: %s", strings.Join(chosen, ", "), why)
		return func() {}, nil
	}
	dir, err := os.MkdirTemp(b.list.space.dir, "redis")
	if err != nil {
		return nil, err
	}
	b.list.space.say("filling redis-server with %d numbers", b.list.numbers)
	set, err := peer.StartRedisSet(ctx, dir, peer.ReaderFunc(b.list.drawn.source().Next))
	if err != nil {
		return nil, err
	}
	single, pipelined, err := redisClients(set.Addr)
	if err != nil {
		set.End()
		return nil, err
	}
	if slices.Contains(chosen, "redis") {
		b.add([]target{redisOne(single, set.Key)}, set.PID, b.callers)
		b.add([]target{redisMany(single, set.Key, b.batch)}, set.PID, b.many)
	}
	if slices.Contains(chosen, "rueidis") {
		b.add([]target{rueidisOne(pipelined, set.Key)}, set.PID, b.callers)
	}
	return func() {
		_ = single.Close() // no answer is waited for
		pipelined.Close()
		set.End()
	}, nil
}

// measure lets all lines take turns, begins with another one each time, and returns the medians.
func (b *checkBench) measure(ctx context.Context) ([]report.Check, error) {
	probes, err := b.list.probes(ctx, b.listed, false)
	if err != nil {
		return nil, err
	}
	for run := range b.runs {
		for i := range b.lines {
			l := &b.lines[(i+run)%len(b.lines)]
			row, err := l.once(ctx, probes, b.duration)
			if err != nil {
				return nil, fmt.Errorf("%s, %d callers: %w", row.Case, row.Callers, err)
			}
			b.list.space.say("run %d of %d: %s, %d callers: %.0f numbers/s, p99 %.0f µs", run+1, b.runs, row.Case, row.Callers, row.Rate, row.P99)
			l.runs = append(l.runs, row)
		}
	}
	rows := make([]report.Check, len(b.lines))
	for i := range b.lines {
		rows[i] = report.MedianCheck(b.lines[i].runs)
	}
	return rows, nil
}

// once measures a line, after a tenth of the time that does not count.
func (l *line) once(ctx context.Context, probes *probePool, d time.Duration) (report.Check, error) {
	ctx, release := context.WithCancel(ctx)
	defer release()
	row, c := l.row, callers{size: l.target.size, pool: probes}
	for i := range row.Callers {
		a, err := l.target.asker(ctx, i)
		if err != nil {
			return row, err
		}
		c.askers = append(c.askers, a)
	}
	if _, warm := c.loop(ctx, row, d/10); warm.failed() != nil {
		return row, warm.failed()
	}
	spent, err := spentBy(os.Getpid(), l.pid)
	if err != nil {
		return row, err
	}
	_, found := c.loop(ctx, row, d)
	if err := errors.Join(found.failed(), ctx.Err()); err != nil {
		return row, err
	}
	row.SetTimes(found.hist, found.took)
	err = l.spent(&row, spent, float64(found.hist.TotalCount())*float64(row.Size))
	return row, err
}

// loop makes the calls of a row.
func (c callers) loop(ctx context.Context, row report.Check, d time.Duration) (*outcome, *times) {
	if row.Loop == report.LoopOpen {
		return c.open(ctx, row.Offered/float64(c.size), d)
	}
	return c.closed(ctx, d)
}

// spent fills in what a row cost: processor time since before, and memory.
func (l *line) spent(row *report.Check, before []time.Duration, numbers float64) error {
	after, err := spentBy(os.Getpid(), l.pid)
	if err != nil {
		return err
	}
	memory, err := process.MemoryOf(l.pid)
	row.ClientCPU = float64((after[0] - before[0]).Microseconds()) / numbers
	row.ServerCPU = float64((after[1] - before[1]).Microseconds()) / numbers
	row.ServerRSS, row.ServerAnon = memory.RSS, memory.Anon
	return err
}

// spentBy is the processor time that processes have taken.
func spentBy(pids ...int) ([]time.Duration, error) {
	spent := make([]time.Duration, len(pids))
	for i, pid := range pids {
		var err error
		if spent[i], err = process.CPUOf(pid); err != nil {
			return nil, err
		}
	}
	return spent, nil
}

func (b *checkBench) print(out io.Writer, rows []report.Check) error {
	ratios := report.CheckRatios(rows)
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...), report.JSON(out, ratios...))
	}
	return errors.Join(report.CheckTable(out, rows), report.RatioTable(out, ratios))
}
