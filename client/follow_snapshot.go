package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// snapshot gets a whole feed and swaps it in. It begins again as often as it takes.
func (f *follower) snapshot(ctx context.Context, reason error) error {
	for attempt := 1; ; attempt++ {
		err := f.snapshotOnce(ctx, reason)
		var e *Error
		if err == nil || !errors.As(err, &e) || !isMendable(e) || ctx.Err() != nil || f.client.ctx.Err() != nil {
			return err
		}
		f.trouble(e)
		if err := pauseFeed(ctx, attempt, e); err != nil {
			return err
		}
	}
}

func (f *follower) snapshotOnce(ctx context.Context, reason error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request := &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Subscriber{Subscriber: f.o.Subscriber}}
	stream, err := f.client.pick().propagation.GetFeed(ctx, request)
	if err != nil {
		return fromStatus(err)
	}
	s := &snapshot{f: f, ctx: ctx, progress: SnapshotProgress{Reason: reason}}
	if err := s.read(stream.Recv); err != nil {
		return err
	}
	return s.swap()
}

// snapshot is one feed as it is staged.
type snapshot struct {
	feedReader
	f        *follower
	ctx      context.Context
	progress SnapshotProgress
}

// read stages the feed, and verifies that it is whole.
func (s *snapshot) read(receive func() (*dncv1.GetFeedResponse, error)) error {
	return s.feedReader.read(receive, func() error {
		if s.header.GetAfter() != nil {
			return feedBroken("a difference where a snapshot was asked for")
		}
		return s.stage(nil, true)
	}, func(rows []FeedRow) error { return s.stage(rows, false) })
}

func (s *snapshot) stage(rows []FeedRow, first bool) error {
	plain := func(yield func(Row) bool) {
		for i := range rows {
			if !yield(rows[i].Row) {
				return
			}
		}
	}
	if err := s.f.o.Base.Stage(s.ctx, plain, first); err != nil {
		return fmt.Errorf("stage a snapshot in the base: %w", err)
	}
	s.progress.Staged += uint64(len(rows))
	s.report()
	return nil
}

func (s *snapshot) report() {
	if s.f.o.OnSnapshot != nil {
		s.f.o.OnSnapshot(s.progress)
	}
}

// swap makes the snapshot what counts.
func (s *snapshot) swap() error {
	f := s.f
	var log feedLog
	if err := log.begin(s.header.GetCursor()); err != nil {
		return err
	}
	s.progress.KeepsOrphans = s.isAfterLoss()
	next := FollowState{
		Subscriber: f.o.Subscriber, Cursor: fromCursor(s.header.GetCursor()), Time: fromTime(s.header.GetTime()),
		Lists: s.followed(), ServerKey: f.state.ServerKey, KeyRotations: f.state.KeyRotations, DigestDay: f.state.DigestDay,
	}
	if len(s.summary.GetCheckpoint()) == 0 {
		return feedBroken("a snapshot without a checkpoint")
	}
	if err := f.takeCheckpoint(&next, s.header.GetCursor(), s.summary.GetCheckpoint(), s.summary.GetServerKey()); err != nil {
		return err
	}
	f.acks.reached(feed.Received, next.Checkpoint, feed.Digest{})
	swap := Swap{State: next, KeepOrphans: s.progress.KeepsOrphans}
	if swap.KeepOrphans {
		swap.Foreign = s.foreign()
	} else {
		swap.Keep = s.inDoubt()
	}
	if err := f.o.Base.Swap(s.ctx, swap); err != nil {
		return fmt.Errorf("swap a snapshot into the base: %w", err)
	}
	f.state, f.log, f.stored = next, log, time.Now()
	s.progress.Done = true
	s.report()
	return f.acknowledge(s.ctx)
}

// isAfterLoss reports whether the server may lack rows that it once sent.
func (s *snapshot) isAfterLoss() bool {
	before, now := s.f.state.Cursor.Position(), fromPosition(s.header.GetCursor().GetPosition())
	if s.f.state.Cursor == "" {
		return false
	}
	return losesData(s.progress.Reason) || before.JournalID != now.JournalID || now.Revision < before.Revision
}

// followed are the lists whose rows the base has after the swap, or may have. One in doubt that it does not know has none there, and may
// never have been loaded; after a loss the rows of one in doubt are orphans. Both come whole with their next load.
func (s *snapshot) followed() []FollowedList {
	var lists []FollowedList
	for _, l := range s.lists {
		old := s.known(l.id)
		switch {
		case !l.inDoubt:
			lists = append(lists, FollowedList{ID: l.id, Name: l.GetName(), Scope: l.GetScope()})
		case old != nil && !s.progress.KeepsOrphans:
			lists = append(lists, FollowedList{ID: l.id, Name: old.Name, Scope: old.Scope, InDoubt: true})
		}
	}
	return lists
}

// known is what the base knows about a list; nil: nothing.
func (s *snapshot) known(id string) *FollowedList {
	i := slices.IndexFunc(s.f.state.Lists, func(l FollowedList) bool { return l.ID == id })
	if i < 0 {
		return nil
	}
	return &s.f.state.Lists[i]
}

func (s *snapshot) inDoubt() []string {
	return idsOf(s.lists, func(l *listContent) bool { return l.inDoubt })
}

// foreign are lists whose ids belong to others now.
func (s *snapshot) foreign() []string {
	return idsOf(s.lists, func(l *listContent) bool {
		old := s.known(l.id)
		return old != nil && !l.inDoubt && old.Name != l.GetName()
	})
}

func idsOf(lists []*listContent, is func(*listContent) bool) (ids []string) {
	for _, l := range lists {
		if is(l) {
			ids = append(ids, l.id)
		}
	}
	return ids
}
