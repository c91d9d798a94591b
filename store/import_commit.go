package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/dncd/dncd/internal/nice"
	"github.com/dncd/dncd/store/internal/locks"
)

// Commit compares the staged numbers with the list, evaluates the guards, and loads. It returns once the list has switched.
// When ctx ends after the load was prepared, the load continues without the caller, who may begin the import again by its id
// and commit again for the result. Errors: ErrChunksMissing, ErrCounts, ErrSnapshotDate, ErrImportRunning, ErrListNotFound,
// ErrTakenOver, ErrDiskFull and what else refuses writes. A repeated commit gets the progress of the load that is being
// written; its errors are ErrImportNotFound when the load was abandoned, and ErrImportRunning when its content was another.
func (i *Import) Commit(ctx context.Context, c Commit, progress func(Progress)) (Result, error) {
	if i.committed != nil {
		return i.repeatCommit(ctx, c.Digest, progress)
	}
	if err := i.check(&c); err != nil {
		return Result{}, err
	}
	i.s.locks.MarkCommitting(i.id)
	return i.run(ctx, progress, func(owned context.Context) (prepared, error) {
		p, err := i.matchLastLoad(owned, &c)
		if p.done || err != nil {
			return p, err
		}
		staged, err := i.s.sortContent(ctx, i.list, i.log, i.dir)
		if err != nil {
			return prepared{}, err
		}
		if staged.numbers+staged.duplicates != i.log.Entries {
			return prepared{}, fmt.Errorf("%w: of %d numbers %d were found again", ErrStage, i.log.Entries, staged.numbers+staged.duplicates)
		}
		return i.prepare(ctx, owned, &c, staged, progress)
	})
}

// run takes the list, has the load prepared, and finishes it.
func (i *Import) run(ctx context.Context, progress func(Progress), prepare func(owned context.Context) (prepared, error)) (Result, error) {
	if i.takesOver() {
		i.s.locks.Interrupt(i.list)
	}
	owned, release, err := i.s.locks.LockList(ctx, i.list)
	if err != nil {
		return Result{}, err
	}
	handedOver := false
	defer func() {
		if !handedOver {
			release()
		}
	}()
	if err := i.freeList(owned); err != nil {
		return Result{}, locks.Because(owned, err)
	}
	p, err := prepare(owned)
	err = locks.Because(owned, err)
	if err != nil && i.s.isClosing() {
		err = errors.Join(ErrClosed, err)
	}
	if err != nil {
		return Result{}, err
	}
	if p.done {
		i.s.results.keep(i.resultKey(), p.result)
		i.dropStage(p)
		return p.result, nil
	}
	handedOver = true
	return i.loadDetached(ctx, owned, release, p, progress)
}

// check refuses a commit that does not account for its chunks and entries.
func (i *Import) check(c *Commit) error {
	digest, err := i.settle(c.Chunks, c.Digest)
	if err != nil {
		return err
	}
	if sent := i.log.Entries + i.log.Rejected; !addUp(c.Read, sent, c.Rejected, c.Empty) || c.Rows > c.Read {
		return fmt.Errorf("%w: %d read are not %d sent, %d rejected and %d empty, or not of %d rows", ErrCounts, c.Read, sent, c.Rejected, c.Empty, c.Rows)
	}
	c.Digest = digest
	c.Rejected += i.log.Rejected
	if _, err := parsePrefixes(slices.Concat(c.FileCoverage, c.Inferred)); err != nil {
		return fmt.Errorf("%w: coverage: %w", ErrSettings, err)
	}
	return nil
}

// addUp reports whether parts make up a whole; a sum that wraps around does not.
func addUp(whole uint64, parts ...uint64) bool {
	for _, part := range parts {
		if part > whole {
			return false
		}
		whole -= part
	}
	return whole == 0
}

// takesOver reports that a prepared load of the list is to be abandoned. A dry run changes nothing.
func (i *Import) takesOver() bool { return i.header.TakeOver && !i.header.DryRun }

// freeList abandons a prepared load of the list, if the caller takes the list over.
func (i *Import) freeList(ctx context.Context) error {
	l := i.s.View().listByID(i.list)
	if l == nil {
		return ErrListNotFound
	}
	if l.Pending == 0 {
		return nil
	}
	if !i.takesOver() {
		return ErrImportRunning
	}
	return i.s.abandonLoad(ctx, i.list, l.Pending)
}

// loadDetached loads in a task of its own, which a caller who goes away does not stop.
func (i *Import) loadDetached(ctx, owned context.Context, release func(), p prepared, progress func(Progress)) (Result, error) {
	type ending struct {
		receipt Receipt
		err     error
	}
	ended := make(chan ending, 1)
	var mu sync.Mutex // progress is not called once Commit has returned
	gone := false
	report := func(at Progress) {
		mu.Lock()
		defer mu.Unlock()
		if !gone {
			progress(at)
		}
	}
	i.s.run(func() {
		nice.Goroutine()
		receipt, err := i.s.finishLoad(owned, i.list, p.revision, report)
		if err == nil {
			i.discard(content{})
		}
		release() // before the caller hears: the list is free for what it does next
		ended <- ending{receipt, err}
	})
	defer func() {
		mu.Lock()
		gone = true
		mu.Unlock()
	}()
	select {
	case e := <-ended:
		p.result.Receipt = e.receipt
		p.result.Elapsed = time.Since(i.started)
		return p.result, e.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// discard drops what is staged, and sorted.
func (i *Import) discard(staged content) {
	i.drop(i.dir)
	i.drop(staged.path)
}

func (i *Import) drop(path string) {
	if path != "" {
		i.s.warnIf("drop a stage", os.RemoveAll(path))
	}
}

// dropStage drops the stage of an import that ended before anything was written, or keeps it for a caller who wants it
// loaded all the same: what a guard refused, the last of the list.
func (i *Import) dropStage(p prepared) {
	if !i.isRefusedForNow(&p.result) {
		i.discard(p.staged)
		return
	}
	i.drop(p.staged.path)
	if before, kept := i.s.refused.Swap(i.list, i.id); kept {
		i.s.dropUnused(stageDir, before.(string), 0)
	}
}

// isRefusedForNow reports that an import may be committed again and loaded then, and that the disk has room for another
// one beside it.
func (i *Import) isRefusedForNow(r *Result) bool {
	final := slices.ContainsFunc(r.GuardFailures, func(f GuardFailure) bool { return f.Guard == GuardEmpty })
	return i.log != nil && r.Refused && !r.DryRun && !final && i.s.writableFor(i.log.Size) == nil
}
