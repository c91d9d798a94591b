package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/peer"
	"github.com/dncd/dncd/bench/internal/report"
)

// loadBench measures loads of one size and order.
type loadBench struct {
	numbers     int
	order       string
	runs        int
	peers       string
	peerNumbers int
	data        string
	settle      time.Duration
	json        bool

	space  *workspace
	inputs []string // files
}

func loadCommand() *cobra.Command {
	var b loadBench
	cmd := &cobra.Command{
		Use:   "load --numbers N",
		Short: "Measure a bulk load, from text on disk to durable and served",
		Long: `Measure a bulk load, from text on disk to durable and served.

It makes FTC files, starts dncd, loads them with dnc import, each a process of its
own, stops the server, measures its disk and opens it again. Beside it the same
numbers, at most --peer-numbers of them, go into what people would otherwise use,
where it is installed. The runs of all take turns; each row is the median.

With --order shuffled the files are made with 4 bytes of memory a number.`,
		Example: `  go run . load --numbers 10000000 --order sorted --runs 3
  go run . load --json --numbers 100000000 --order shuffled --peers none >> results.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.numbers, "numbers", 1_000_000, "how many numbers")
	f.StringVar(&b.order, "order", sorted, "of the numbers: sorted or shuffled")
	f.IntVar(&b.runs, "runs", 1, "how many runs to take the median of")
	f.StringVar(&b.peers, "peers", "redis,postgres,badger", "what to load beside it; or none")
	f.IntVar(&b.peerNumbers, "peer-numbers", 10_000_000, "how many numbers peers load at most")
	f.StringVar(&b.data, "data", "", "directory on the disk to measure (default: the system's for temporary files)")
	f.DurationVar(&b.settle, "settle", 5*time.Second, "how long a server rests before its memory after the load is read")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

// run measures and prints.
func (b *loadBench) run(ctx context.Context, out, log io.Writer) (err error) {
	if b.runs < 1 || b.peerNumbers < 1 {
		return errors.New("--runs and --peer-numbers: at least 1")
	}
	peers, err := peer.Choose(b.peers)
	if err != nil {
		return fmt.Errorf("--peers: %w", err)
	}
	if b.space, err = newWorkspace(ctx, b.data, log); err != nil {
		return err
	}
	defer b.space.remove()
	if b.inputs, err = b.space.files(ctx, "files", b.numbers, b.order, 1); err != nil {
		return err
	}
	rows, err := b.measure(ctx, b.contenders(peers))
	if err != nil {
		return err
	}
	return b.print(out, rows)
}

// contender is one thing to load into, in an empty directory.
type contender struct {
	name string
	load func(ctx context.Context, dir string) (report.Load, error)
}

// contenders are dncd and the peers that can run here.
func (b *loadBench) contenders(peers []peer.Peer) []contender {
	list := []contender{{report.CaseDncd, b.loadDncd}}
	for _, p := range peers {
		if why := p.Missing(); why != "" {
			b.space.say("%s left out: %s", p.Name, why)
			continue
		}
		list = append(list, contender{p.Name, func(ctx context.Context, dir string) (report.Load, error) {
			return b.loadPeer(ctx, p, dir)
		}})
	}
	return list
}

// measure lets the contenders take turns and returns the median of each.
func (b *loadBench) measure(ctx context.Context, contenders []contender) ([]report.Load, error) {
	runs := make([][]report.Load, len(contenders))
	for run := range b.runs {
		for i, c := range contenders {
			dir, err := b.space.empty()
			if err != nil {
				return nil, err
			}
			l, err := c.load(ctx, dir)
			if err != nil {
				return nil, err
			}
			l.Case, l.Order = c.name, b.order
			b.space.say("run %d of %d: %s loads %d numbers in %.2f s", run+1, b.runs, c.name, l.Numbers, l.Seconds)
			runs[i] = append(runs[i], l)
		}
	}
	rows := make([]report.Load, len(contenders))
	for i := range runs {
		rows[i] = report.MedianLoad(runs[i])
	}
	return rows, nil
}

func (b *loadBench) loadPeer(ctx context.Context, p peer.Peer, dir string) (report.Load, error) {
	count := min(b.numbers, b.peerNumbers)
	r, err := p.Load(ctx, peer.Input{Files: b.inputs, Count: count, Dir: dir})
	return report.Load{
		Numbers: count, Seconds: r.Seconds, BytesOnDisk: r.Disk, ServerCPUSeconds: r.CPU,
		ServerRSSPeak: r.MemoryPeak, ServerRSS: r.Memory, Note: p.Note,
	}, err
}

func (b *loadBench) print(out io.Writer, rows []report.Load) error {
	ratios := report.Ratios(rows)
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, rows...), report.JSON(out, ratios...))
	}
	if err := report.LoadTable(out, rows); err != nil {
		return err
	}
	return report.RatioTable(out, ratios)
}
