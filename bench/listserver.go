package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/client"
)

// listServer is a dncd of its own that holds a list.
type listServer struct {
	numbers    int
	probeCount int
	data       string
	blockCache string
	options    []string // of daemon.ServeCommand

	space  *workspace
	drawn  syntheticList
	server *daemon.Server
	client *client.Client
}

func (l *listServer) addFlags(f *pflag.FlagSet) {
	f.IntVar(&l.numbers, "numbers", 1_000_000, "how many numbers are stored")
	f.IntVar(&l.probeCount, "probes", 1<<24, "how many numbers to check are drawn, before they come again")
	f.StringVar(&l.data, "data", "", "directory on the disk to use (default: the system's for temporary files)")
	f.StringVar(&l.blockCache, "block-cache", "64MiB", "of dncd")
}

// open starts the server and loads the numbers. close ends it.
func (l *listServer) open(ctx context.Context, log io.Writer) (err error) {
	if l.probeCount < 1<<14 {
		return fmt.Errorf("--probes: at least %d", 1<<14)
	}
	if l.drawn, err = newSyntheticList(l.numbers, 1); err != nil {
		return err
	}
	if l.space, err = newDirectory(l.data, log); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	dir, err := l.space.empty()
	if err != nil {
		return err
	}
	if l.server, err = daemon.StartSelf(ctx, dir, append(l.options, "--block-cache", l.blockCache)...); err != nil {
		return err
	}
	l.client, err = client.New(l.server.Addr, client.WithUser("bench"), client.WithConnections(connections))
	if err != nil {
		return err
	}
	l.space.say("loading %d numbers", l.numbers)
	if _, err := createList(ctx, l.client); err != nil {
		return err
	}
	return l.load(ctx, l.drawn)
}

func (l *listServer) close() {
	if l.client != nil {
		_ = l.client.Close() // the server ends next
	}
	if l.server != nil {
		l.server.Kill()
	}
	l.space.remove()
}

// load replaces what the list holds.
func (l *listServer) load(ctx context.Context, c syntheticList) error {
	r, err := l.client.Import(ctx, client.ImportRequest{
		List: listName, Numbers: c.source(), SnapshotDate: time.Now().UTC().Format(time.DateOnly),
	})
	if err != nil {
		return err
	}
	if r.Refused || r.Numbers != uint64(l.numbers) {
		return fmt.Errorf("load %d numbers: the list holds %d", l.numbers, r.Numbers)
	}
	return nil
}

// probes draws numbers to check.
func (l *listServer) probes(ctx context.Context, listed float64, steady bool) (*probePool, error) {
	l.space.say("drawing %d numbers to check", l.probeCount)
	drawn, err := l.drawn.probes(ctx, l.probeCount, listed, steady)
	return &probePool{probes: drawn}, err
}
