package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dncd/dncd/bench/internal/daemon"
	"github.com/dncd/dncd/bench/internal/peer"
	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
)

// ballast is dncd's file of reserved space, no part of what a list takes.
const ballast = "ballast"

// loadDncd loads the files into a dncd of its own, stops it and opens it again.
func (b *loadBench) loadDncd(ctx context.Context, dir string) (report.Load, error) {
	l := report.Load{Numbers: b.numbers}
	if err := b.fill(ctx, dir, &l); err != nil {
		return l, err
	}
	disk, err := process.DiskOf(dir, ballast)
	if err != nil {
		return l, err
	}
	l.BytesOnDisk, l.BytesAllocated = disk.Bytes, disk.Allocated
	err = b.reopen(ctx, dir, &l)
	return l, err
}

// fill loads, measures the server some time after, and stops it.
func (b *loadBench) fill(ctx context.Context, dir string, l *report.Load) error {
	server, c, err := b.space.start(ctx, dir)
	if err != nil {
		return err
	}
	defer server.Kill()
	defer c.Close()
	if _, err := createList(ctx, c); err != nil {
		return err
	}
	if err := b.timed(ctx, server, c, l); err != nil {
		return err
	}
	if err := sleep(ctx, b.settle); err != nil {
		return err
	}
	memory, err := process.MemoryOf(server.PID)
	if err != nil {
		return err
	}
	l.ServerRSS, l.ServerAnon = memory.RSS, memory.Anon
	if err := c.Close(); err != nil {
		return err
	}
	stopped, err := server.Stop()
	l.StopSeconds = stopped.Seconds()
	return err
}

// timed is the load itself.
func (b *loadBench) timed(ctx context.Context, server *daemon.Server, c *client.Client, l *report.Load) error {
	before, err := process.CPUOf(server.PID)
	if err != nil {
		return err
	}
	if err := process.ResetPeak(server.PID); err != nil {
		return err
	}
	loaded, err := b.space.importFiles(ctx, server.Addr, b.inputs, b.numbers)
	if err != nil {
		return err
	}
	memory, err1 := process.MemoryOf(server.PID)
	after, err2 := process.CPUOf(server.PID)
	list, err3 := c.GetList(ctx, listName)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	l.Seconds = loaded.Took.Seconds()
	l.ClientCPUSeconds, l.ClientRSSPeak = loaded.CPU.Seconds(), loaded.RSSPeak
	l.ServerCPUSeconds, l.ServerRSSPeak = (after - before).Seconds(), memory.RSSPeak
	if last := list.LastImport; last != nil {
		l.PrepareSeconds = last.StartedAt.Sub(loaded.Started).Seconds()
		l.WriteSeconds = last.EndedAt.Sub(last.StartedAt).Seconds()
	}
	return nil
}

// reopen starts the server again and waits for its first answer, then looks
// whether it holds what was loaded.
func (b *loadBench) reopen(ctx context.Context, dir string, l *report.Load) error {
	const looks = 200
	listed, err := sample(b.inputs, b.numbers, looks)
	if err != nil {
		return err
	}
	start := time.Now()
	server, c, err := b.space.start(ctx, dir)
	if err != nil {
		return err
	}
	defer server.Kill()
	defer c.Close()
	for i, number := range listed {
		r, err := c.Check(ctx, number.E164())
		if err != nil {
			return err
		}
		if r.Verdict != client.Block {
			return fmt.Errorf("number %d of %d is listed and the answer is %s", i+1, looks, r.Verdict)
		}
		if i == 0 {
			l.ReopenSeconds = time.Since(start).Seconds()
		}
	}
	_, err = server.Stop()
	return err
}

// sample returns so many numbers of files, spread evenly over all of them.
func sample(files []string, numbers, count int) ([]phone.Number, error) {
	all, err := peer.OpenNumbers(files, numbers)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	count = min(count, numbers)
	picked := make([]phone.Number, 0, count)
	batch := make([]phone.Number, 4096)
	for read := 0; len(picked) < count; {
		n, err := all.Next(batch)
		if err != nil {
			return nil, err
		}
		for at := len(picked) * (numbers / count); len(picked) < count && at < read+n; at = len(picked) * (numbers / count) {
			picked = append(picked, batch[at-read])
		}
		read += n
	}
	return picked, nil
}

// sleep waits unless ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
