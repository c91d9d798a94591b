package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/policydoc"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// policyBench measures what a policy adds to checks.
type policyBench struct {
	fill     policyFill
	probes   int
	runs     int
	duration time.Duration
	callers  int
	batches  []int
	hour     int
	data     string
	json     bool

	space  *workspace
	dirs   [2]string // of the server without a policy, and of the one with the presets
	pool   *probePool
	offset time.Duration // of the servers' clocks
}

func policyCommand() *cobra.Command {
	var b policyBench
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Measure the processor time that a policy adds to checks",
		Long: `Measure the processor time that a policy adds to checks.

Two servers hold the same lists, opt-outs and consents, of numbers of the US, CA, GB, FR
and DE. One of them has the presets of these countries applied. The same checks are made
of both, in turns: one a call, and batches. Each run starts both servers again. A ratio
is that of the server's processor time (user and system) a number in one run; the table
has the median of the runs, and the lowest and the highest.

Most of the numbers may be called under the presets too, so that both give much the same answers. Answers that are not
ALLOW are longer, and closed hours take longer to decide: --hour 3 measures that.`,
		Example: `  go run . policy
  go run . policy --json --runs 11 --hour 3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.fill.listed, "numbers", 1_000_000, "how many numbers the lists hold together")
	f.IntVar(&b.fill.optOuts, "opt-outs", 100_000, "how many numbers are opted out")
	f.IntVar(&b.fill.consents, "consents", 100_000, "how many numbers have a consent")
	f.IntVar(&b.probes, "probes", 1<<18, "how many numbers to check are drawn, before they come again")
	f.IntVar(&b.runs, "runs", 11, "pairs of measurements of each case")
	f.DurationVar(&b.duration, "duration", 2*time.Second, "of a measurement")
	f.IntVar(&b.callers, "callers", 64, "of a number a call; 4 make batches")
	f.IntSliceVar(&b.batches, "batch", []int{100, 1000}, "numbers of a batch")
	f.IntVar(&b.hour, "hour", 18, "hour of the day, in UTC, that the servers' clocks show at the start, on a weekday")
	f.StringVar(&b.data, "data", "", "directory on the disk to use (default: the system's for temporary files)")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *policyBench) run(ctx context.Context, out, log io.Writer) (err error) {
	if min(b.runs, b.callers, slices.Min(b.batches)) < 1 || b.duration <= 0 {
		return errors.New("--runs, --callers, --batch and --duration: above 0")
	}
	if min(b.fill.listed, b.fill.optOuts, b.fill.consents) < len(markets) {
		return fmt.Errorf("--numbers, --opt-outs and --consents: at least %d", len(markets))
	}
	if b.probes < slices.Max(b.batches) || b.hour < 0 || b.hour > 23 {
		return errors.New("--probes: at least a batch; --hour: 0 to 23")
	}
	if b.space, err = newDirectory(b.data, log); err != nil {
		return err
	}
	defer b.space.remove()
	b.offset = untilHour(time.Now().UTC(), b.hour)
	if err := b.prepare(ctx); err != nil {
		return err
	}
	cases := b.cases()
	for run := range b.runs {
		b.space.say("run %d of %d", run+1, b.runs)
		if err := b.pair(ctx, run, cases); err != nil {
			return err
		}
	}
	rows := make([]report.Policy, len(cases))
	for i := range cases {
		rows[i] = report.PolicyOf(cases[i].without, cases[i].with)
	}
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...))
	}
	return report.PolicyTable(out, rows)
}

// untilHour is how long it is to the next time that it is this hour on a weekday.
func untilHour(now time.Time, hour int) time.Duration {
	at := now.Truncate(24 * time.Hour).Add(time.Duration(hour) * time.Hour)
	for at.Before(now) || at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		at = at.AddDate(0, 0, 1)
	}
	return at.Sub(now)
}

// prepare fills a server, and makes a copy of it to which the presets are applied.
func (b *policyBench) prepare(ctx context.Context) error {
	for i, name := range []string{"without", "presets"} {
		b.dirs[i] = filepath.Join(b.space.dir, name)
	}
	if err := os.Mkdir(b.dirs[0], 0o755); err != nil {
		return err
	}
	b.fill.date = time.Now().Add(b.offset)
	b.fill.space = b.space
	b.pool = &probePool{probes: b.fill.probes(b.probes)}
	if err := b.onServer(ctx, b.dirs[0], b.fill.into); err != nil {
		return err
	}
	if err := os.CopyFS(b.dirs[1], os.DirFS(b.dirs[0])); err != nil {
		return err
	}
	return b.onServer(ctx, b.dirs[1], func(ctx context.Context, c *client.Client) error {
		document, err := policydoc.Preset(marketCodes()...)
		if err != nil {
			return err
		}
		_, err = c.SetPolicy(ctx, string(document), client.SetPolicyOptions{Force: true})
		return err
	})
}

// onServer starts a server on a directory, and stops it when do has ended.
func (b *policyBench) onServer(ctx context.Context, dir string, do func(context.Context, *client.Client) error) error {
	server, err := b.start(ctx, dir)
	if err != nil {
		return err
	}
	defer server.Kill()
	c, err := client.New(server.Addr, client.WithUser("bench"), client.WithTimeout(time.Minute))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := do(ctx, c); err != nil {
		return err
	}
	_, err = server.Stop()
	return err
}

func (b *policyBench) start(ctx context.Context, dir string) (*daemon.Server, error) {
	return daemon.StartSelf(ctx, dir, "--clock-offset", b.offset.String())
}

// sayAnswers says how many of each verdict a server gives.
func (b *policyBench) sayAnswers(ctx context.Context, s stubs, state string) error {
	count, request := map[string]int{}, &dncv1.CheckNumbersRequest{Scope: policyScope, VerdictsOnly: true}
	for chunk := range slices.Chunk(b.pool.probes[:min(len(b.pool.probes), 50_000)], 5000) {
		request.E164 = request.E164[:0]
		for _, p := range chunk {
			request.E164 = append(request.E164, p.digits())
		}
		answer, err := s.checks(0).CheckNumbers(ctx, request)
		if err != nil {
			return err
		}
		for _, v := range answer.GetVerdicts() {
			count[strings.TrimPrefix(v.String(), "VERDICT_")]++
		}
	}
	b.space.say("%s: %v", state, count)
	return nil
}

// policyCase is one way to check, with what a number cost in each run.
type policyCase struct {
	target        func(stubs) target
	callers       int
	without, with []report.Check
}

func (b *policyBench) cases() []policyCase {
	all := []policyCase{{target: stubs.unaryAny, callers: b.callers}}
	for _, size := range b.batches {
		all = append(all, policyCase{target: func(s stubs) target { return s.batchAny(size) }, callers: 4})
	}
	return all
}

// pair measures each case once on both servers, in alternating order.
func (b *policyBench) pair(ctx context.Context, run int, cases []policyCase) error {
	var sides [2]policySide
	defer sides[0].end()
	defer sides[1].end()
	for i, dir := range b.dirs {
		if err := sides[i].begin(ctx, b, dir); err != nil {
			return err
		}
		if run == 0 {
			if err := b.sayAnswers(ctx, sides[i].dialed, filepath.Base(dir)); err != nil {
				return err
			}
		}
	}
	for n := range cases {
		c := &cases[n]
		for turn := range 2 {
			which := (run + n + turn) % 2
			row, err := b.measure(ctx, c, &sides[which])
			if err != nil {
				return fmt.Errorf("%s of %d: %w", row.Case, row.Size, err)
			}
			if which == 0 {
				c.without = append(c.without, row)
			} else {
				c.with = append(c.with, row)
			}
		}
	}
	return nil
}

func (b *policyBench) measure(ctx context.Context, c *policyCase, side *policySide) (report.Check, error) {
	l := line{target: c.target(side.dialed), pid: side.server.PID}
	l.row = report.Check{Case: l.target.name, Loop: report.LoopClosed, Size: l.target.size, Callers: c.callers, Numbers: b.fill.listed}
	return l.once(ctx, b.pool, b.duration)
}

// policySide is one of the two servers, while it runs.
type policySide struct {
	server *daemon.Server
	dialed stubs
}

func (p *policySide) begin(ctx context.Context, b *policyBench, dir string) (err error) {
	if p.server, err = b.start(ctx, dir); err != nil {
		return err
	}
	p.dialed, err = dialStubs(p.server.Addr, connections)
	return err
}

// end ends the server, if it was begun.
func (p *policySide) end() {
	if p.server != nil {
		p.dialed.close()
		p.server.Kill()
	}
}
