package store

import (
	"bytes"
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
	"time"

	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/stage"
)

// staging is what an import has on disk before anything of it counts: a directory with what its header said, and its chunks.
type staging[C any] struct {
	s     *Store
	kind  stageKind[C]
	id    string
	dir   string
	began any           // what the stage remembers of the header: an import is continued by one that began alike
	log   *stage.Log[C] // nil: not open, or committed
}

// stageKind is where the imports of one kind are staged, and how.
type stageKind[C any] struct {
	dir, file string
	codec     func() stage.Codec[C]
}

// metaFile is the file of a stage that says how the import began. Its chunks are beside it.
const metaFile = "import.json"

// ID names the import, so that it can be continued.
func (g *staging[C]) ID() string { return g.id }

// LastChunk is the last chunk that is staged; 0: none, or committed.
func (g *staging[C]) LastChunk() uint64 {
	if g.log == nil {
		return 0
	}
	return g.log.Last
}

// ChunkHashes are those of the chunks that are staged, from the first on; none once committed.
func (g *staging[C]) ChunkHashes() []chunkhash.Hash {
	if g.log == nil {
		return nil
	}
	return g.log.Hashes()
}

// Sync makes durable what was put. Errors: ErrDiskFull.
func (g *staging[C]) Sync() error {
	if g.log == nil {
		return nil
	}
	return g.s.opt.faults.do(stepChunkSync, g.log.Sync)
}

// put stages a chunk of that size; it is durable once Sync has returned. One that is staged already is passed
// over; one with another hash takes the place of the staged one and of all behind it. Errors: ErrChunkOrder, ErrTooLarge,
// ErrDiskFull.
func (g *staging[C]) put(c C, size int64, at step) error {
	if g.log == nil {
		return nil
	}
	seq, hash := g.log.Key(c)
	if g.log.Holds(seq, hash) {
		return nil
	}
	if seq > g.log.Last+1 {
		return ErrChunkOrder
	}
	if err := g.s.writableFor(size); err != nil {
		return err
	}
	if err := g.log.Cut(seq - 1); err != nil {
		return err
	}
	return g.s.opt.faults.do(at, func() error { return g.log.Append(c) })
}

// settle holds the log against a commit. It drops the chunks behind the last one of a digest that is that of all before
// them: the caller's files hold less than when they were staged. It returns the digest of the chunks. Errors:
// ErrChunksMissing.
func (g *staging[C]) settle(chunks uint64, digest []byte) ([]byte, error) {
	hashes := g.log.Hashes()
	if len(digest) > 0 && chunks < uint64(len(hashes)) && bytes.Equal(digest, chunkhash.Digest(hashes[:chunks])) {
		if err := g.log.Cut(chunks); err != nil {
			return nil, err
		}
		hashes = hashes[:chunks]
	}
	if chunks != g.log.Last {
		return nil, fmt.Errorf("%w: %d of %d", ErrChunksMissing, g.log.Last, chunks)
	}
	staged := chunkhash.Digest(hashes)
	if len(digest) > 0 && !bytes.Equal(digest, staged) {
		return nil, fmt.Errorf("%w: the commit is of other chunks", ErrChunksMissing)
	}
	return staged, nil
}

// begin begins an import under a new id.
func (g *staging[C]) begin(id string) error {
	if err := g.s.writableFor(0); err != nil {
		return err
	}
	g.id = id
	if !g.s.locks.Acquire(g.id) { // before anybody can find it
		return ErrImportRunning
	}
	err := g.makeStage()
	if err == nil {
		err = g.openLog()
	}
	if err != nil {
		g.s.locks.Release(g.id)
	}
	return err
}

// openLog opens what is staged. A stage that cannot be read does not count as used, so that it is swept some day.
func (g *staging[C]) openLog() (err error) {
	if g.log, err = stage.Continue(filepath.Join(g.dir, g.kind.file), g.kind.codec()); err == nil {
		g.touch()
	}
	return err
}

// closeLog ends this use of what is staged.
func (g *staging[C]) closeLog() error {
	defer g.s.locks.Release(g.id)
	g.touch()
	return g.log.Close()
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
		return disk.WriteError("make stage", err)
	}
	if err := os.Mkdir(g.dir, 0o700); err != nil {
		return disk.WriteError("make stage", err)
	}
	meta, err := json.Marshal(g.began)
	if err != nil {
		return disk.WriteError("make stage", err)
	}
	err = disk.WriteFile(filepath.Join(g.dir, metaFile), func(w io.Writer) error {
		_, err := w.Write(meta)
		return err
	})
	if err != nil {
		return disk.WriteError("make stage", err)
	}
	return errors.Join(disk.SyncDir(filepath.Dir(g.dir)), disk.SyncDir(g.s.dir))
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
