package stage

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"slices"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/store/internal/fault"
)

// Writer writes ascending numbers, each once, as varint differences, and hashes what it writes.
type Writer struct {
	w          *bufio.Writer
	sha        hash.Hash
	buf        []byte
	last       uint64
	Numbers    uint64 // so far
	Duplicates uint64 // that were not written
}

// NewWriter writes to w. Flush must be called at the end.
func NewWriter(w io.Writer) *Writer {
	a := &Writer{sha: sha256.New()}
	a.w = bufio.NewWriterSize(io.MultiWriter(w, a.sha), 1<<18)
	return a
}

// Add writes numbers that do not descend from those before.
func (w *Writer) Add(numbers []uint64) error {
	w.buf = w.buf[:0]
	for _, n := range numbers {
		if n == w.last && w.Numbers > 0 {
			w.Duplicates++
			continue
		}
		w.buf = ascending.AppendStep(w.buf, n-w.last)
		w.last = n
		w.Numbers++
	}
	_, err := w.w.Write(w.buf)
	return err
}

// Flush passes on what is left.
func (w *Writer) Flush() error { return w.w.Flush() }

// Sum is the hash of what was written.
func (w *Writer) Sum() [sha256.Size]byte { return [sha256.Size]byte(w.sha.Sum(nil)) }

// Sort writes the numbers of a log, ascending. Memory is bounded, whatever their order; what does not fit into it goes into a
// file in dir.
func Sort(ctx context.Context, c *Log[Chunk], dir string, w *Writer) error {
	if !c.Ascending {
		return sortChunks(ctx, c, dir, bucketNumbers, w)
	}
	for chunk, err := range c.Chunks() {
		if err == nil {
			runtime.Gosched() // a sort must not keep its processor from a check
			err = errors.Join(ctx.Err(), w.Add(chunk.Numbers))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// VerifyContent checks a content file against its hash: what was prepared must be what is loaded.
func VerifyContent(path string, sha []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", fault.ErrStage, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("%w: %w", fault.ErrStage, err)
	}
	if !slices.Equal(h.Sum(nil), sha) {
		return fault.ErrStage
	}
	return nil
}
