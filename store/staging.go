package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dncd/dncd/internal/chunkhash"
)

// staging is what an import has on disk before anything of it counts: a directory with what its header said, and its chunks.
type staging[C stagedChunk] struct {
	s     *Store
	kind  stageKind[C]
	id    string
	dir   string
	began any          // what the stage remembers of the header: an import is continued by one that began alike
	log   *stageLog[C] // nil: not open, or committed
}

// stageKind is where the imports of one kind are staged, and how.
type stageKind[C any] struct {
	dir, file string
	codec     func() chunkCodec[C]
}

// stagedChunk is a chunk of either kind of import.
type stagedChunk interface {
	key() (seq uint64, hash chunkhash.Hash)
}

// metaFile is the file of a stage that tells how the import began. Its chunks lie beside it.
const metaFile = "import.json"

// ID names the import, to go on with it later.
func (g *staging[C]) ID() string { return g.id }

// LastChunk is the last chunk that is staged; 0: none, or committed.
func (g *staging[C]) LastChunk() uint64 {
	if g.log == nil {
		return 0
	}
	return g.log.last
}

// ChunkHashes are those of the chunks that are staged, from the first on; none once committed.
func (g *staging[C]) ChunkHashes() []chunkhash.Hash {
	if g.log == nil {
		return nil
	}
	return g.log.hashes()
}

// Sync makes durable what was put. Errors: ErrDiskFull.
func (g *staging[C]) Sync() error {
	if g.log == nil {
		return nil
	}
	return g.s.opt.faults.do(stepChunkSync, g.log.sync)
}

// put stages a chunk that takes so many bytes; it is durable once Sync has returned. One that is staged already is passed
// over; one with another hash takes the place of the staged one and of all behind it. Errors: ErrChunkOrder, ErrTooLarge,
// ErrDiskFull.
func (g *staging[C]) put(c C, size int64, at step) error {
	seq, hash := c.key()
	if g.log == nil || g.log.holds(seq, hash) {
		return nil
	}
	if seq > g.log.last+1 {
		return ErrChunkOrder
	}
	if err := g.s.writableFor(size); err != nil {
		return err
	}
	if err := g.log.cut(seq - 1); err != nil {
		return err
	}
	return g.s.opt.faults.do(at, func() error { return g.log.append(c) })
}

// settle holds the log against a commit. It drops the chunks behind the last one of a digest that is that of all before
// them: the caller's files hold less than when they were staged. It returns the digest of the chunks. Errors: ErrChunksMissing.
func (g *staging[C]) settle(chunks uint64, digest []byte) ([]byte, error) {
	hashes := g.log.hashes()
	if len(digest) > 0 && chunks < uint64(len(hashes)) && bytes.Equal(digest, chunkhash.Digest(hashes[:chunks])) {
		if err := g.log.cut(chunks); err != nil {
			return nil, err
		}
		hashes = hashes[:chunks]
	}
	if chunks != g.log.last {
		return nil, fmt.Errorf("%w: %d of %d", ErrChunksMissing, g.log.last, chunks)
	}
	staged := chunkhash.Digest(hashes)
	if len(digest) > 0 && !bytes.Equal(digest, staged) {
		return nil, fmt.Errorf("%w: the commit is of other chunks", ErrChunksMissing)
	}
	return staged, nil
}

// open begins an import under a new id.
func (g *staging[C]) open(id string) error {
	if err := g.s.writableFor(0); err != nil {
		return err
	}
	g.id = id
	if !g.s.imports.open(g.id) { // before anybody can find it
		return ErrImportRunning
	}
	err := g.makeStage()
	if err == nil {
		err = g.openLog()
	}
	if err != nil {
		g.s.imports.shut(g.id)
	}
	return err
}

// openLog opens what is staged. A stage that cannot be read does not count as used, so that it is swept some day.
func (g *staging[C]) openLog() (err error) {
	if g.log, err = continueStageLog(filepath.Join(g.dir, g.kind.file), g.kind.codec()); err == nil {
		g.touch()
	}
	return err
}

// closeLog ends this use of what is staged.
func (g *staging[C]) closeLog() error {
	defer g.s.imports.shut(g.id)
	g.touch()
	return g.log.close()
}

// touch marks the stage as used, unless it was dropped at the end of its load.
func (g *staging[C]) touch() {
	now := time.Now()
	if err := os.Chtimes(g.dir, now, now); !errors.Is(err, fs.ErrNotExist) {
		g.s.warnIf("mark a stage as used", err)
	}
}

const importIDBytes = 12

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

// isImportID reports whether the store may have made an id.
func isImportID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == importIDBytes
}

// makeStage makes the directory of a new import, durably. Errors: fs.ErrExist when there is one.
func (g *staging[C]) makeStage() error {
	g.dir = g.path(g.id)
	if err := os.MkdirAll(filepath.Dir(g.dir), 0o700); err != nil {
		return stageError("make stage", err)
	}
	if err := os.Mkdir(g.dir, 0o700); err != nil {
		return stageError("make stage", err)
	}
	meta, err := json.Marshal(g.began)
	if err != nil {
		return stageError("make stage", err)
	}
	err = writeFile(filepath.Join(g.dir, metaFile), func(w io.Writer) error {
		_, err := w.Write(meta)
		return err
	})
	if err != nil {
		return stageError("make stage", err)
	}
	return errors.Join(syncDir(filepath.Dir(g.dir)), syncDir(g.s.dir))
}

// path is the stage of the import with that id.
func (g *staging[C]) path(id string) string { return filepath.Join(g.s.dir, g.kind.dir, id) }

// isStage reports whether an import of that id is staged that began as this one.
func (g *staging[C]) isStage(id string) bool {
	meta, err := json.Marshal(g.began)
	if err != nil {
		return false
	}
	found, err := os.ReadFile(filepath.Join(g.path(id), metaFile))
	return err == nil && bytes.Equal(found, meta)
}

// resumePatience is how long an import that another caller sends is waited for: one whose caller was killed has it open
// until the server notices.
const resumePatience = 2 * time.Second

// resumption is what decides which stage is continued.
type resumption struct {
	// join reports that the import is under way, and needs no stage. It may be nil.
	join func() bool
	// wanted reports that there is something to continue in the stage of g.id, which nobody else holds.
	wanted func() (bool, error)
	// impatient: an import that another caller has committed is not waited for until its end.
	impatient bool
}

// resume opens the last stage that began as this import, under a new id, so that the caller who had it before is gone for
// good. One that another caller holds is waited for a moment. Where there is none, it begins a new one.
func (g *staging[C]) resume(ctx context.Context, by resumption) error {
	patience := time.After(resumePatience)
	for wait := true; ; {
		if by.join != nil && by.join() {
			return nil
		}
		busy, err := g.continueStaged(by, wait)
		if busy != "" {
			wait, err = g.awaitShut(ctx, busy, patience, by.impatient)
		} else if err == nil && g.log == nil {
			err = g.open(newImportID())
		}
		if err != nil || g.log != nil {
			return err
		}
	}
}

// continueStaged opens the last stage that began as this import and is not done with. It passes over one that another caller
// holds, or tells which that is when it is to be waited for.
func (g *staging[C]) continueStaged(by resumption, wait bool) (busy string, err error) {
	stages, err := g.stages()
	if err != nil {
		return "", err
	}
	for _, id := range stages {
		if !g.s.imports.open(id) {
			if wait {
				return id, nil
			}
			continue
		}
		if err := g.takeStage(id, by.wanted); err != nil || g.log != nil {
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
		return nil, stageError("find stage", err)
	}
	type stage struct {
		id   string
		used time.Time
	}
	var found []stage
	for _, f := range files {
		used, err := usedAt(g.path(f.Name()))
		if err == nil && f.IsDir() && isImportID(f.Name()) && g.isStage(f.Name()) {
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

// takeStage takes the stage of an import that this caller holds, and lets go of it where there is nothing to continue.
func (g *staging[C]) takeStage(id string, wanted func() (bool, error)) error {
	g.id = id
	found, err := wanted()
	if found && err == nil {
		err = g.renameStage()
	}
	if g.log == nil {
		g.s.imports.shut(g.id)
	}
	return err
}

// renameStage gives a stage that this caller holds a new id, and opens it; one that is gone meanwhile is left alone.
func (g *staging[C]) renameStage() error {
	if err := g.s.writableFor(0); err != nil {
		return err
	}
	id := newImportID()
	g.dir = g.path(id)
	if err := os.Rename(g.path(g.id), g.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return stageError("continue a stage", err)
	}
	g.s.imports.rename(g.id, id)
	g.id = id
	if err := syncDir(filepath.Dir(g.dir)); err != nil {
		return err
	}
	return g.openLog()
}

// awaitShut waits until nobody holds an import; false when it took longer than it is worth.
func (g *staging[C]) awaitShut(ctx context.Context, id string, patience <-chan time.Time, impatient bool) (bool, error) {
	shut, committing := g.s.imports.holder(id)
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
