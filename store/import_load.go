package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/nice"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/stage"
	"github.com/dncd/dncd/store/internal/state"
)

// largeLoad is a load worth a collection of its garbage.
const largeLoad = 1 << 20

// startLoads finishes what a crash interrupted, in the background. Content that no load waits for is deleted first, before
// any import can work out its own.
func (s *Store) startLoads() {
	s.sweepStage(0)
	s.sweepBlockFiles()
	s.run(s.sweepStages)
	for _, l := range s.View().Lists() {
		if l.Pending != 0 {
			s.run(func() { s.resumeLoad(l) })
		}
	}
}

func (s *Store) resumeLoad(l *List) {
	nice.Goroutine()
	ctx, release, err := s.locks.LockList(context.Background(), l.ID)
	if err != nil {
		return
	}
	defer release()
	receipt, err := s.finishLoad(ctx, l.ID, l.Pending, func(Progress) {})
	if err != nil {
		s.warnIf("finish the load that was interrupted", err)
		return
	}
	s.log.Info("finished the load that was interrupted", "list", l.Name, "revision", receipt.ID.Revision)
}

// finishLoad writes the blocks of a prepared load and switches to it. A full disk, or a file that cannot be written, makes
// it wait; a stage that is missing or damaged, or a command that takes the list over, ends it: then the load is abandoned and
// the view reloaded.
func (s *Store) finishLoad(ctx context.Context, id policy.EventID, prepared uint64, progress func(Progress)) (Receipt, error) {
	at, end := s.loading.begin(block.LoadID{List: id, Prepared: prepared})
	defer end()
	note := func(p Progress) {
		at.Store(&p)
		progress(p)
	}
	for waits := false; ; waits = true {
		receipt, err := s.tryLoad(ctx, id, prepared, note)
		switch {
		case errors.Is(err, ErrStage):
			return Receipt{}, errors.Join(err, s.abandonLoad(ctx, id, prepared))
		case errors.Is(err, ErrDamaged):
			s.noteDamage(err) // of blocks that the list shows
			return receipt, err
		case err == nil:
			s.respellSwitched(ctx, id)
			return receipt, nil
		case isFinal(err):
			return receipt, err
		case ctx.Err() != nil:
			return Receipt{}, context.Cause(ctx) // whatever the load met as it was stopped
		}
		if !waits {
			s.log.Warn("a load cannot be written and is tried again every second", "prepared", prepared, "err", err)
		}
		if err := s.pause(ctx, time.Second); err != nil {
			return Receipt{}, err
		}
	}
}

// isFinal reports an error that ends a load here: it is tried again after a restart, or another load has the list.
func isFinal(err error) bool {
	return slices.ContainsFunc([]error{ErrReadOnly, ErrStoriesDamaged, ErrClosed, ErrListNotFound, fault.ErrMoved}, func(e error) bool { return errors.Is(err, e) })
}

// pause waits, unless the load is taken over or the store closes.
func (s *Store) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.closing:
		return ErrClosed
	case <-time.After(d):
		return nil
	}
}

func (s *Store) tryLoad(ctx context.Context, id policy.EventID, prepared uint64, progress func(Progress)) (Receipt, error) {
	l := s.View().listByID(id)
	if l == nil || l.Pending != prepared {
		return Receipt{}, fault.ErrMoved
	}
	load := l.state.GetPendingLoad()
	in := loadInput{list: l, at: prepared - 1, mode: Mode(load.GetMode()), revertTo: load.GetRevertedTo()}
	if len(load.GetContent()) > 0 {
		in.staged = s.contentPath(id, load.GetContent())
		if err := stage.VerifyContent(in.staged, load.GetContent()); err != nil {
			return Receipt{}, err
		}
	}
	w := newBlockWriter(s, id, prepared, load.GetNumbers())
	err := s.putChanges(ctx, in, w, func(p Phase) { progress(Progress{p, w.numbers, load.GetNumbers()}) })
	f, err := w.end(err)
	if err != nil {
		return Receipt{}, err
	}
	return s.switchTo(l, load, w, f)
}

// putChanges works out a load and writes it.
func (s *Store) putChanges(ctx context.Context, in loadInput, w *blockWriter, progress func(Phase)) error {
	for c, err := range s.changes(ctx, in) {
		if s.isClosing() {
			return ErrClosed
		}
		if err != nil {
			return err
		}
		progress(PhaseWriting)
		if err := w.put(c); err != nil {
			return err
		}
	}
	progress(PhaseSwitching)
	return nil
}

// switchTo makes the list show the load, with its filter; the cache keeps what did not change.
func (s *Store) switchTo(l *List, load *storev1.Load, w *blockWriter, f *filter.Set) (Receipt, error) {
	if w.numbers != load.GetNumbers() {
		return Receipt{}, fmt.Errorf("%w: a load of %d numbers came to %d", ErrStage, load.GetNumbers(), w.numbers)
	}
	s.blocks.carry(l, w.prepared, w.wrote)
	receipt, err := s.submitWait(context.Background(), &pendingEvent{
		event: &storev1.Event{Change: &storev1.Event_LoadSwitched{LoadSwitched: &storev1.LoadSwitched{
			List: state.ListRef(l.ID), Prepared: w.prepared, Commits: w.commits, Crc: w.crc,
		}}},
		filter: f,
	})
	if err != nil {
		return receipt, err
	}
	s.blocks.forget(l)
	if len(load.GetContent()) > 0 {
		os.Remove(s.contentPath(l.ID, load.GetContent()))
	}
	if now := s.View().listByID(l.ID); now != nil && now.ContentRevision == w.prepared {
		s.warnIf("save a list's filter", s.saveListFilter(now, f))
		s.filterDir().KeepList(now.ID, now.filterName())
	}
	if load.GetNumbers() >= largeLoad {
		debug.FreeOSMemory() // the heap that the load took would stay with the process for minutes
	}
	return receipt, nil
}

// abandonLoad frees the list from a load that will not switch, and reloads the view, so that no later version of a
// block stays behind.
func (s *Store) abandonLoad(ctx context.Context, id policy.EventID, prepared uint64) error {
	_, err := s.submitWait(ctx, &pendingEvent{event: &storev1.Event{Change: &storev1.Event_LoadAbandoned{
		LoadAbandoned: &storev1.LoadAbandoned{List: state.ListRef(id), Prepared: prepared},
	}}})
	if err != nil {
		return err
	}
	s.dropBlockFile(block.LoadID{List: id, Prepared: prepared})
	return s.reload(ctx, id)
}

// reload writes the current view of a list over the versions that a load left behind.
func (s *Store) reload(ctx context.Context, id policy.EventID) error {
	l := s.View().listByID(id)
	if l == nil || l.ContentRevision == 0 {
		return nil
	}
	load := apply.WithoutSources(l.state.GetLoad())
	load.Mode, load.Content = storev1.LoadMode_LOAD_MODE_RELOAD, nil
	receipt, err := s.submitPrepared(ctx, l, load, Request{})
	if err != nil {
		return err
	}
	_, err = s.finishLoad(ctx, id, receipt.ID.Revision, func(Progress) {})
	return err
}

func (s *Store) submitPrepared(ctx context.Context, l *List, load *storev1.Load, r Request) (Receipt, error) {
	w, err := newPendingEvent(&storev1.Event{Change: &storev1.Event_LoadPrepared{
		LoadPrepared: &storev1.LoadPrepared{List: state.ListRef(l.ID), Load: load, Base: l.ContentRevision},
	}}, r)
	if err != nil {
		return Receipt{}, err
	}
	return s.submitWait(ctx, w)
}
