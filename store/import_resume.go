package store

import (
	"context"
	"os"
)

// ResumeImport continues the last import of the same list, mode, snapshot date and files that was not committed, or that a
// guard refused. It gets a new id, so that the caller who had it before can do no more with it. If such an import was
// committed and is being written, its load is joined: it takes a commit with the same digest, and no chunks. Else a new
// import begins. One that takes the list over joins none; its commit abandons the load. An import that another caller has
// open is waited for a moment, and one that is committed and not to be taken over until ctx ends. A dry run always begins a
// new one: it drops its stage in the end. Errors: those of BeginImport, and the context's.
func (s *Store) ResumeImport(ctx context.Context, h Header) (*Import, error) {
	h.ImportID = ""
	if h.DryRun {
		return s.BeginImport(h)
	}
	i, err := s.newImport(h)
	if err != nil {
		return nil, err
	}
	if err := i.continueLast(ctx, continuation{join: i.join, wanted: i.isUnloaded, impatient: i.header.TakeOver}); err != nil {
		return nil, err
	}
	return i, nil
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
	i.committed = &earlierCommit{prepared: l.Pending}
	return true
}

// isUnloaded reports that a stage was not loaded and is not being loaded, unless by a load that is to be taken over. What a
// load left that was finished after a restart is dropped.
func (i *Import) isUnloaded() (bool, error) {
	e, err := i.s.View().importNamed(i.list, i.id)
	switch {
	case err != nil:
		return false, err
	case e == nil || e.State == ImportAbandoned:
		return true, nil
	case e.State == ImportPrepared:
		return i.header.TakeOver, nil
	}
	i.s.warnIf("drop a stage", os.RemoveAll(i.path(i.id)))
	return false, nil
}
