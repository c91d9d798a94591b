package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dncd/dncd/store/internal/disk"
)

// resumePatience is how long an import that another caller sends is waited for: one whose caller was killed has it open
// until the server notices.
const resumePatience = 2 * time.Second

// continuation is what decides which stage is continued.
type continuation struct {
	// join reports that the import is under way, and needs no stage. It may be nil.
	join func() bool
	// wanted reports that there is something to continue in the stage of g.id, which no other caller has open.
	wanted func() (bool, error)
	// impatient: an import that another caller has committed is not waited for until its end.
	impatient bool
}

// continueLast opens the last stage that began as this import, under a new id, so that the caller who had it before can do no
// more with it. One that another caller has open is waited for a moment. If there is none, it begins a new one.
func (g *staging[C]) continueLast(ctx context.Context, by continuation) error {
	patience := time.After(resumePatience)
	for wait := true; ; {
		if by.join != nil && by.join() {
			return nil
		}
		busy, err := g.continueStaged(by, wait)
		if busy != "" {
			wait, err = g.awaitShut(ctx, busy, patience, by.impatient)
		} else if err == nil && g.log == nil {
			err = g.begin(newImportID())
		}
		if err != nil || g.log != nil {
			return err
		}
	}
}

// continueStaged opens the last stage that began as this import and is not done with. It skips one that another caller
// has open, or returns its id when it is to be waited for.
func (g *staging[C]) continueStaged(by continuation, wait bool) (busy string, err error) {
	stages, err := g.stages()
	if err != nil {
		return "", err
	}
	for _, id := range stages {
		if !g.s.locks.Acquire(id) {
			if wait {
				return id, nil
			}
			continue
		}
		if err := g.resumeStage(id, by.wanted); err != nil || g.log != nil {
			return "", err
		}
	}
	return "", nil
}

// stages are the ids of the imports that began as this one, the one last used first.
func (g *staging[C]) stages() ([]string, error) {
	files, err := os.ReadDir(filepath.Join(g.s.dir, g.kind.dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, disk.WriteError("find stage", err)
	}
	type candidate struct {
		id   string
		used time.Time
	}
	var found []candidate
	for _, f := range files {
		used, err := usedAt(g.path(f.Name()))
		if err == nil && f.IsDir() && isImportID(f.Name()) && g.isStage(f.Name()) {
			found = append(found, candidate{f.Name(), used})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return b.used.Compare(a.used) })
	var ids []string
	for _, s := range found {
		ids = append(ids, s.id)
	}
	return ids, nil
}

// resumeStage takes the stage of an import that this caller holds, and lets go of it where there is nothing to continue.
func (g *staging[C]) resumeStage(id string, wanted func() (bool, error)) error {
	g.id = id
	found, err := wanted()
	if found && err == nil {
		err = g.renameStage()
	}
	if g.log == nil {
		g.s.locks.Release(g.id)
	}
	return err
}

// renameStage gives a stage that this caller has open a new id, and opens it. One that is gone by then is skipped.
func (g *staging[C]) renameStage() error {
	if err := g.s.writableFor(0); err != nil {
		return err
	}
	id := newImportID()
	g.dir = g.path(id)
	if err := os.Rename(g.path(g.id), g.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return disk.WriteError("continue a stage", err)
	}
	g.s.locks.Rename(g.id, id)
	g.id = id
	if err := disk.SyncDir(filepath.Dir(g.dir)); err != nil {
		return err
	}
	return g.openLog()
}

// awaitShut waits until an import is released; false when that took too long.
func (g *staging[C]) awaitShut(ctx context.Context, id string, patience <-chan time.Time, impatient bool) (bool, error) {
	shut, committing := g.s.locks.HolderOf(id)
	if shut == nil {
		return true, nil
	}
	if committing && !impatient {
		patience = nil
	}
	select {
	case <-shut:
		return true, nil
	case <-patience:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-g.s.closing:
		return false, ErrClosed
	}
}
