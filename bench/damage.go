package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/damage"
	"github.com/dncd/dncd/bench/internal/report"
)

// damageBench harms the files of stores and looks at what dncd makes of it.
type damageBench struct {
	trials  int
	only    int // the trial to run alone; 0: all
	workers int
	optOuts int
	numbers int
	seed    uint64
	data    string
	keep    bool
	json    bool

	space *workspace
	truth *truth
	base  *followedBase

	created  map[string]uint64 // by list: the revision that created it
	consents consents
}

func damageCommand() *cobra.Command {
	var b damageBench
	cmd := &cobra.Command{
		Use:   "damage --trials N",
		Short: "Harm every file of a store, and look at what dncd makes of it",
		Long: `Harm every file of a store, and look at what dncd makes of it.

It makes a store with opt-outs, their stories, lists of several loads, a policy, consents and a calling base
that follows and acknowledges, with enough tables that the database's compactors work while it is open, and keeps an older copy,
a closed one and one that was killed. Each trial harms a copy: a file is deleted,
emptied, cut, lengthened, replaced by its older copy, or a bit of it is flipped. It
then starts dncd, checks every known number, stops it, and runs dncd fsck, --repair,
where that is refused --repair --accept-loss, fsck once more, and dncd once more.

It fails when a number that is opted out or listed, or lacks the consent that the policy wants, is ALLOW before --accept-loss, or
after it without that the loss was named; when a server that is READY does not hold
everything; when fsck changes a file; when a repair loses what could be read; when a
story or a consent is gone that nothing names; when the base loses a row, or a server that has
everything no longer knows what the base acknowledged; or when the second fsck is
not quiet.

Trials are all single harms to the closed store, then a sample of single harms to the
killed store, of pairs of harms, and of harms to a running server's files. The same
seed draws the same trials, though not the same bytes: stores differ from run to run.`,
		Example: `  go run . damage --trials 1000 --seed 1
  go run . damage --trials 1000 --seed 1 --only 217 --keep
  go run . damage --trials 30 --opt-outs 1000000 --numbers 20000000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.trials, "trials", 1000, "how many harms to try")
	f.IntVar(&b.only, "only", 0, "run only this trial")
	f.IntVar(&b.workers, "workers", 4, "how many trials run at the same time")
	f.IntVar(&b.optOuts, "opt-outs", 20_000, "of the store")
	f.IntVar(&b.numbers, "numbers", 300_000, "on its registry list")
	f.Uint64Var(&b.seed, "seed", 1, "where the random numbers start")
	f.StringVar(&b.data, "data", "", "directory on the disk to use (default: the system's for temporary files)")
	f.BoolVar(&b.keep, "keep", false, "keep the stores of trials that fail")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *damageBench) run(ctx context.Context, out, log io.Writer) (err error) {
	if min(b.trials, b.workers, b.optOuts, b.numbers) < 1 {
		return errors.New("--trials, --workers, --opt-outs and --numbers: at least 1")
	}
	if b.space, err = newWorkspace(ctx, b.data, log); err != nil {
		return err
	}
	if b.keep {
		defer b.space.say("what is left is in %s", b.space.dir)
	} else {
		defer b.space.remove()
	}
	start := time.Now()
	if b.truth, err = b.makeStores(ctx); err != nil {
		return fmt.Errorf("make the stores: %w", err)
	}
	trials, err := b.draw(rand.New(rand.NewPCG(b.seed, 0)))
	if err != nil {
		return err
	}
	b.space.say("the stores are made after %.0f s; %d trials, --seed %d", time.Since(start).Seconds(), len(trials), b.seed)
	err = b.tryAll(ctx, trials)
	return errors.Join(err, b.print(out, trials, time.Since(start)))
}

// draw chooses the trials: all single harms to the closed store come first, as far as
// there is room, and the rest is shared out.
func (b *damageBench) draw(rnd *rand.Rand) ([]*trial, error) {
	closed, err := damage.Harms(rnd, b.path(closedStore), b.path(olderStore), neverHarmed)
	if err != nil {
		return nil, err
	}
	killed, err := damage.Harms(rnd, b.path(killedStore), b.path(olderStore), neverHarmed)
	if err != nil {
		return nil, err
	}
	rnd.Shuffle(len(closed), func(i, j int) { closed[i], closed[j] = closed[j], closed[i] })
	rnd.Shuffle(len(killed), func(i, j int) { killed[i], killed[j] = killed[j], killed[i] })
	singles := min(len(closed), max(b.trials*2/5, b.trials-len(killed)))
	var all []*trial
	add := func(base string, harms ...damage.Harm) {
		place := len(all) + 1
		all = append(all, &trial{bench: b, place: place, base: base, running: len(harms) == 0, harms: harms, rnd: rand.New(rand.NewPCG(b.seed, uint64(place)))})
	}
	for _, h := range closed[:singles] {
		add(closedStore, h)
	}
	rest := b.trials - singles
	for i := range rest {
		switch {
		case i < rest*2/5:
			add(killedStore, killed[i%len(killed)])
		case i < rest*7/10:
			add(closedStore, closed[rnd.IntN(len(closed))], closed[rnd.IntN(len(closed))])
		default:
			add(killedStore) // it draws its harm when it runs
		}
	}
	return all, nil
}

// tryAll runs the trials side by side. A trial that finds a fault does not end the others.
func (b *damageBench) tryAll(ctx context.Context, trials []*trial) error {
	next := make(chan *trial)
	var working sync.WaitGroup
	for range b.workers {
		working.Go(func() {
			for t := range next {
				t.run(ctx)
				if ctx.Err() != nil { // it was broken off
					t.outcome = ""
					continue
				}
				for _, fault := range t.faults {
					b.space.say("trial %d, %v: %s", t.place, t, fault)
				}
			}
		})
	}
	for i, t := range trials {
		if b.only != 0 && t.place != b.only {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		next <- t
		if i > 0 && i%50 == 0 {
			b.space.say("%d of %d trials", i, len(trials))
		}
	}
	close(next)
	working.Wait()
	return ctx.Err()
}

func (b *damageBench) print(out io.Writer, trials []*trial, took time.Duration) error {
	rows := report.NewDamages()
	faults := 0
	for _, t := range trials {
		if t.outcome == "" {
			continue // it did not run, or not to its end
		}
		rows.Add(t.row())
		faults += len(t.faults)
	}
	var err error
	if b.json {
		err = errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows.All()...))
	} else {
		err = report.DamageTable(out, rows.All())
	}
	fmt.Fprintf(b.space.log, "%d faults in %.0f s\n", faults, took.Seconds())
	if faults > 0 {
		err = errors.Join(err, fmt.Errorf("--seed %d: %d faults", b.seed, faults))
	}
	return err
}

// neverHarmed are the files that hold nothing: the lock, and the room kept for a full disk.
func neverHarmed(file string) bool {
	return file == "LOCK" || file == "ballast" || isLockOfDatabase(file)
}

func isLockOfDatabase(file string) bool { return file == "badger/LOCK" || file == "stories/LOCK" }

func (b *damageBench) path(name string) string { return b.space.dir + string(os.PathSeparator) + name }
