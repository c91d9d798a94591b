package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// resumePatience is how long an import that another caller sends is waited for: one whose caller was killed has it open
// until the server notices.
const resumePatience = 2 * time.Second

// ResumeImport goes on with the last import of the same list, mode, snapshot date and files that was not committed, or
// that a guard refused. It gets a new id, so that the caller who had it before is gone for good. Where such an import was
// committed and is being written, its load is joined: it takes a commit with the same digest, and no chunks. Else a new
// import begins. One that takes over joins none; its commit abandons the load. An import that another caller holds is
// waited for a moment, and one that is committed and not to be taken over until ctx ends. A dry run always begins anew:
// it drops its stage in the end. Errors: those of BeginImport, and the context's.
func (s *Store) ResumeImport(ctx context.Context, h Header) (*Import, error) {
	h.ImportID = ""
	if h.DryRun {
		return s.BeginImport(h)
	}
	i, err := s.newImport(h)
	if err != nil {
		return nil, err
	}
	patience := time.After(resumePatience)
	for wait := true; ; {
		if i.join() {
			return i, nil
		}
		busy, err := i.goOnStaged(wait)
		if busy != "" {
			wait, err = i.awaitShut(ctx, busy, patience)
		} else if err == nil && i.log == nil {
			err = i.open(newImportID())
		}
		if err != nil {
			return nil, err
		}
		if i.log != nil {
			return i, nil
		}
	}
}

// join takes up the load of an import that began as this one and is being written.
func (i *Import) join() bool {
	l := i.s.View().listByID(i.list)
	if l == nil || l.Pending == 0 || i.header.TakeOver {
		return false
	}
	load := l.state.GetPendingLoad()
	if Mode(load.GetMode()) == Reload || !i.isStage(load.GetImportId()) {
		return false
	}
	i.id, i.joined = load.GetImportId(), true
	i.committed = &committed{prepared: l.Pending}
	return true
}

// goOnStaged opens the last stage that began as this import and is not done with. It passes over one that another caller
// holds, or tells which that is when it is to be waited for.
func (i *Import) goOnStaged(wait bool) (busy string, err error) {
	stages, err := i.stages()
	if err != nil {
		return "", err
	}
	for _, id := range stages {
		if !i.s.imports.open(id) {
			if wait {
				return id, nil
			}
			continue
		}
		if err := i.takeStage(id); err != nil || i.log != nil {
			return "", err
		}
	}
	return "", nil
}

// stages are the ids of the imports that began as this one, the one last used first.
func (i *Import) stages() ([]string, error) {
	files, err := os.ReadDir(filepath.Join(i.s.dir, stageDir))
	if err != nil {
		return nil, stageError("find stage", err)
	}
	type stage struct {
		id   string
		used time.Time
	}
	var found []stage
	for _, f := range files {
		used, err := usedAt(i.s.stagePath(f.Name()))
		if err == nil && f.IsDir() && i.isStage(f.Name()) {
			found = append(found, stage{f.Name(), used})
		}
	}
	slices.SortFunc(found, func(a, b stage) int { return b.used.Compare(a.used) })
	var ids []string
	for _, s := range found {
		ids = append(ids, s.id)
	}
	return ids, nil
}

// takeStage takes the stage of an import that this caller holds, and lets go of it where there is nothing to go on with.
func (i *Import) takeStage(id string) error {
	i.id = id
	wanted, err := i.wanted()
	if wanted && err == nil {
		err = i.renameStage()
	}
	if i.log == nil {
		i.s.imports.shut(i.id)
	}
	return err
}

// wanted reports that a stage was not loaded and is not being loaded, unless by a load that is to be taken over. What a
// load left that was finished after a restart is dropped.
func (i *Import) wanted() (bool, error) {
	e, err := i.s.View().importNamed(i.list, i.id)
	switch {
	case err != nil:
		return false, err
	case e == nil || e.State == ImportAbandoned:
		return true, nil
	case e.State == ImportPrepared:
		return i.header.TakeOver, nil
	}
	i.s.warnIf("drop a stage", os.RemoveAll(i.s.stagePath(i.id)))
	return false, nil
}

// renameStage gives a stage that this caller holds a new id, and opens it; one that is gone meanwhile is left alone.
func (i *Import) renameStage() error {
	if err := i.s.writableFor(0); err != nil {
		return err
	}
	id := newImportID()
	i.dir = i.s.stagePath(id)
	if err := os.Rename(i.s.stagePath(i.id), i.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return stageError("continue a stage", err)
	}
	i.s.imports.rename(i.id, id)
	i.id = id
	if err := syncDir(filepath.Dir(i.dir)); err != nil {
		return err
	}
	return i.openLog()
}

// awaitShut waits until nobody holds an import; false when it took longer than it is worth.
func (i *Import) awaitShut(ctx context.Context, id string, patience <-chan time.Time) (bool, error) {
	shut, committing := i.s.imports.holder(id)
	if shut == nil {
		return true, nil
	}
	if committing && !i.header.TakeOver {
		patience = nil
	}
	select {
	case <-shut:
		return true, nil
	case <-patience:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-i.s.closing:
		return false, ErrClosed
	}
}
