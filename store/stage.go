package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// chunkLog is the staged chunks of one import, in order, each a frame: length, CRC, payload. The payload is sequence,
// count, and the numbers ascending as varint differences.
type chunkLog struct {
	f         *os.File
	size      int64
	last      uint64 // the last chunk
	entries   uint64 // numbers, repeats among them
	ascending bool   // each chunk begins where the one before ended, or after
	highest   uint64
}

const (
	frameHeader   = 8
	maxChunkBytes = 4 << 20
)

// openChunkLog opens or makes a log, drops a frame that was not written whole, and counts what is there.
func openChunkLog(path string) (*chunkLog, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open stage: %w", err)
	}
	c := &chunkLog{f: f, ascending: true}
	r := &frameReader{r: bufio.NewReaderSize(f, 1<<20)}
	for {
		seq, numbers, err := r.next()
		if err != nil || seq != c.last+1 {
			break
		}
		c.note(seq, numbers)
		c.size = r.read
	}
	if err := f.Truncate(c.size); err != nil {
		f.Close()
		return nil, fmt.Errorf("open stage: %w", err)
	}
	return c, nil
}

func (c *chunkLog) note(seq uint64, numbers []uint64) {
	c.last = seq
	c.entries += uint64(len(numbers))
	if len(numbers) > 0 {
		c.ascending = c.ascending && numbers[0] >= c.highest
		c.highest = max(c.highest, numbers[len(numbers)-1])
	}
}

// append makes a chunk durable. It sorts numbers.
func (c *chunkLog) append(seq uint64, numbers []uint64) error {
	if !slices.IsSorted(numbers) {
		slices.Sort(numbers)
	}
	frame := make([]byte, frameHeader, frameHeader+20+3*len(numbers))
	frame = binary.AppendUvarint(frame, seq)
	frame = binary.AppendUvarint(frame, uint64(len(numbers)))
	frame = appendAscending(frame, numbers)
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHeader))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[frameHeader:], castagnoli))
	if _, err := c.f.WriteAt(frame, c.size); err != nil {
		return fmt.Errorf("stage chunk: %w", err)
	}
	if err := syncData(c.f); err != nil {
		return fmt.Errorf("stage chunk: %w", err)
	}
	c.size += int64(len(frame))
	c.note(seq, numbers)
	return nil
}

func (c *chunkLog) close() error { return c.f.Close() }

// appendAscending appends ascending numbers as varints: the first itself, then the differences.
func appendAscending(to []byte, numbers []uint64) []byte {
	last := uint64(0)
	for _, n := range numbers {
		to = binary.AppendUvarint(to, n-last)
		last = n
	}
	return to
}

// frameReader reads the frames of a chunk log. Its numbers are valid until the next call.
type frameReader struct {
	r       *bufio.Reader
	read    int64
	buf     []byte
	numbers []uint64
}

func (r *frameReader) next() (seq uint64, numbers []uint64, err error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return 0, nil, io.EOF
	}
	size, crc := binary.LittleEndian.Uint32(h[:]), binary.LittleEndian.Uint32(h[4:])
	if size > maxChunkBytes {
		return 0, nil, errStage
	}
	r.buf = slices.Grow(r.buf[:0], int(size))[:size]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return 0, nil, errStage
	}
	if crc32.Checksum(r.buf, castagnoli) != crc {
		return 0, nil, errStage
	}
	r.read += int64(frameHeader + size)
	seq, numbers, err = r.decode()
	return seq, numbers, err
}

func (r *frameReader) decode() (seq uint64, numbers []uint64, err error) {
	b := r.buf
	seq, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errStage
	}
	b = b[n:]
	count, n := binary.Uvarint(b)
	if n <= 0 || count > uint64(len(b)) {
		return 0, nil, errStage
	}
	b = b[n:]
	r.numbers = slices.Grow(r.numbers[:0], int(count))
	last := uint64(0)
	for range count {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, nil, errStage
		}
		last += d
		r.numbers = append(r.numbers, last)
		b = b[n:]
	}
	return seq, r.numbers, nil
}

// eachChunk calls f with the numbers of every chunk, ascending within it.
func (c *chunkLog) eachChunk(f func(numbers []uint64) error) error {
	r := &frameReader{r: bufio.NewReaderSize(io.NewSectionReader(c.f, 0, c.size), 1<<20)}
	for {
		_, numbers, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(numbers); err != nil {
			return err
		}
	}
}

// stageSweepEvery is how often stages that nobody continues are looked for.
const stageSweepEvery = time.Hour

// sweepStages drops from time to time what no prepared load needs and nobody continued for the time to live.
func (s *Store) sweepStages() {
	tick := time.NewTicker(stageSweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
			s.sweepStage(s.opt.StageTTL)
		}
	}
}

func (s *Store) sweepStage(contentTTL time.Duration) {
	needed := map[string]bool{}
	for _, l := range s.View().Lists() {
		if l.Pending != 0 {
			needed[filepath.Base(s.contentPath(l.ID, l.state.GetPendingLoad().GetContent()))] = true
		}
	}
	files, err := os.ReadDir(filepath.Join(s.dir, stageDir))
	if err != nil {
		s.log.Warn("old stages stay", "err", err)
		return
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || needed[f.Name()] || s.imports.isOpen(f.Name()) {
			continue
		}
		ttl := contentTTL
		if f.IsDir() {
			ttl = s.opt.StageTTL
		}
		if time.Since(info.ModTime()) >= ttl {
			s.warnIf("drop an old stage", os.RemoveAll(filepath.Join(s.dir, stageDir, f.Name())))
		}
	}
}
