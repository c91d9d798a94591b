package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/dncd/dncd/internal/ascending"
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
	s := &snapshot{f: f, ctx: ctx, receive: stream.Recv, progress: SnapshotProgress{Reason: reason}}
	if err := s.read(); err != nil {
		return err
	}
	return s.swap()
}

// snapshot is one feed as it is staged.
type snapshot struct {
	f        *follower
	ctx      context.Context
	receive  func() (*dncv1.GetFeedResponse, error)
	header   *dncv1.FeedHeader
	lists    []*listContent // of the header
	optOuts  uint64
	last     Row // of the opt-outs
	summary  *dncv1.FeedSummary
	progress SnapshotProgress
}

// listContent is a list of a snapshot and what came of it.
type listContent struct {
	*dncv1.FeedList
	id      string
	inDoubt bool
	hash    *ascending.Hash[uint64]
	last    uint64
}

// read stages the feed, and verifies that it is whole.
func (s *snapshot) read() error {
	m, err := s.receive()
	if err != nil {
		return snapshotCut(err)
	}
	if err := s.begin(m.GetHeader()); err != nil {
		return err
	}
	if err := s.stage(nil, true); err != nil {
		return err
	}
	for s.summary == nil {
		m, err := s.receive()
		if err != nil {
			return snapshotCut(err)
		}
		switch frame := m.GetFrame().(type) {
		case *dncv1.GetFeedResponse_Chunk:
			err = s.takeChunk(frame.Chunk)
		case *dncv1.GetFeedResponse_Summary:
			err = s.end(frame.Summary)
		default:
			err = feedBroken("a frame of a feed that this version does not know: install a newer one")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// snapshotCut is the error for a feed that ended before its summary.
func snapshotCut(err error) error {
	if errors.Is(err, io.EOF) {
		return &Error{Reason: reasonUnavailable, Message: "the feed was cut before its end", code: codes.Unavailable}
	}
	return fromStatus(err)
}

func (s *snapshot) begin(h *dncv1.FeedHeader) error {
	if h.GetCursor().GetPosition().GetRevision() == 0 || h.GetAfter() != nil {
		return feedBroken("a feed that does not begin as a snapshot does")
	}
	s.header = h
	for _, l := range h.GetLists() {
		s.lists = append(s.lists, &listContent{FeedList: l, id: listID(l.GetId()), hash: ascending.NewHash[uint64]()})
	}
	for _, id := range h.GetInDoubt() {
		l := s.list(listID(id))
		if l == nil {
			l = &listContent{id: listID(id)}
			s.lists = append(s.lists, l)
		}
		l.inDoubt = true
	}
	return nil
}

func (s *snapshot) list(id string) *listContent {
	i := slices.IndexFunc(s.lists, func(l *listContent) bool { return l.id == id })
	if i < 0 {
		return nil
	}
	return s.lists[i]
}

func (s *snapshot) takeChunk(c *dncv1.FeedChunk) error {
	rows := make([]Row, 0, len(c.GetRows()))
	for _, m := range c.GetRows() {
		r := Row{Number: m.GetNumber(), Scope: m.GetScope(), Source: SourceOptOut, Until: fromTime(m.GetUntil())}
		if m.GetRemoved() || r.Number == 0 || r.Number > maxNumber || s.optOuts > 0 && r.Compare(s.last) <= 0 {
			return feedBroken("rows of a snapshot that are out of order, or gone")
		}
		s.last = r
		s.optOuts++
		rows = append(rows, r)
	}
	if m := c.GetListRows(); m != nil {
		content, err := s.takeListRows(m)
		if err != nil {
			return err
		}
		rows = append(rows, content...)
	}
	return s.stage(rows, false)
}

func (s *snapshot) takeListRows(m *dncv1.FeedListRows) ([]Row, error) {
	numbers, err := rowDigits(m)
	if err != nil {
		return nil, err
	}
	l := s.list(listID(m.GetList()))
	if l == nil || l.inDoubt || m.GetRemoved() {
		return nil, feedBroken("rows of a list that the snapshot does not have")
	}
	rows := make([]Row, len(numbers))
	for i, n := range numbers {
		if n <= l.last {
			return nil, feedBroken("numbers of a list that are out of order")
		}
		l.last = n
		rows[i] = Row{Number: n, Scope: l.GetScope(), Source: l.id}
	}
	l.hash.Add(numbers)
	return rows, nil
}

func (s *snapshot) stage(rows []Row, first bool) error {
	if err := s.f.o.Base.Stage(s.ctx, slices.Values(rows), first); err != nil {
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

// end verifies that the feed is what its header and its summary say.
func (s *snapshot) end(sum *dncv1.FeedSummary) error {
	listed := uint64(0)
	for _, l := range s.lists {
		if l.inDoubt {
			continue
		}
		listed += l.hash.Count()
		if want := l.GetContentSha256(); l.hash.Count() != l.GetNumbers() || len(want) > 0 && l.GetNumbers() > 0 && !bytes.Equal(want, l.hash.Sum()) {
			return feedBroken("a list with other numbers than its count or SHA-256 says")
		}
	}
	if sum.GetSet() != s.optOuts || sum.GetRemoved() != 0 || sum.GetListAdded() != listed || sum.GetListRemoved() != 0 {
		return feedBroken("a snapshot with other rows than its summary counts")
	}
	s.summary = sum
	return nil
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
		Lists: s.followed(), ServerKey: f.state.ServerKey, DigestDay: f.state.DigestDay,
	}
	if len(s.summary.GetCheckpoint()) == 0 {
		return feedBroken("a snapshot without a checkpoint")
	}
	if err := f.takeCheckpoint(&next, s.header.GetCursor(), s.summary.GetCheckpoint()); err != nil {
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

// followed are the lists of which the base has rows after the swap, or may have. One in doubt that it does not know has none there, and may
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
