package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/delta"
)

// FeedAt is a feed at one moment: all that a filter holds, or the final state of what was touched since a cursor.
type FeedAt struct {
	View   *View
	Cursor FeedCursor // where it ends
	After  FeedCursor // where it begins; zero: it is a snapshot

	s       *Store
	filter  feed.Filter
	touched []touchedRow // by number, then scope; not of a snapshot
	lists   []listStep
	changed map[policy.EventID]int // how often lists got other numbers; not of a snapshot
	remade  bool                   // a list was deleted, or has another scope; not of a snapshot
}

// touchedRow is a row of opt-outs that changed.
type touchedRow struct {
	number phone.Number
	scope  policy.Scope
}

// listStep is what became of a list of the filter.
type listStep struct {
	id   policy.EventID
	list *List  // as it is now; nil: it is gone
	from uint64 // the content that the follower has; 0: none
}

// FeedSnapshot returns all that a filter holds in a view. Its cursor is the one given, which must be that of the view.
func (s *Store) FeedSnapshot(v *View, f feed.Filter, at FeedCursor) *FeedAt {
	snapshot := &FeedAt{View: v, Cursor: at, s: s, filter: f}
	for _, id := range f.Lists {
		if l := v.listByID(id); l != nil {
			snapshot.lists = append(snapshot.lists, listStep{id: id, list: l})
		}
	}
	return snapshot
}

// FeedSince reads what was touched after a cursor, up to the newest view. Errors: ErrHistoryGone: the feed can only be had as a
// snapshot; ErrDamaged, ErrClosed, and the context's.
func (s *Store) FeedSince(ctx context.Context, q FeedQuery) (*FeedAt, error) {
	q.WithoutRows = true
	reader, err := s.OpenFeed(q)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	f := &FeedAt{After: q.After, s: s, filter: q.Filter, changed: map[policy.EventID]int{}}
	for {
		if err := s.feedStopped(ctx); err != nil {
			return nil, err
		}
		batch, err := reader.Read(ctx, feedBatchBytes)
		if err != nil {
			return nil, err
		}
		f.View, f.Cursor = batch.View, batch.Cursor
		f.touch(batch.Changes)
		if !batch.More {
			break
		}
	}
	slices.SortFunc(f.touched, func(a, b touchedRow) int {
		return cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(string(a.scope), string(b.scope)))
	})
	f.touched = slices.Compact(f.touched)
	f.lists, err = s.listSteps(q, f.View)
	return f, err
}

// feedBatchBytes is how much of a feed is read at a time.
const feedBatchBytes = 1 << 20

func (f *FeedAt) touch(changes []FeedChange) {
	for i := range changes {
		switch c := &changes[i]; c.Kind {
		case feed.Set, feed.Remove:
			f.touched = append(f.touched, touchedRow{c.Number, c.Scope})
		case feed.ListSet:
			f.changed[c.List]++
		case feed.ListMoved, feed.ListGone:
			f.remade = true
		}
	}
}

// OnlyFromAfter reports whether the feed is right only for who holds what there was at After. Who applied another feed since then
// needs a snapshot: numbers may have come to a list and gone again, or gone and come again, and a list that was deleted or moved
// has rows that no part of the feed names.
func (f *FeedAt) OnlyFromAfter() bool {
	again := func(times int) bool { return times > 1 }
	return f.remade || slices.ContainsFunc(slices.Collect(maps.Values(f.changed)), again)
}

// listSteps says what became of the lists of a filter since a cursor.
func (s *Store) listSteps(q FeedQuery, now *View) (steps []listStep, err error) {
	before, err := s.ViewAt(q.After.Revision)
	if err != nil {
		return nil, err
	}
	for _, id := range q.Filter.Lists {
		step := listStep{id: id, list: now.listByID(id)}
		if was := before.listByID(id); was != nil {
			if step.from, err = before.lastContent(was); err != nil {
				return nil, err
			}
		}
		if step.list != nil || step.from != 0 {
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// lastContent is the content revision of a list, or, while a repair has it unloaded, the one that it had before. 0: none.
func (v *View) lastContent(l *List) (uint64, error) {
	if l.ContentRevision != 0 {
		return l.ContentRevision, nil
	}
	const page = 100
	for before := uint64(0); ; {
		loads, err := v.Imports(l.ID, before, page)
		if err != nil {
			return 0, err
		}
		for _, load := range loads {
			if before = load.Prepared; load.State == ImportSwitched {
				return load.Prepared, nil
			}
		}
		if len(loads) < page {
			return 0, nil
		}
	}
}

// FeedRow is the final state of a row of opt-outs.
type FeedRow struct {
	feed.Row
	Removed      bool // the row is gone
	StillBlocked bool // and another row of the feed blocks the number
}

// Rows yields the rows of opt-outs, by ascending number, then scope. Errors: ErrDamaged, and the context's.
func (f *FeedAt) Rows(ctx context.Context) iter.Seq2[FeedRow, error] {
	return func(yield func(FeedRow, error) bool) {
		if f.After == (FeedCursor{}) {
			for row, err := range f.View.FeedRows(ctx, f.filter) {
				if !yield(FeedRow{Row: row}, err) {
					return
				}
			}
			return
		}
		for rest := f.touched; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].number == rest[0].number {
				n++
			}
			if !f.yieldNumber(ctx, rest[:n], yield) {
				return
			}
			rest = rest[n:]
		}
		if err := f.View.complete(); err != nil {
			yield(FeedRow{}, err)
		}
	}
}

// yieldNumber yields the rows of one number that were touched, and reports whether to go on.
func (f *FeedAt) yieldNumber(ctx context.Context, touched []touchedRow, yield func(FeedRow, error) bool) bool {
	held, listed, err := f.heldOf(touched[0].number)
	if err = errors.Join(err, ctx.Err()); err != nil {
		yield(FeedRow{}, err)
		return false
	}
	for _, t := range touched {
		row := FeedRow{Row: feed.Row{Number: t.number, Scope: t.scope}}
		if i := slices.IndexFunc(held, func(r feed.Row) bool { return r.Scope == t.scope }); i >= 0 {
			row.Row = held[i]
		} else {
			row.Removed, row.StillBlocked = true, listed || len(held) > 0
		}
		if !yield(row, nil) {
			return false
		}
	}
	return true
}

// heldOf are the rows of opt-outs of a number, and whether a list of the filter holds it. A list in doubt may hold any.
func (f *FeedAt) heldOf(n phone.Number) (held []feed.Row, listed bool, err error) {
	set, err := f.View.recordSet(n)
	if err != nil {
		return nil, false, err
	}
	listed, err = f.View.FeedHolds(n, f.filter)
	return optOutRows(n, set, f.filter, f.View.endedBy()), listed || f.doubts(), err
}

// doubts reports whether a list of the feed is in doubt.
func (f *FeedAt) doubts() bool { return slices.ContainsFunc(f.lists, listStep.isInDoubt) }

// isInDoubt reports whether a repair unloaded the list. One that was never loaded holds no number.
func (s listStep) isInDoubt() bool { return s.list != nil && !s.list.Loaded && s.list.wasLoaded() }

// Blocks reports whether any row of the feed blocks a number.
func (f *FeedAt) Blocks(n phone.Number) (bool, error) {
	held, listed, err := f.heldOf(n)
	return listed || len(held) > 0, err
}

// Lists are the lists of the filter that exist and are loaded.
func (f *FeedAt) Lists() (lists []*List) {
	for _, step := range f.lists {
		if step.list != nil && step.list.Loaded {
			lists = append(lists, step.list)
		}
	}
	return lists
}

// Gone are the lists whose rows go: they were deleted.
func (f *FeedAt) Gone() (ids []policy.EventID) {
	for _, step := range f.lists {
		if step.list == nil {
			ids = append(ids, step.id)
		}
	}
	return ids
}

// InDoubt are the lists that a repair unloaded: their rows stay as they are.
func (f *FeedAt) InDoubt() (ids []policy.EventID) {
	for _, step := range f.lists {
		if step.isInDoubt() {
			ids = append(ids, step.id)
		}
	}
	return ids
}

// ListPart is some numbers of a list that came or went.
type ListPart struct {
	List policy.EventID
	delta.Part
}

// ListParts yields what came to the lists of the feed and what went, list by list: all of a list that the follower does not
// have. Errors: ErrHistoryGone, when what the follower has can no longer be read; ErrDamaged, ErrDiskFull, ErrClosed, and the context's.
func (f *FeedAt) ListParts(ctx context.Context) iter.Seq2[ListPart, error] {
	return func(yield func(ListPart, error) bool) {
		for _, step := range f.lists {
			parts := f.differences(ctx, step)
			switch {
			case step.list == nil || !step.list.Loaded || step.from == step.list.ContentRevision:
				continue
			case step.from == 0:
				parts = f.wholeList(ctx, step.list)
			}
			for part, err := range parts {
				if !yield(ListPart{step.id, part}, err) || err != nil {
					return
				}
			}
		}
	}
}

// wholeList yields all numbers of a list as parts.
func (f *FeedAt) wholeList(ctx context.Context, l *List) iter.Seq2[delta.Part, error] {
	return func(yield func(delta.Part, error) bool) {
		var run []byte
		var last phone.Number
		part := delta.Part{}
		flush := func() bool {
			part.Ascending = run
			more := part.Numbers == 0 || yield(part, nil)
			part, run, last = delta.Part{}, nil, 0
			return more
		}
		for numbers, err := range f.View.Export(ctx, l) {
			if err != nil {
				yield(delta.Part{}, err)
				return
			}
			run = ascending.Append(run, last, numbers...)
			last = numbers[len(numbers)-1]
			if part.Numbers += len(numbers); part.Numbers >= delta.PartNumbers && !flush() {
				return
			}
		}
		flush()
	}
}

// differences yields what came to a list and what went.
func (f *FeedAt) differences(ctx context.Context, step listStep) iter.Seq2[delta.Part, error] {
	return func(yield func(delta.Part, error) bool) {
		d, release, err := f.s.sharedDelta(ctx, contentStep{step.id, step.from, step.list.ContentRevision})
		if errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: an earlier content of a list cannot be read", ErrHistoryGone)
		}
		if err != nil {
			yield(delta.Part{}, err)
			return
		}
		defer release()
		for i := range d.Parts() {
			part, err := d.Part(i)
			if err = errors.Join(err, f.s.feedStopped(ctx)); !yield(part, err) || err != nil {
				return
			}
		}
	}
}
