package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/daemon"
	dncd "github.com/dncd/dncd/cmd/dncd/daemon"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// serveOptions are the flags of serveCommand.
type serveOptions struct {
	data       string
	blockCache string
	age        time.Duration
	capacity   int
	offset     time.Duration
}

// serveCommand is how a measurement starts its server, as a process of its own: the store and the server of dncd, set up
// as dncd does, with options that dncd has no flag for. See daemon.StartSelf.
func serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:    daemon.ServeCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "directory of the store")
	f.StringVar(&o.blockCache, "block-cache", "64MiB", "memory for decoded blocks")
	f.DurationVar(&o.age, "connection-age", 0, "after which the server asks clients to reconnect; 0: like dncd")
	f.IntVar(&o.capacity, "capacity", 0, "checks a second; 0: not limited")
	f.DurationVar(&o.offset, "clock-offset", 0, "how far the server's clock is ahead")
	return cmd
}

// minFree is as daemon.Start gives it to dncd.
const minFree = 256 << 20

// serve serves until ctx ends.
func serve(ctx context.Context, o serveOptions, out, log io.Writer) (err error) {
	cache, err := humanize.ParseBytes(o.blockCache)
	if err != nil {
		return fmt.Errorf("--block-cache: %w", err)
	}
	dncd.Oversubscribe() // as dncd does
	logger := slog.New(slog.NewTextHandler(log, nil))
	options := store.Options{Logger: logger, BlockCache: int64(cache), MinFree: minFree}
	if o.capacity > 0 {
		options.Clock = newSlowClock(o.capacity).now
	}
	if o.offset != 0 {
		options.Clock = func() time.Time { return time.Now().Add(o.offset) }
	}
	st, err := store.Open(o.data, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s, err := server.New(server.Options{Store: st, Logger: logger, ConnectionAge: o.age})
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "dncd serves %s (measured)\n", l.Addr())
	return s.Serve(ctx, l, nil)
}

// slowClock makes a server as slow as one that does so many checks a second, one after the other. A check reads the
// clock once, when it has been given its room, and here it waits for its turn meanwhile. What else reads the clock does
// so a few times a second.
type slowClock struct {
	each time.Duration // a check's time

	mu   sync.Mutex
	free time.Time // when the last check that came will be done
}

func newSlowClock(perSecond int) *slowClock {
	return &slowClock{each: time.Second / time.Duration(perSecond)}
}

func (c *slowClock) now() time.Time {
	time.Sleep(time.Until(c.turn()))
	return time.Now()
}

// turn is when the check that comes now will be done.
func (c *slowClock) turn() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.free.Before(now) {
		c.free = now
	}
	c.free = c.free.Add(c.each)
	return c.free
}
