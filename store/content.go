package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/policy"
)

// content is the staged numbers of a load, sorted and each once, in a file named by its hash. It is what a load that
// was prepared can be finished from after a crash.
type content struct {
	path       string
	sha        [sha256.Size]byte
	numbers    uint64
	duplicates uint64
}

// contentPath names a content file by hash and list: two lists that load the same numbers have a file each, which ends
// with its own load.
func (s *Store) contentPath(list policy.EventID, sha []byte) string {
	return filepath.Join(s.dir, stageDir, fmt.Sprintf("%x-%d-%d.numbers", sha, list.Revision, list.Index))
}

// sortContent sorts the chunks of an import into its content file. Memory is bounded, whatever their order.
func (s *Store) sortContent(ctx context.Context, list policy.EventID, c *chunkLog, dir string) (content, error) {
	var out content
	if err := s.writableFor(2 * c.size); err != nil { // buckets and the sorted file, neither larger than the chunks
		return out, err
	}
	path := filepath.Join(dir, "sorted")
	f, err := os.Create(path)
	if err != nil {
		return out, stageError("sort stage", err)
	}
	defer f.Close()
	w := newAscendingWriter(&steadyWriter{f: f})
	if c.ascending {
		err = c.eachChunk(func(chunk Chunk) error {
			runtime.Gosched() // see yieldBlocks
			return errors.Join(ctx.Err(), w.add(chunk.Numbers))
		})
	} else {
		err = sortChunks(ctx, c, dir, bucketNumbers, w)
	}
	if err = errors.Join(err, w.flush()); err != nil {
		return out, stageError("sort stage", err)
	}
	if err := s.opt.faults.do(stepContent, f.Sync); err != nil {
		return out, stageError("sort stage", err)
	}
	out = content{sha: [sha256.Size]byte(w.sha.Sum(nil)), numbers: w.numbers, duplicates: w.duplicates}
	out.path = s.contentPath(list, out.sha[:])
	if err := os.Rename(path, out.path); err != nil {
		return out, stageError("sort stage", err)
	}
	return out, syncDir(filepath.Dir(out.path))
}

// ascendingWriter writes ascending numbers, each once, as varint differences, and hashes what it writes.
type ascendingWriter struct {
	w          *bufio.Writer
	sha        hash.Hash
	buf        []byte
	last       uint64
	numbers    uint64
	duplicates uint64
}

func newAscendingWriter(w io.Writer) *ascendingWriter {
	a := &ascendingWriter{sha: sha256.New()}
	a.w = bufio.NewWriterSize(io.MultiWriter(w, a.sha), 1<<18)
	return a
}

func (w *ascendingWriter) add(numbers []uint64) error {
	w.buf = w.buf[:0]
	for _, n := range numbers {
		if n == w.last && w.numbers > 0 {
			w.duplicates++
			continue
		}
		w.buf = ascending.AppendStep(w.buf, n-w.last)
		w.last = n
		w.numbers++
	}
	_, err := w.w.Write(w.buf)
	return err
}

func (w *ascendingWriter) flush() error { return w.w.Flush() }

// verifyContent checks a content file against its hash: what was prepared must be what is loaded.
func verifyContent(path string, sha []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStage, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("%w: %w", ErrStage, err)
	}
	if !slices.Equal(h.Sum(nil), sha) {
		return ErrStage
	}
	return nil
}
