package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

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
		err = c.eachChunk(func(numbers []uint64) error {
			runtime.Gosched() // see yieldBlocks
			return errors.Join(ctx.Err(), w.add(numbers))
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
		w.buf = appendDifference(w.buf, n-w.last)
		w.last = n
		w.numbers++
	}
	_, err := w.w.Write(w.buf)
	return err
}

// appendDifference appends a varint. In a large list nearly every one is a byte.
func appendDifference(to []byte, d uint64) []byte {
	if d < 0x80 {
		return append(to, byte(d))
	}
	return binary.AppendUvarint(to, d)
}

func (w *ascendingWriter) flush() error { return w.w.Flush() }

// numberReader reads ascending varint differences.
type numberReader struct {
	f    *os.File
	buf  []byte
	from int // buf[from:to] is read ahead
	to   int
	err  error  // what ended the reading
	at   uint64 // the number it stands at
}

func newNumberReader(f *os.File) *numberReader {
	return &numberReader{f: f, buf: make([]byte, 1<<18)}
}

// next moves to the next number; false at the end.
func (r *numberReader) next() (bool, error) {
	if r.to-r.from < binary.MaxVarintLen64 {
		r.fill()
	}
	d, n := binary.Uvarint(r.buf[r.from:r.to])
	if n > 0 {
		r.from += n
		r.at += d
		return true, nil
	}
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		return false, fmt.Errorf("%w: %w", ErrStage, r.err)
	}
	if r.from == r.to {
		return false, nil
	}
	return false, fmt.Errorf("%w: %w", ErrStage, io.ErrUnexpectedEOF)
}

// fill reads on, so that the next difference lies in the buffer as a whole unless the file ends.
func (r *numberReader) fill() {
	r.to = copy(r.buf, r.buf[r.from:r.to])
	r.from = 0
	for r.err == nil && r.to < binary.MaxVarintLen64 {
		var n int
		n, r.err = r.f.Read(r.buf[r.to:])
		r.to += n
	}
}

func (r *numberReader) close() { r.f.Close() }

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
