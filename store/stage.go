package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Chunk is a part of an import's entries.
type Chunk struct {
	Seq      uint64   // 1, 2, 3 ...
	Numbers  []uint64 // E.164 digits, checked by the caller; may be put in another order
	Removed  []uint64 // of a delta: numbers that go, likewise
	Rejected uint64   // entries of the chunk that the caller refused
}

// chunkLog is the staged chunks of one import, in order, each a frame: length, CRC, payload. The payload is sequence,
// rejects, count, and the numbers ascending as varint differences.
type chunkLog struct {
	f         *os.File
	size      int64
	last      uint64 // the last chunk
	entries   uint64 // numbers, repeats among them
	rejected  uint64
	ascending bool // each chunk begins where the one before ended, or after
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
		return nil, stageError("open stage", err)
	}
	c := &chunkLog{f: f, ascending: true}
	r := &frameReader{r: bufio.NewReaderSize(f, 1<<20)}
	for {
		chunk, err := r.next()
		if err != nil || chunk.Seq != c.last+1 {
			break
		}
		c.note(chunk)
		c.size = r.read
	}
	if err := f.Truncate(c.size); err != nil {
		f.Close()
		return nil, stageError("open stage", err)
	}
	return c, nil
}

// note counts a chunk whose numbers are ascending.
func (c *chunkLog) note(chunk Chunk) {
	c.last = chunk.Seq
	c.entries += uint64(len(chunk.Numbers))
	c.rejected += chunk.Rejected
	if n := len(chunk.Numbers); n > 0 {
		c.ascending = c.ascending && chunk.Numbers[0] >= c.highest
		c.highest = max(c.highest, chunk.Numbers[n-1])
	}
}

// append makes a chunk durable. It sorts its numbers.
func (c *chunkLog) append(chunk Chunk) error {
	if !slices.IsSorted(chunk.Numbers) {
		slices.Sort(chunk.Numbers)
	}
	frame := make([]byte, frameHeader, frameHeader+30+3*len(chunk.Numbers))
	frame = binary.AppendUvarint(frame, chunk.Seq)
	frame = binary.AppendUvarint(frame, chunk.Rejected)
	frame = binary.AppendUvarint(frame, uint64(len(chunk.Numbers)))
	frame = appendAscending(frame, chunk.Numbers)
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHeader))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[frameHeader:], castagnoli))
	if _, err := c.f.WriteAt(frame, c.size); err != nil {
		return stageError("stage chunk", err)
	}
	if err := syncData(c.f); err != nil {
		return stageError("stage chunk", err)
	}
	c.size += int64(len(frame))
	c.note(chunk)
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

func (r *frameReader) next() (Chunk, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return Chunk{}, io.EOF
	}
	size, crc := binary.LittleEndian.Uint32(h[:]), binary.LittleEndian.Uint32(h[4:])
	if size > maxChunkBytes {
		return Chunk{}, ErrStage
	}
	r.buf = slices.Grow(r.buf[:0], int(size))[:size]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return Chunk{}, ErrStage
	}
	if crc32.Checksum(r.buf, castagnoli) != crc {
		return Chunk{}, ErrStage
	}
	r.read += int64(frameHeader + size)
	return r.decode()
}

func (r *frameReader) decode() (Chunk, error) {
	b := r.buf
	var head [3]uint64 // sequence, rejects, count
	for i := range head {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return Chunk{}, ErrStage
		}
		head[i], b = v, b[n:]
	}
	if head[2] > uint64(len(b)) {
		return Chunk{}, ErrStage
	}
	r.numbers = slices.Grow(r.numbers[:0], int(head[2]))
	last := uint64(0)
	for range head[2] {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			return Chunk{}, ErrStage
		}
		last += d
		r.numbers = append(r.numbers, last)
		b = b[n:]
	}
	return Chunk{Seq: head[0], Rejected: head[1], Numbers: r.numbers}, nil
}

// eachChunk calls f with the numbers of every chunk, ascending within it.
func (c *chunkLog) eachChunk(f func(numbers []uint64) error) error {
	r := &frameReader{r: bufio.NewReaderSize(io.NewSectionReader(c.f, 0, c.size), 1<<20)}
	for {
		chunk, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(chunk.Numbers); err != nil {
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
