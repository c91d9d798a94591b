package store

import (
	"context"
	"fmt"
	"time"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// Revert brings back the numbers, snapshot date and coverage that a list had before its last load. It is a load of its
// own, whose content is the older view: guarded, switched to at once, and undone by the next Revert. Of h it takes List,
// Guards, DryRun, Override, TakeOver and Request; dates are not compared. Errors: ErrListNotFound, ErrNothingToRevert,
// ErrImportRunning, ErrTakenOver, ErrDiskFull and what else refuses writes.
func (s *Store) Revert(ctx context.Context, h Header, progress func(done, total uint64)) (Result, error) {
	l, err := s.View().List(h.List)
	if err != nil {
		return Result{}, err
	}
	if err := s.writableFor(0); err != nil {
		return Result{}, err
	}
	h.Mode = Revert
	i := &Import{s: s, id: newImportID(), header: h, list: l.ID, started: time.Now()}
	return i.run(ctx, progress, func(owned context.Context) (prepared, error) {
		p, err := s.planRevert(s.View().listByID(l.ID))
		if err != nil {
			return prepared{}, err
		}
		n := p.past.GetNumbers()
		return i.prepare(ctx, owned, &Commit{Read: n}, content{numbers: n}, progress)
	})
}

// planRevert finds the view before the last load.
func (s *Store) planRevert(l *List) (*plan, error) {
	if l == nil {
		return nil, ErrListNotFound
	}
	past, err := s.loadBefore(l)
	if err != nil {
		return nil, err
	}
	return &plan{
		mode:     Revert,
		date:     policy.Date(past.GetSnapshotDate()),
		prefixes: phonePrefixes(l.Coverage),
		past:     past,
	}, nil
}

// loadBefore is the load that the list showed before its last one, with reverted_to set to its visible. Reloads of the
// same view do not count.
func (s *Store) loadBefore(l *List) (*storev1.Load, error) {
	txn := s.db.NewTransactionAt(s.View().revision, false)
	defer txn.Discard()
	reloads := true
	for visible := l.Visible; visible != 0; {
		var e storev1.ImportEntry
		found, err := getMessage(txn, importKey(l.ID, visible), &e)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("%w: the import of a load is missing", ErrDamaged)
		}
		if !reloads {
			past := withoutSources(e.GetLoad())
			past.RevertedTo = visible
			return past, nil
		}
		reloads = e.GetLoad().GetMode() == storev1.LoadMode_LOAD_MODE_RELOAD
		visible = e.GetBase()
	}
	return nil, ErrNothingToRevert
}
