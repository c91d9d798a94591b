package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/dncd/dncd/bench/internal/process"
	"github.com/dncd/dncd/bench/internal/report"
	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

// base is what there is at the end of a feed.
type base interface {
	holds(ctx context.Context) (rows, feed.Checkpoint, error)
}

// ends are the bases that are not dead.
func (s *basesSite) ends() map[string]base {
	return map[string]base{sqliteName: s.sqlite, memoryName: s.memory, filesName: s.files}
}

// holdRows holds each base against a whole feed, and that against what was recorded.
func (s *basesSite) holdRows(ctx context.Context, row *report.Bases) error {
	for name, b := range s.ends() {
		got, at, err := b.holds(ctx)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		want, feedAt, err := s.wholeFeed(ctx, name)
		if err != nil {
			return fmt.Errorf("feed of %s: %w", name, err)
		}
		if at.Epoch != feedAt.Epoch || at.Changes != feedAt.Changes || at.Hash != feedAt.Hash {
			return fmt.Errorf("%s is at change %d with hash %s, the whole feed at change %d with %s", name, at.Changes, at.Hash, feedAt.Changes, feedAt.Hash)
		}
		now := time.Now()
		got, want = got.inForce(now), want.inForce(now)
		if diff := difference(got, want); diff != "" {
			return fmt.Errorf("%s differs from the whole feed: %s", name, diff)
		}
		if diff := difference(want, s.recorded().inForce(now)); diff != "" {
			return fmt.Errorf("the whole feed of %s differs from what was recorded: %s", name, diff)
		}
		row.Rows, row.Changes = len(want), at.Changes
	}
	row.Feeds, row.OptOuts, row.Withdrawals, row.Ending = s.files.feeds, s.writes.optOuts, s.writes.withdrawals, len(s.writes.ends)
	row.Rate = float64(row.OptOuts+row.Withdrawals) / row.Seconds
	return nil
}

// wholeFeed reads everything that a base should hold.
func (s *basesSite) wholeFeed(ctx context.Context, name string) (all rows, at feed.Checkpoint, err error) {
	all = rows{}
	for part, err := range s.client.GetFeed(ctx, name) {
		if err != nil {
			return nil, at, err
		}
		for _, r := range part.Rows {
			all.put(r.Row)
		}
		if part.Checkpoint != "" {
			at, _, err = feed.ReadCheckpoint([]byte(part.Checkpoint))
		}
		if err != nil {
			return nil, at, err
		}
	}
	return all, at, nil
}

// recorded is what the bases should hold, by what was written.
func (s *basesSite) recorded() rows {
	all := rows{}
	for _, o := range s.objectors {
		maps.Copy(all, o.rows)
	}
	maps.DeleteFunc(all, func(k rowKey, _ time.Time) bool { return k.scope == otherScope })
	batch := make([]uint64, 4096)
	for from := s.list.changed().source(); ; {
		n, err := from.Next(batch)
		if err != nil {
			return all
		}
		for _, number := range batch[:n] {
			all[rowKey{number, baseScope, s.listID}] = time.Time{}
		}
	}
}

// holdBlocked holds that numbers that left the list and are opted out are blocked, by the server and at each base.
func (s *basesSite) holdBlocked(ctx context.Context, row *report.Bases) error {
	var numbers []uint64
	for _, o := range s.objectors {
		numbers = append(numbers, o.settled...)
	}
	if len(numbers) == 0 {
		return errors.New("no number that left the list was opted out: record for longer")
	}
	row.LeftAndOptedOut = len(numbers)
	answer, err := s.client.CheckBatch(ctx, numbers[:min(len(numbers), 1000)], client.Scope(baseScope))
	if err != nil {
		return err
	}
	for i := range answer.Len() {
		if verdict := answer.Verdict(i); verdict != client.Block {
			return fmt.Errorf("a number that left the list and is opted out is %s", verdict)
		}
	}
	for name, b := range s.ends() {
		held, _, err := b.holds(ctx)
		if err != nil {
			return err
		}
		for _, n := range numbers {
			_, isBlocked := held[rowKey{n, baseScope, client.SourceOptOut}]
			if _, isListed := held[rowKey{n, baseScope, s.listID}]; !isBlocked || isListed {
				return fmt.Errorf("at %s a number that left the list and is opted out: by opt-out %t, by the list %t", name, isBlocked, isListed)
			}
		}
	}
	return nil
}

// holdDead holds the dead base to the first place, with everything that it has missed.
func (s *basesSite) holdDead(ctx context.Context, row *report.Bases) error {
	const listChanges = 2 // one changed, one was deleted
	var first client.SubscriberStatus
	for status, err := range s.client.Subscribers(ctx) {
		if err != nil {
			return err
		}
		first = status
		break
	}
	if first.Name != deadName {
		return fmt.Errorf("%s stands first, want the dead one", first.Name)
	}
	for _, stage := range first.Stages {
		if want := s.writes.concerning + listChanges; stage.Pending != want {
			return fmt.Errorf("for the dead one %d changes are pending at %s, want %d", stage.Pending, stage.Stage, want)
		}
		if !stage.OldestPending.Equal(s.writes.began) {
			return fmt.Errorf("the oldest change pending for the dead one is of %v, want %v", stage.OldestPending, s.writes.began)
		}
		row.DeadPending = stage.Pending
	}
	table, err := s.dnc(ctx, "subscriber", "ls")
	if err != nil {
		return err
	}
	_, line, _ := strings.Cut(table, "\n") // below the head
	line, _, _ = strings.Cut(line, "\n")
	if !strings.HasPrefix(line, deadName) || !strings.Contains(line, fmt.Sprint(row.DeadPending)) {
		return fmt.Errorf("dnc subscriber ls has first %q, want the dead one and %d", line, row.DeadPending)
	}
	row.DeadLine = strings.TrimSpace(line)
	return nil
}

// holdReport holds the report to what was recorded, and its parts to their sum.
func (s *basesSite) holdReport(ctx context.Context, _ *report.Bases) error {
	r, err := s.client.PropagationReport(ctx, time.Time{}, time.Time{}, nil)
	if err != nil {
		return err
	}
	ended := uint64(0)
	for _, end := range s.writes.ends {
		if !r.Time.Before(end) {
			ended++
		}
	}
	byDesk, received := uint64(0), uint64(0)
	for _, d := range r.Desks {
		byDesk += d.OptOuts
		if d.ReceivedToRecorded != nil {
			received += d.ReceivedToRecorded.Count
		}
	}
	got := [...]uint64{r.OptOuts, r.Withdrawals, r.Imported, r.Expired, byDesk, received, uint64(len(r.Subscribers))}
	want := [...]uint64{s.writes.optOuts, s.writes.withdrawals, 0, ended, s.writes.optOuts, s.writes.byDesk, 4}
	if got != want {
		return fmt.Errorf("the report has opt-outs, withdrawals, imported, expired, by desks, with a time of receipt, subscribers %v, want %v", got, want)
	}
	for _, sub := range r.Subscribers {
		if err := s.holdStages(sub); err != nil {
			return fmt.Errorf("report of %s: %w", sub.Name, err)
		}
	}
	return nil
}

// holdStages holds what a subscriber acknowledged and what is pending to what was recorded.
func (s *basesSite) holdStages(sub client.ReportSubscriber) error {
	for _, stage := range sub.Stages {
		acknowledged, want := uint64(0), s.writes.optOutsConcerning
		if stage.RecordedToAcknowledged != nil {
			acknowledged = stage.RecordedToAcknowledged.Count
		}
		if stage.Imported {
			want = 0
		}
		if acknowledged+stage.Pending != want || sub.Name != deadName && stage.Pending > 0 || stage.Claimed > 0 {
			return fmt.Errorf("%s, imported %t: %d acknowledged, %d of them claimed, and %d pending, want %d in all",
				stage.Stage, stage.Imported, acknowledged, stage.Claimed, stage.Pending, want)
		}
	}
	return nil
}

// holdIdle holds that nothing is written while nothing happens. Before it the database ends what it has begun.
func (s *basesSite) holdIdle(ctx context.Context, row *report.Bases) error {
	before, err := s.quiet(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, s.bench.idle); err != nil {
		return err
	}
	after, err := s.written(ctx)
	if err != nil {
		return err
	}
	row.IdleSeconds = s.bench.idle.Seconds()
	if after != before {
		return fmt.Errorf("in %v without a change: revision, bytes of files and bytes written went from %v to %v", s.bench.idle, before, after)
	}
	return nil
}

// written is how much there is.
type written struct {
	revision     uint64
	files, bytes float64 // on the disk, and ever written
}

func (s *basesSite) written(ctx context.Context) (w written, err error) {
	stats, err := s.client.ServerStats(ctx)
	if err != nil {
		return w, err
	}
	disk, err := process.DiskOf(s.data)
	if err != nil {
		return w, err
	}
	bytes, err := process.WrittenBy(s.server.PID)
	return written{stats.Revision, disk.Bytes, bytes}, err
}

// quiet waits until nothing was written for a while.
func (s *basesSite) quiet(ctx context.Context) (written, error) {
	const each, patience = 2 * time.Second, 2 * time.Minute
	last, err := s.written(ctx)
	for began := time.Now(); err == nil && time.Since(began) < patience; {
		if err := sleep(ctx, each); err != nil {
			return last, err
		}
		var now written
		if now, err = s.written(ctx); err == nil && now == last {
			return now, nil
		}
		last = now
	}
	return last, errors.Join(errors.New("the server goes on to write"), err)
}
