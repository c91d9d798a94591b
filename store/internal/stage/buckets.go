package stage

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"slices"
	"sync"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/radix"
	"github.com/dncd/dncd/store/internal/fault"
)

const (
	// bucketNumbers is how many numbers are sorted together in memory: 8 bytes each, and as much again to sort them.
	bucketNumbers = 1 << 19

	bucketBuffer  = 64 << 10 // what a bucket collects before it is written
	bucketBuffers = 32 << 20 // all of them together

	// sampleStep is the distance of the numbers that the buckets are chosen by; more where those would be too many.
	sampleStep = 256
	maxSamples = 1 << 20

	// sampleRun is how many numbers at least are in order before some of them are picked: chunks may be smaller.
	sampleRun = 1 << 16
)

// sortChunks sorts the numbers of a log in any order: they are spread over buckets, each a range of about most numbers, and
// one bucket after the other is sorted in memory.
func sortChunks(ctx context.Context, c *Log[Chunk], dir string, most uint64, w *Writer) error {
	b, err := spreadChunks(ctx, c, dir, most, w)
	if err != nil {
		return err
	}
	defer b.close()
	return b.drain(ctx, w)
}

// spreadChunks fills the buckets, and counts the repeats within chunks.
//
// Of n chunks and N numbers, every k-th of which is a sample, a bucket holds at most most + 3k + kN/sampleRun + n. Between
// two bounds the samples represent most + 2k numbers; in each run, up to k more are behind the last
// sample below a bound; and a bound itself comes once from each chunk. So memory is bounded, however numbers and chunks
// are chosen.
func spreadChunks(ctx context.Context, c *Log[Chunk], dir string, most uint64, w *Writer) (*buckets, error) {
	samples, err := sampleOf(c)
	if err != nil {
		return nil, err
	}
	b, err := newBuckets(dir, bucketBounds(samples, c.Entries/most+1))
	if err != nil {
		return nil, err
	}
	for chunk, err := range c.Chunks() {
		if err == nil {
			once := slices.Compact(chunk.Numbers)
			w.Duplicates += uint64(len(chunk.Numbers) - len(once))
			err = errors.Join(ctx.Err(), b.spread(once))
		}
		if err != nil {
			b.close()
			return nil, err
		}
	}
	return b, nil
}

// stepOf is the distance of samples: one for all chunks, so that each sample stands for as many numbers.
func stepOf(c *Log[Chunk]) int {
	return int(max(sampleStep, (c.Entries+maxSamples-1)/maxSamples))
}

// sampleOf picks numbers at even distances, at most maxSamples of them: from runs in order, each of one chunk or
// of several small ones.
func sampleOf(c *Log[Chunk]) (samples []uint64, err error) {
	var run, scratch []uint64
	at, step := 0, stepOf(c) // at is where in the run the next one is
	pick := func() {
		scratch = radix.Sort(run, scratch)
		for ; at < len(run); at += step {
			samples = append(samples, run[at])
		}
		at, run = at-len(run), run[:0]
	}
	for chunk, err := range c.Chunks() {
		if err != nil {
			return nil, err
		}
		if run = append(run, chunk.Numbers...); len(run) >= sampleRun {
			pick()
		}
	}
	pick()
	return samples, nil
}

// bucketBounds splits what the samples represent into that many ranges: each ends before its bound, the last has none.
func bucketBounds(samples []uint64, buckets uint64) []uint64 {
	radix.Sort(samples, nil)
	var bounds []uint64
	for i := uint64(1); i < buckets && len(samples) > 0; i++ {
		bounds = append(bounds, samples[i*uint64(len(samples))/buckets])
	}
	return slices.Compact(bounds)
}

// buckets are numbers in ranges, in one unnamed file.
type buckets struct {
	file   *os.File
	size   int64
	bounds []uint64
	all    []bucket
	full   int // bytes that a bucket collects
}

// bucket is the pieces of one range in the file, and what is not written yet. It holds runs: a count, then that many numbers
// ascending as varint differences.
type bucket struct {
	pieces  []piece
	numbers int
	buf     []byte
}

// piece is a part of the file, with its checksum.
type piece struct {
	at, size int64
	crc      uint32
}

func newBuckets(dir string, bounds []uint64) (*buckets, error) {
	f, err := os.CreateTemp(dir, "buckets-*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name()) // it lives as long as it is open
	n := len(bounds) + 1
	return &buckets{file: f, bounds: bounds, all: make([]bucket, n), full: min(bucketBuffer, bucketBuffers/n)}, nil
}

func (b *buckets) close() { b.file.Close() }

// spread adds ascending numbers, each once.
func (b *buckets) spread(numbers []uint64) error {
	for i := range b.all {
		end := len(numbers)
		if i < len(b.bounds) {
			end, _ = slices.BinarySearch(numbers, b.bounds[i])
		}
		if end == 0 {
			continue
		}
		if err := b.add(&b.all[i], numbers[:end]); err != nil {
			return err
		}
		if numbers = numbers[end:]; len(numbers) == 0 {
			return nil
		}
	}
	return nil
}

func (b *buckets) add(to *bucket, run []uint64) error {
	to.buf = binary.AppendUvarint(to.buf, uint64(len(run)))
	to.buf = ascending.Append(to.buf, 0, run...)
	to.numbers += len(run)
	if len(to.buf) < b.full {
		return nil
	}
	return b.write(to)
}

func (b *buckets) write(of *bucket) error {
	if _, err := b.file.WriteAt(of.buf, b.size); err != nil {
		return err
	}
	of.pieces = append(of.pieces, piece{b.size, int64(len(of.buf)), crc32.Checksum(of.buf, castagnoli)})
	b.size += int64(len(of.buf))
	of.buf = of.buf[:0]
	return nil
}

// drain adds all numbers to w, ascending. The next bucket is sorted while one is written.
func (b *buckets) drain(ctx context.Context, w *Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	sorted := make(chan sortedBucket)
	var sorting sync.WaitGroup
	sorting.Go(func() {
		defer close(sorted)
		b.sortAll(ctx, sorted)
	})
	defer sorting.Wait()
	defer cancel()
	for s := range sorted {
		if s.err != nil {
			return s.err
		}
		if err := w.Add(s.numbers); err != nil {
			return err
		}
	}
	return ctx.Err()
}

type sortedBucket struct {
	numbers []uint64
	err     error
}

// sortAll sends the buckets in order, until one fails.
func (b *buckets) sortAll(ctx context.Context, to chan<- sortedBucket) {
	var memory [2][]uint64 // one is read by the receiver while the next is filled
	var scratch []uint64
	for i := range b.all {
		numbers, err := b.read(&b.all[i], memory[i%2][:0])
		memory[i%2] = numbers
		scratch = radix.Sort(numbers, scratch)
		select {
		case to <- sortedBucket{numbers, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// read appends the numbers of a bucket, in the order in which they came, and forgets it.
func (b *buckets) read(of *bucket, to []uint64) ([]uint64, error) {
	to = slices.Grow(to, of.numbers)
	var buf []byte
	for _, p := range of.pieces {
		buf = slices.Grow(buf[:0], int(p.size))[:p.size]
		if _, err := b.file.ReadAt(buf, p.at); err != nil {
			return to, err
		}
		if crc32.Checksum(buf, castagnoli) != p.crc {
			return to, fault.ErrStage
		}
		var err error
		if to, err = appendRuns(to, buf); err != nil {
			return to, err
		}
	}
	to, err := appendRuns(to, of.buf)
	*of = bucket{}
	return to, err
}

// appendRuns decodes runs.
func appendRuns(to []uint64, b []byte) ([]uint64, error) {
	for len(b) > 0 {
		count, n := binary.Uvarint(b)
		if n <= 0 {
			return to, fault.ErrStage
		}
		var err error
		if to, b, err = ascending.DecodeSome(to, b[n:], count); err != nil {
			return to, fault.ErrStage
		}
	}
	return to, nil
}
