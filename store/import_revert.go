package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// Revert brings back the numbers, snapshot date and coverage that a list had before its last load. It is a load of its
// own, whose content is the older view: guarded, switched to atomically, and undone by the next Revert. Of h it takes List,
// Guards, DryRun, Override, TakeOver and Request; dates are not compared. The same request again gives the result of the
// first. Errors: ErrListNotFound, ErrNothingToRevert, ErrImportRunning, ErrTakenOver, ErrDiskFull and what else refuses
// writes.
func (s *Store) Revert(ctx context.Context, h Header, progress func(Progress)) (Result, error) {
	l, err := s.listOf(h)
	if err != nil {
		return Result{}, err
	}
	if err := s.writableFor(0); err != nil {
		return Result{}, err
	}
	i := s.newRevert(l.ID, h)
	for {
		if err := i.findRequested(); err != nil {
			return Result{}, err
		}
		if i.committed != nil {
			return i.repeatCommit(ctx, nil, progress)
		}
		r, err := i.revert(ctx, progress)
		if !errors.Is(err, errReverted) {
			return r, err
		}
	}
}

func (s *Store) newRevert(list policy.EventID, h Header) *Import {
	i := &Import{staging: staging[Chunk]{s: s, id: newImportID()}, list: list, started: time.Now()}
	if h.Request.ID != "" {
		i.id, i.requested = requestedImportID(h.Request.ID), true
	}
	h.Mode, h.Request.ID = Revert, "" // which names the import
	i.header = h
	return i
}

// findRequested finds what another attempt of the same request came to.
func (i *Import) findRequested() (err error) {
	if i.requested {
		i.committed, err = i.findCommitted()
	}
	return err
}

// errReverted says that another attempt of the same revert was first.
var errReverted = errors.New("the request was carried out meanwhile")

func (i *Import) revert(ctx context.Context, progress func(Progress)) (Result, error) {
	return i.run(ctx, progress, func(owned context.Context) (prepared, error) {
		if err := i.findRequested(); err != nil {
			return prepared{}, err
		}
		if i.committed != nil {
			return prepared{}, errReverted
		}
		p, err := i.s.planRevert(i.s.View().listByID(i.list))
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
	coverage, all := coverageOfRevert(past, l.Settings.Coverage)
	return &plan{
		mode:     Revert,
		covers:   true,
		date:     policy.Date(past.GetSnapshotDate()),
		coverage: coverage,
		all:      all,
		prefixes: phonePrefixes(slices.Concat(coverage, l.Coverage)),
		past:     past,
	}, nil
}

// coverageOfRevert is the part of a past load's coverage that is declared now.
func coverageOfRevert(past *storev1.Load, declared []string) (coverage []string, all bool) {
	switch {
	case past.GetCoversAll():
		return declared, len(declared) == 0
	case len(declared) == 0:
		return past.GetEffectiveCoverage(), false
	}
	then, now := phonePrefixes(past.GetEffectiveCoverage()), phonePrefixes(declared)
	return prefixStrings(slices.Concat(within(then, now), within(now, then))), false
}

// within are the prefixes that begin with any of the outer ones.
func within(prefixes, outer []phone.Prefix) []phone.Prefix {
	set := phone.NewPrefixSet(outer)
	return slices.DeleteFunc(slices.Clone(prefixes), func(p phone.Prefix) bool { return set.Index(phone.Number(p)) < 0 })
}

// loadBefore is the load that the list showed just before it switched to its last one: with the coverage of settings that
// changed since, and a date that was confirmed. Its reverted_to is the content revision of then. Reloads of the same view, and what
// respelled it, do not count.
func (s *Store) loadBefore(l *List) (*storev1.Load, error) {
	txn := s.db.NewTransactionAt(s.View().revision, false)
	defer txn.Discard()
	for revision := l.ContentRevision; revision != 0; {
		var e storev1.ImportEntry
		found, err := state.Get(txn, keys.Import(l.ID, revision), &e)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("%w: the import of a load is missing", ErrDamaged)
		}
		if mode := Mode(e.GetLoad().GetMode()); mode != Reload && mode != Respell {
			return s.loadAt(l.ID, e.GetEnded()-1, e.GetBase())
		}
		revision = e.GetBase()
	}
	return nil, ErrNothingToRevert
}

// loadAt is the load that a list showed at a revision, when its content revision was base.
func (s *Store) loadAt(id policy.EventID, revision, base uint64) (*storev1.Load, error) {
	if base == 0 {
		return nil, ErrNothingToRevert
	}
	txn := s.db.NewTransactionAt(revision, false)
	defer txn.Discard()
	var then storev1.ListState
	found, err := state.Get(txn, keys.List(id), &then)
	if err != nil {
		return nil, err
	}
	if !found || then.GetVisible() != base {
		return nil, fmt.Errorf("%w: the list as it was before its last load is missing", ErrDamaged)
	}
	past := then.GetLoad()
	past.RevertedTo = base
	return past, nil
}
