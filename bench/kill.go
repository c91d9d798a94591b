package main

import (
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
	"github.com/dncd/dncd/bench/internal/report"
)

// Victims of a campaign.
const (
	victimServer = "server"
	victimClient = "client"
)

// killBench kills one side of a load, over and over.
type killBench struct {
	rounds  int
	numbers int
	order   string
	seed    uint64
	data    string
	json    bool

	space *workspace
}

func killCommand() *cobra.Command {
	var b killBench
	cmd := &cobra.Command{
		Use:   "kill --rounds R --numbers N",
		Short: "Kill the server, and the client, at every moment of a load",
		Long: `Kill the server, and the client, at every moment of a load.

Two campaigns with the real dncd and dnc. In each round dnc import replaces the
list by other numbers, and in the middle kill -9 ends the server, which starts
again on its directory, or dnc, which is run again. The moments are spread evenly
over the time of a load that nobody breaks.

All the while checks are made and numbers opted out. It fails when a number that
the old list and the new one hold, or one that is opted out, is not blocked; when
checks see neither the whole old list nor the whole new one, or an older one than
before; when the export after a round is not the file's content; when a load does
not add up or counts twice; or when dncd fsck finds something in the end.`,
		Example: `  go run . kill --rounds 50 --numbers 2000000
  go run . kill --json --rounds 50 --numbers 10000000 --order shuffled --seed 7`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.rounds, "rounds", 50, "of each campaign")
	f.IntVar(&b.numbers, "numbers", 2_000_000, "how many numbers a load has")
	f.StringVar(&b.order, "order", sorted, "of the numbers: sorted or shuffled")
	f.Uint64Var(&b.seed, "seed", uint64(time.Now().Unix()), "where the random numbers start")
	f.StringVar(&b.data, "data", "", "directory on the disk to use (default: the system's for temporary files)")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *killBench) run(ctx context.Context, out, log io.Writer) (err error) {
	if b.rounds < 1 {
		return errors.New("--rounds: at least 1")
	}
	if _, err := newContent(b.numbers, b.seed); err != nil {
		return err
	}
	if b.space, err = newWorkspace(ctx, b.data, log); err != nil {
		return err
	}
	defer b.space.remove()
	b.space.say("--seed %d", b.seed)
	var rows []report.Kill
	for _, victim := range []string{victimServer, victimClient} {
		row, err := b.campaign(ctx, victim)
		if err != nil {
			return fmt.Errorf("kill the %s, --seed %d: %w", victim, b.seed, err)
		}
		rows = append(rows, row)
	}
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...))
	}
	return report.KillTable(out, rows, phases())
}

func phases() []string {
	return []string{daemon.Before, daemon.Sending, daemon.Comparing, daemon.Writing, daemon.Switching, daemon.After}
}

// campaign is all rounds with one victim, on a store of its own.
func (b *killBench) campaign(ctx context.Context, victim string) (report.Kill, error) {
	row := report.Kill{Case: report.CaseKill, Victim: victim, Numbers: b.numbers, Order: b.order, Seed: b.seed, Rounds: b.rounds, Phases: map[string]int{}}
	start := time.Now()
	site, err := b.open(ctx)
	if err != nil {
		return row, err
	}
	defer site.close()
	rnd := rand.New(rand.NewPCG(b.seed, 0))
	load, err := b.undisturbed(ctx, site, rnd)
	if err != nil {
		return row, err
	}
	row.LoadSeconds = load.Seconds()
	for i, place := range rnd.Perm(b.rounds) {
		r := round{site: site, row: &row, victim: victim, rnd: rnd, patience: 2*time.Minute + 100*load}
		r.at = time.Duration((float64(place) + rnd.Float64()) / float64(b.rounds) * float64(load))
		if err := r.run(ctx); err != nil {
			return row, fmt.Errorf("round %d of %d, killed after %v: %w", i+1, b.rounds, r.at, err)
		}
	}
	row.OptOuts = site.optOuts.count()
	err = site.fsck(ctx)
	row.Seconds = time.Since(start).Seconds()
	return row, err
}

// open makes a store with a list.
func (b *killBench) open(ctx context.Context) (*site, error) {
	dir, err := b.space.empty()
	if err != nil {
		return nil, err
	}
	s := &site{bench: b, dir: dir, optOuts: &optOuts{codes: areaCodes()}}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if _, err := createList(ctx, s.client); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// undisturbed loads twice and returns how long the second load took, which
// replaces numbers beside checks as those of the rounds do.
func (b *killBench) undisturbed(ctx context.Context, s *site, rnd *rand.Rand) (time.Duration, error) {
	files, err := s.nextFiles(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := b.space.importFiles(ctx, s.proxy.Addr, files, b.numbers); err != nil {
		return 0, err
	}
	if files, err = s.nextFiles(ctx); err != nil {
		return 0, err
	}
	w := startWatch(ctx, s.client, compareContents(s.before, s.content, rnd), s.optOuts, rnd)
	i, err := b.space.importFiles(ctx, s.proxy.Addr, files, b.numbers)
	if err := errors.Join(w.end(ctx), err, s.verify(ctx)); err != nil {
		return 0, fmt.Errorf("a load that nobody broke: %w", err)
	}
	b.space.say("beside checks, a load of %d numbers takes %.2f s", b.numbers, i.Took.Seconds())
	return i.Took, nil
}

// nextFiles makes the files of the next content and removes those of the one before.
func (s *site) nextFiles(ctx context.Context) ([]string, error) {
	b := s.bench
	const name = "content"
	if err := os.RemoveAll(filepath.Join(b.space.dir, name)); err != nil {
		return nil, err
	}
	s.loads++
	s.before = s.content
	var err error
	if s.content, err = newContent(b.numbers, b.seed+uint64(s.loads)); err != nil {
		return nil, err
	}
	return b.space.quietFiles(ctx, name, b.numbers, b.order, s.content.seed)
}
