package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// importMeta is what the stage remembers of an import's header.
type importMeta struct {
	List  policy.EventID
	Mode  Mode
	Date  policy.Date
	Files []string
}

func (m importMeta) equal(o importMeta) bool {
	return m.List == o.List && m.Mode == o.Mode && m.Date == o.Date && slices.Equal(m.Files, o.Files)
}

func (i *Import) meta() importMeta {
	return importMeta{i.list, i.header.Mode, i.header.SnapshotDate, i.header.Files}
}

// The files of an import's stage.
const (
	metaFile   = "import.json"
	chunksFile = "chunks"
)

// open begins an import under a new id.
func (i *Import) open(id string) error {
	if err := i.s.writableFor(0); err != nil {
		return err
	}
	i.id = id
	if !i.s.imports.open(i.id) { // before anybody can find it
		return ErrImportRunning
	}
	err := i.makeStage()
	if err == nil {
		err = i.openLog()
	}
	if err != nil {
		i.s.imports.shut(i.id)
	}
	return err
}

// openRequested opens the import that a request began, or begins it.
func (i *Import) openRequested(request string) error {
	i.id, i.requested = requestedImportID(request), true
	err := i.openAgain()
	if !errors.Is(err, ErrImportNotFound) {
		return err
	}
	if err = i.open(i.id); errors.Is(err, fs.ErrExist) { // its stage began as another import
		return ErrRequestReused
	}
	return err
}

// openAgain opens what is staged for one caller, or, for any number of them, an import whose commit came before.
func (i *Import) openAgain() error {
	if b, err := hex.DecodeString(i.id); err != nil || len(b) != importIDBytes { // the store did not make it
		return ErrImportNotFound
	}
	alone := i.s.imports.open(i.id)
	err := i.goOn(alone)
	if alone && (err != nil || i.committed != nil) {
		i.s.imports.shut(i.id)
	}
	return err
}

func (i *Import) goOn(alone bool) (err error) {
	if i.committed, err = i.findCommitted(); err != nil || i.committed != nil {
		return err
	}
	if err := i.findStage(); err != nil {
		return err
	}
	if !alone {
		return ErrImportRunning
	}
	if err := i.s.writableFor(0); err != nil {
		return err
	}
	return i.openLog()
}

// openLog opens what is staged. A stage that cannot be read does not count as used, so that it is swept some day.
func (i *Import) openLog() (err error) {
	if i.log, err = openChunkLog(filepath.Join(i.dir, chunksFile)); err == nil {
		i.touch()
	}
	return err
}

// touch marks the stage as used, unless it was dropped at the end of its load.
func (i *Import) touch() {
	now := time.Now()
	if err := os.Chtimes(i.dir, now, now); !errors.Is(err, fs.ErrNotExist) {
		i.s.warnIf("mark a stage as used", err)
	}
}

func newImportID() string {
	var b [importIDBytes]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// requestedImportID is the id of the import that a request begins.
func requestedImportID(request string) string {
	sum := sha256.Sum256([]byte("import\x00" + request))
	return hex.EncodeToString(sum[:importIDBytes])
}

const importIDBytes = 12

func (i *Import) makeStage() error {
	i.dir = i.s.stagePath(i.id)
	if err := os.Mkdir(i.dir, 0o700); err != nil {
		return stageError("make stage", err)
	}
	meta, err := json.Marshal(i.meta())
	if err != nil {
		return stageError("make stage", err)
	}
	err = writeFile(filepath.Join(i.dir, metaFile), func(w io.Writer) error {
		_, err := w.Write(meta)
		return err
	})
	if err != nil {
		return stageError("make stage", err)
	}
	return syncDir(filepath.Dir(i.dir))
}

// findStage finds the stage of an import to go on with.
func (i *Import) findStage() error {
	if !i.isStage(i.id) {
		return ErrImportNotFound
	}
	i.dir = i.s.stagePath(i.id)
	return nil
}

// isStage reports whether an import of that id is staged that began as this one.
func (i *Import) isStage(id string) bool {
	b, err := os.ReadFile(filepath.Join(i.s.stagePath(id), metaFile))
	if err != nil {
		return false
	}
	var meta importMeta
	return json.Unmarshal(b, &meta) == nil && meta.equal(i.meta())
}

func (s *Store) stagePath(id string) string { return filepath.Join(s.dir, stageDir, id) }
