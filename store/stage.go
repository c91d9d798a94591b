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

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/internal/radix"
)

// Chunk is a part of an import's entries.
type Chunk struct {
	Seq      uint64         // 1, 2, 3 ...
	Hash     chunkhash.Hash // of all that the caller was given, refused entries too; zero: not known
	Numbers  []uint64       // E.164 digits, checked by the caller; may be put in another order
	Removed  []uint64       // of a delta: numbers that go, likewise
	Rejected uint64         // entries of the chunk that the caller refused
}

// chunkLog is the staged chunks of one import, in order, each a frame: length, CRC, payload. The payload is hash,
// sequence, rejects, count, and the numbers ascending as varint differences.
type chunkLog struct {
	f *os.File
	logState
	states []logState // after each chunk: what the log goes back to when those behind it are cut off
	synced int64      // the size up to which it is durable

	scratch []uint64 // to sort chunks that come unsorted
}

// logState is what a log holds up to a chunk.
type logState struct {
	hash      chunkhash.Hash // of the chunk
	size      int64
	last      uint64 // the chunk
	entries   uint64 // numbers, repeats among them
	rejected  uint64
	ascending bool // each chunk begins where the one before ended, or after
	highest   uint64
}

// emptyLog is the state before the first chunk.
var emptyLog = logState{ascending: true}

const (
	frameHeader   = 8
	maxChunkBytes = 4 << 20
)

// openChunkLog opens or makes a log, drops a frame that was not written whole, and counts what is there. A read error
// leaves the file as it is.
func openChunkLog(path string) (*chunkLog, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, stageError("open stage", err)
	}
	c := &chunkLog{f: f, logState: emptyLog}
	if err := c.count(f); err != nil {
		f.Close()
		return nil, stageError("open stage", err)
	}
	// What a killed process wrote may not be on disk yet.
	if err := errors.Join(f.Truncate(c.size), f.Sync()); err != nil {
		f.Close()
		return nil, stageError("open stage", err)
	}
	c.synced = c.size
	return c, nil
}

// readRejects are the chunks with rejects of a log that somebody else may have open.
func readRejects(path string) ([]uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c := &chunkLog{logState: emptyLog}
	if err := c.count(f); err != nil {
		return nil, stageError("read stage", err)
	}
	return c.withRejects(), nil
}

// count notes the chunks up to the first that was not written whole.
func (c *chunkLog) count(from io.Reader) error {
	r := &frameReader{r: bufio.NewReaderSize(from, 1<<20)}
	for {
		chunk, err := r.next()
		if err != nil {
			return unlessCut(err)
		}
		if chunk.Seq != c.last+1 {
			return nil
		}
		c.note(chunk, r.read)
	}
}

// unlessCut is the error of a reading that no killed process explains: those end a log, or cut its last frame.
func unlessCut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, ErrStage) {
		return nil
	}
	return err
}

// note counts a chunk whose numbers are ascending and whose frame ends at size.
func (c *chunkLog) note(chunk Chunk, size int64) {
	c.hash, c.size, c.last = chunk.Hash, size, chunk.Seq
	c.entries += uint64(len(chunk.Numbers))
	c.rejected += chunk.Rejected
	if n := len(chunk.Numbers); n > 0 {
		c.ascending = c.ascending && chunk.Numbers[0] >= c.highest
		c.highest = max(c.highest, chunk.Numbers[n-1])
	}
	c.states = append(c.states, c.logState)
}

// append writes a chunk. It sorts its numbers.
func (c *chunkLog) append(chunk Chunk) error {
	c.scratch = radix.Sort(chunk.Numbers, c.scratch)
	frame := appendFrame(make([]byte, 0, frameHeader+chunkhash.Size+30+3*len(chunk.Numbers)), chunk)
	if _, err := c.f.WriteAt(frame, c.size); err != nil {
		return stageError("stage chunk", err)
	}
	c.note(chunk, c.size+int64(len(frame)))
	return nil
}

// sync makes the chunks so far durable.
func (c *chunkLog) sync() error {
	if c.synced == c.size {
		return nil
	}
	if err := syncData(c.f); err != nil {
		return stageError("stage chunk", err)
	}
	c.synced = c.size
	return nil
}

// appendFrame appends the frame of a chunk whose numbers are ascending to an empty slice.
func appendFrame(frame []byte, chunk Chunk) []byte {
	frame = append(frame, make([]byte, frameHeader)...)
	frame = append(frame, chunk.Hash[:]...)
	frame = binary.AppendUvarint(frame, chunk.Seq)
	frame = binary.AppendUvarint(frame, chunk.Rejected)
	frame = binary.AppendUvarint(frame, uint64(len(chunk.Numbers)))
	frame = ascending.Append(frame, 0, chunk.Numbers...)
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHeader))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[frameHeader:], castagnoli))
	return frame
}

// holds reports that a chunk is staged already, with the same content.
func (c *chunkLog) holds(chunk Chunk) bool {
	return chunk.Seq <= c.last && (chunk.Seq == 0 || c.states[chunk.Seq-1].hash == chunk.Hash)
}

// cut drops the chunks behind the one with that number, durably: what comes in their place must never stand before
// what was behind them.
func (c *chunkLog) cut(last uint64) error {
	if last >= c.last {
		return nil
	}
	state := emptyLog
	if last > 0 {
		state = c.states[last-1]
	}
	if err := c.f.Truncate(state.size); err != nil {
		return stageError("stage chunk", err)
	}
	if err := c.f.Sync(); err != nil {
		return stageError("stage chunk", err)
	}
	c.logState, c.states, c.synced = state, c.states[:last], state.size
	return nil
}

// hashes are those of all chunks.
func (c *chunkLog) hashes() []chunkhash.Hash {
	hashes := make([]chunkhash.Hash, 0, len(c.states))
	for i := range c.states {
		hashes = append(hashes, c.states[i].hash)
	}
	return hashes
}

// withRejects are the chunks of which the caller refused an entry.
func (c *chunkLog) withRejects() []uint64 {
	var chunks []uint64
	before := uint64(0)
	for i := range c.states {
		if c.states[i].rejected != before {
			chunks = append(chunks, c.states[i].last)
		}
		before = c.states[i].rejected
	}
	return chunks
}

func (c *chunkLog) close() error { return c.f.Close() }

// frameReader reads the frames of a chunk log. Its numbers are valid until the next call.
type frameReader struct {
	r       *bufio.Reader
	read    int64
	buf     []byte
	numbers []uint64
}

func (r *frameReader) next() (Chunk, error) {
	var err error
	if r.buf, err = readFrame(r.r, r.buf); err != nil {
		return Chunk{}, err
	}
	r.read += int64(frameHeader + len(r.buf))
	return r.decode()
}

// readFrame reads the payload of a frame into buf, which may move. Errors: io.EOF where the file ends before or in the
// header, ErrStage for a payload that is cut or damaged, and what reading failed with.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var h [frameHeader]byte
	if err := readWhole(r, h[:]); err != nil {
		return buf, err
	}
	size, crc := binary.LittleEndian.Uint32(h[:]), binary.LittleEndian.Uint32(h[4:])
	if size > maxChunkBytes {
		return buf, ErrStage
	}
	buf = slices.Grow(buf[:0], int(size))[:size]
	if err := readWhole(r, buf); errors.Is(err, io.EOF) {
		return buf, ErrStage
	} else if err != nil {
		return buf, err
	}
	if crc32.Checksum(buf, castagnoli) != crc {
		return buf, ErrStage
	}
	return buf, nil
}

// readWhole fills b; io.EOF where the file ends before.
func readWhole(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

func (r *frameReader) decode() (Chunk, error) {
	if len(r.buf) < chunkhash.Size {
		return Chunk{}, ErrStage
	}
	hash, b := chunkhash.Hash(r.buf), r.buf[chunkhash.Size:]
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
	var err error
	if r.numbers, _, err = ascending.DecodeSome(r.numbers, b, head[2]); err != nil {
		return Chunk{}, ErrStage
	}
	return Chunk{Seq: head[0], Hash: hash, Rejected: head[1], Numbers: r.numbers}, nil
}

// eachChunk calls f with the numbers of every chunk, ascending within it. Errors: ErrStage when the file holds less than
// was noted, and what reading failed with.
func (c *chunkLog) eachChunk(f func(numbers []uint64) error) error {
	r := &frameReader{r: bufio.NewReaderSize(io.NewSectionReader(c.f, 0, c.size), 1<<20)}
	for r.read < c.size {
		chunk, err := r.next()
		if errors.Is(err, io.EOF) {
			return ErrStage
		}
		if err != nil {
			return err
		}
		if err := f(chunk.Numbers); err != nil {
			return err
		}
	}
	return nil
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
		if needed[f.Name()] {
			continue
		}
		ttl := contentTTL
		if f.IsDir() {
			ttl = s.opt.StageTTL
		}
		s.dropUnused(f.Name(), ttl)
	}
}

// dropUnused drops what lies in the stage under name and was not used for the time to live; nobody can open it meanwhile.
func (s *Store) dropUnused(name string, ttl time.Duration) {
	if !s.imports.open(name) {
		return
	}
	defer s.imports.shut(name)
	path := filepath.Join(s.dir, stageDir, name)
	if used, err := usedAt(path); err == nil && time.Since(used) >= ttl {
		s.warnIf("drop an old stage", os.RemoveAll(path))
	}
}

// usedAt is when a stage, or a content file, was last opened, closed or written.
func usedAt(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	used := info.ModTime()
	if log, err := os.Stat(filepath.Join(path, chunksFile)); err == nil && log.ModTime().After(used) {
		used = log.ModTime()
	}
	return used, nil
}
