package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
)

// relistBench measures how the change of 1 % of a list reaches a follower.
type relistBench struct {
	numbers int
	data    string
	json    bool

	space *workspace
}

func relistCommand() *cobra.Command {
	var b relistBench
	cmd := &cobra.Command{
		Use:   "relist --numbers N",
		Short: "Replace 1 % of a list, and count what reaches a follower",
		Long: `Replace 1 % of a list, and count what reaches a follower.

Half of the changes are numbers that come to the list, half are numbers that go. The follower first takes a
snapshot with all numbers. It fails when it gets anything but exactly the changes.`,
		Example: "  go run . relist --numbers 10000000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&b.numbers, "numbers", 10_000_000, "on the list")
	f.StringVar(&b.data, "data", "", "directory on the disk to measure (default: the system's for temporary files)")
	f.BoolVar(&b.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (b *relistBench) run(ctx context.Context, out, log io.Writer) (err error) {
	if b.numbers < changingGroup-1 {
		return fmt.Errorf("--numbers: at least %d", changingGroup-1)
	}
	if b.space, err = newWorkspace(ctx, b.data, log); err != nil {
		return err
	}
	defer b.space.remove()
	dir, err := b.space.empty()
	if err != nil {
		return err
	}
	server, c, err := b.space.start(ctx, dir)
	if err != nil {
		return err
	}
	defer server.Kill()
	defer c.Close()
	row, err := b.measure(ctx, server, c)
	if err != nil {
		return err
	}
	if b.json {
		return errors.Join(report.JSON(out, report.ThisMachine()), report.JSON(out, row))
	}
	return report.RelistTable(out, []report.Relist{row})
}

func (b *relistBench) measure(ctx context.Context, server *daemon.Server, c *client.Client) (row report.Relist, err error) {
	list, err := newChangingList(b.numbers, 1)
	if err != nil {
		return row, err
	}
	if _, err := c.CreateList(ctx, client.ListSpec{Name: changingName, Kind: client.KindSuppression}); err != nil {
		return row, err
	}
	if _, err := replaceList(ctx, c, changingName, list); err != nil {
		return row, err
	}
	_, err = c.PutSubscriber(ctx, memoryName, client.SubscriberChange{Kind: client.SubscriberInternal, Lists: &[]string{changingName}})
	if err != nil {
		return row, err
	}
	row.Numbers = list.numbers()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	base, began, ended := new(countingBase), time.Now(), make(chan error, 1)
	go func() { ended <- c.Follow(ctx, client.FollowOptions{Subscriber: memoryName, Base: base}) }()
	if err := base.await(ctx, ended, 1); err != nil {
		return row, err
	}
	row.SnapshotSeconds = time.Since(began).Seconds()
	if got := base.counts().staged; got != row.Numbers {
		return row, fmt.Errorf("the snapshot has %d rows, want %d", got, row.Numbers)
	}
	err = b.change(ctx, server, c, list, base, ended, &row)
	return row, err
}

// change loads the new content.
func (b *relistBench) change(ctx context.Context, server *daemon.Server, c *client.Client, list changingList, base *countingBase, ended <-chan error, row *report.Relist) error {
	if err := process.ResetPeak(server.PID); err != nil {
		return err
	}
	before, err := process.MemoryOf(server.PID)
	if err != nil {
		return err
	}
	b.space.say("the follower has %d numbers after %.1f s: replacing them", row.Numbers, row.SnapshotSeconds)
	began := time.Now()
	at, err := replaceList(ctx, c, changingName, list.changed())
	if err != nil {
		return err
	}
	loaded := time.Now()
	row.LoadSeconds = loaded.Sub(began).Seconds()
	if err := base.await(ctx, ended, at); err != nil {
		return err
	}
	row.FollowSeconds = max(base.counts().at.Sub(loaded).Seconds(), 0)
	after, err := process.MemoryOf(server.PID)
	if err != nil {
		return err
	}
	row.AnonBefore, row.AnonAfter, row.RSSPeak = before.Anon, after.Anon, after.RSSPeak
	n := base.counts()
	row.Came, row.Went = n.puts, n.deletes
	if n.puts != list.groups() || n.deletes != list.groups() {
		return fmt.Errorf("%d numbers came to the follower and %d went, want %d each", n.puts, n.deletes, list.groups())
	}
	return nil
}

// replaceList replaces what a list holds, and returns the revision from which that counts.
func replaceList(ctx context.Context, c *client.Client, name string, content changingList) (revision uint64, err error) {
	r, err := c.Import(ctx, client.ImportRequest{List: name, Numbers: content.source()})
	if err == nil && (r.Refused || r.Numbers != uint64(content.numbers())) {
		err = fmt.Errorf("load list %s: it holds %d numbers, want %d", name, r.Numbers, content.numbers())
	}
	return r.Revision, err
}

// countingBase is a client.Base that counts rows and keeps none.
type countingBase struct {
	mu    sync.Mutex
	state client.FollowState
	n     rowCounts
}

type rowCounts struct {
	staged, puts, deletes int
	at                    time.Time // when the state was stored last
}

func (b *countingBase) counts() rowCounts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// await waits until the base has everything up to a revision.
func (b *countingBase) await(ctx context.Context, ended <-chan error, revision uint64) error {
	for {
		b.mu.Lock()
		cursor := b.state.Cursor
		b.mu.Unlock()
		if cursor.Position().Revision >= revision && !cursor.IsWithin() {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("client.Follow: %w", err)
		default:
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// Load implements client.Base.
func (b *countingBase) Load(context.Context) (client.FollowState, error) {
	return client.FollowState{}, nil
}

// Stage implements client.Base.
func (b *countingBase) Stage(_ context.Context, rows iter.Seq[client.Row], _ bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range rows {
		b.n.staged++
	}
	return nil
}

// Swap implements client.Base.
func (b *countingBase) Swap(_ context.Context, s client.Swap) error {
	b.store(s.State)
	return nil
}

// Apply implements client.Base.
func (b *countingBase) Apply(_ context.Context, batch client.Batch) error {
	b.mu.Lock()
	for e := range batch.Edits {
		switch e.Kind {
		case client.EditPut:
			b.n.puts++
		case client.EditDelete:
			b.n.deletes++
		}
	}
	b.mu.Unlock()
	b.store(batch.State)
	return nil
}

func (b *countingBase) store(state client.FollowState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state, b.n.at = state, time.Now()
}
