package store

import (
	"errors"
	"io/fs"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/stage"
)

// importMeta is what the stage remembers of an import's header.
type importMeta struct {
	List  policy.EventID
	Mode  Mode
	Date  policy.Date
	Files []string
}

const chunksFile = "chunks"

// listStages are those of imports of lists.
var listStages = stageKind[Chunk]{stageDir, chunksFile, stage.NewNumbers}

// openRequested opens the import that a request began, or begins it.
func (i *Import) openRequested(request string) error {
	i.id, i.requested = requestedImportID(request), true
	err := i.openAgain()
	if !errors.Is(err, ErrImportNotFound) {
		return err
	}
	if err = i.begin(i.id); errors.Is(err, fs.ErrExist) { // its stage began as another import
		return ErrRequestReused
	}
	return err
}

// openAgain opens what is staged for one caller, or, for any number of them, an import whose commit came before.
func (i *Import) openAgain() error {
	if !isImportID(i.id) {
		return ErrImportNotFound
	}
	alone := i.s.locks.Acquire(i.id)
	err := i.reopen(alone)
	if alone && (err != nil || i.committed != nil) {
		i.s.locks.Release(i.id)
	}
	return err
}

func (i *Import) reopen(alone bool) (err error) {
	if i.committed, err = i.findCommitted(); err != nil || i.committed != nil {
		return err
	}
	if !i.isStage(i.id) {
		return ErrImportNotFound
	}
	i.dir = i.path(i.id)
	if !alone {
		return ErrImportRunning
	}
	if err := i.s.writableFor(0); err != nil {
		return err
	}
	return i.openLog()
}
