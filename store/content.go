package store

import (
	"bufio"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
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

// sortRun is how many numbers are sorted at once in memory, 8 bytes each.
const sortRun = 4 << 20

// contentPath names a content file by hash and list: two lists that load the same numbers have a file each, which ends
// with its own load.
func (s *Store) contentPath(list policy.EventID, sha []byte) string {
	return filepath.Join(s.dir, stageDir, fmt.Sprintf("%x-%d-%d.numbers", sha, list.Revision, list.Index))
}

// sortContent sorts the chunks of an import into its content file. Memory is bounded, whatever their order.
func (s *Store) sortContent(list policy.EventID, c *chunkLog, dir string) (content, error) {
	var out content
	if err := s.writableFor(2 * c.size); err != nil { // runs and the sorted file, neither larger than the chunks
		return out, err
	}
	path := filepath.Join(dir, "sorted")
	f, err := os.Create(path)
	if err != nil {
		return out, stageError("sort stage", err)
	}
	defer f.Close()
	w := newAscendingWriter(f)
	if c.ascending {
		err = c.eachChunk(w.add)
	} else {
		err = sortRuns(c, dir, sortRun, w)
	}
	if err = errors.Join(err, w.flush()); err != nil {
		return out, stageError("sort stage", err)
	}
	if err := f.Sync(); err != nil {
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
		w.buf = binary.AppendUvarint(w.buf, n-w.last)
		w.last = n
		w.numbers++
	}
	_, err := w.w.Write(w.buf)
	return err
}

func (w *ascendingWriter) flush() error { return w.w.Flush() }

// sortRuns sorts the chunks in runs of at most so many numbers, one in memory at a time, and merges the runs.
func sortRuns(c *chunkLog, dir string, most int, w *ascendingWriter) error {
	var runs []*numberReader
	defer func() {
		for _, r := range runs {
			r.close()
		}
	}()
	run := make([]uint64, 0, min(uint64(most), c.entries))
	spill := func() error {
		slices.Sort(run)
		r, err := spillRun(dir, run)
		if err != nil {
			return err
		}
		runs, run = append(runs, r), run[:0]
		return nil
	}
	err := c.eachChunk(func(numbers []uint64) error {
		if len(run) > 0 && len(run)+len(numbers) > most {
			if err := spill(); err != nil {
				return err
			}
		}
		run = append(run, numbers...)
		return nil
	})
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		slices.Sort(run)
		return w.add(run)
	}
	if err := spill(); err != nil {
		return err
	}
	return mergeRuns(runs, w)
}

// spillRun writes a sorted run to an unnamed file and returns its reader.
func spillRun(dir string, run []uint64) (*numberReader, error) {
	f, err := os.CreateTemp(dir, "run-*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name()) // it lives as long as it is open
	b := bufio.NewWriterSize(f, 1<<18)
	last := uint64(0)
	var buf [binary.MaxVarintLen64]byte
	for _, n := range run {
		if _, err := b.Write(buf[:binary.PutUvarint(buf[:], n-last)]); err != nil {
			f.Close()
			return nil, err
		}
		last = n
	}
	if err := b.Flush(); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return newNumberReader(f), nil
}

// runHeap orders runs by the number each is at.
type runHeap []*numberReader

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)        { *h = append(*h, x.(*numberReader)) }
func (h *runHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func mergeRuns(runs []*numberReader, w *ascendingWriter) error {
	h := make(runHeap, 0, len(runs))
	for _, r := range runs {
		if ok, err := r.next(); err != nil {
			return err
		} else if ok {
			h = append(h, r)
		}
	}
	heap.Init(&h)
	batch := make([]uint64, 0, filterBatch)
	for len(h) > 0 {
		r := h[0]
		if batch = append(batch, r.at); len(batch) == cap(batch) {
			if err := w.add(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
		ok, err := r.next()
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return w.add(batch)
}

// numberReader reads ascending varint differences.
type numberReader struct {
	f  *os.File
	b  *bufio.Reader
	at uint64 // the number it stands at
}

func newNumberReader(f *os.File) *numberReader {
	return &numberReader{f: f, b: bufio.NewReaderSize(f, 1<<18)}
}

// next moves to the next number; false at the end.
func (r *numberReader) next() (bool, error) {
	d, err := binary.ReadUvarint(r.b)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrStage, err)
	}
	r.at += d
	return true, nil
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
