package store

import (
	"context"
	"errors"
	"time"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/compare"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/state"
)

// prepared is a load that is ready to be written, or that came to its end before.
type prepared struct {
	result   Result
	staged   content
	revision uint64
	done     bool
}

// prepare compares, guards and, when there is something to load, commits the event. A list that changes during that is
// compared again.
func (i *Import) prepare(ctx, owned context.Context, c *Commit, staged content, progress func(Progress)) (prepared, error) {
	for {
		p, err := i.tryPrepare(ctx, owned, c, staged, progress)
		p.staged = staged
		if !errors.Is(err, fault.ErrMoved) {
			return p, err
		}
	}
}

func (i *Import) tryPrepare(ctx, owned context.Context, c *Commit, staged content, progress func(Progress)) (prepared, error) {
	l := i.s.View().listByID(i.list)
	if l == nil {
		return prepared{}, ErrListNotFound
	}
	plan, err := i.plan(l, c)
	if err != nil {
		return prepared{}, err
	}
	in := loadInput{list: l, at: l.ContentRevision, mode: plan.mode, staged: staged.path, sha: staged.sha[:], revertTo: plan.past.GetRevertedTo()}
	total := staged.numbers + l.Numbers
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(i.s.locks.Context(), cancel)()
	cmp, err := i.s.compare(ctx, in, plan.prefixes, func(done uint64) { progress(Progress{PhaseComparing, min(done, total), total}) })
	if err != nil {
		return prepared{}, err
	}
	if err := i.showOutside(ctx, in, plan, cmp); err != nil {
		return prepared{}, err
	}
	return i.judge(owned, l, c, plan, staged, cmp)
}

// judge evaluates the guards for a load that was compared, and decides.
func (i *Import) judge(owned context.Context, l *List, c *Commit, plan *plan, staged content, cmp *compare.Comparison) (prepared, error) {
	plan.keepCoverage(l, c, cmp)
	load := plan.load(i, l, c, staged, cmp)
	result := i.result(l, load, plan, cmp)
	result.GuardFailures = guard(l, i.header, c, plan, cmp, staged.numbers)
	result.Refused = refuses(result.GuardFailures, i.header.Override)
	if i.header.Override {
		noteOverridden(load, result.GuardFailures)
	}
	return i.decide(owned, l, load, cmp, result)
}

// decide ends the import here, or commits that it is prepared: with the list's own context, so that a caller who goes
// away does not leave its outcome unknown.
func (i *Import) decide(ctx context.Context, l *List, load *storev1.Load, cmp *compare.Comparison, result Result) (prepared, error) {
	v := i.s.View()
	result.Receipt = Receipt{ID: policy.EventID{Revision: v.revision}, JournalID: v.JournalID(), Tag: string(v.Tag())}
	result.Elapsed = time.Since(i.started)
	switch {
	case result.Refused, i.header.DryRun:
		return prepared{result: result, done: true}, nil
	case l.Loaded && cmp.IsUnchanged():
		return i.confirm(ctx, l, load, result)
	}
	receipt, err := i.s.submitPrepared(ctx, l, load, i.header.Request)
	return prepared{result: result, revision: receipt.ID.Revision}, err
}

// confirm applies the date and coverage of a load that changes no number.
func (i *Import) confirm(ctx context.Context, l *List, load *storev1.Load, result Result) (prepared, error) {
	result.AlreadyLoaded = true
	now := l.state.GetLoad()
	if now.GetSnapshotDate() == load.GetSnapshotDate() && sameCoverage(now, load) {
		return prepared{result: result, done: true}, nil
	}
	load.Content = nil
	receipt, err := i.s.record(ctx, &storev1.Event{Change: &storev1.Event_LoadConfirmed{
		LoadConfirmed: &storev1.LoadConfirmed{List: state.ListRef(l.ID), Load: load, Base: l.ContentRevision},
	}}, i.header.Request)
	result.Receipt = receipt
	return prepared{result: result, done: true}, err
}

func (i *Import) result(l *List, load *storev1.Load, plan *plan, cmp *compare.Comparison) Result {
	m := load.GetCounts()
	return Result{
		ImportID: i.id,
		Counts: Counts{
			Read: m.GetRead(), Accepted: m.GetAccepted(), Duplicates: m.GetDuplicates(), Rejected: m.GetRejected(),
			Added: m.GetAdded(), Removed: m.GetRemoved(), Unchanged: m.GetUnchanged(), Empty: m.GetEmpty(), Rows: m.GetRows(),
		},
		DryRun:        i.header.DryRun,
		Numbers:       cmp.Numbers(),
		Outside:       cmp.Outside,
		SnapshotDate:  plan.date,
		Stale:         l.isStaleOf(plan.date, i.s.Now()),
		ContentSHA256: cmp.Result,
	}
}
