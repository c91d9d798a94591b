package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"slices"

	"github.com/dncd/dncd/internal/chunkhash"
)

// stageLog is the staged chunks of one import, in order, each a frame: length, CRC, payload. What a payload holds is its
// codec's.
type stageLog[C any] struct {
	f     *os.File
	codec chunkCodec[C]
	logState
	states []logState // after each chunk: what the log goes back to when those behind it are cut off
	synced int64      // the size up to which it is durable
}

// chunkCodec codes the chunks of one kind of import.
type chunkCodec[C any] interface {
	// appendTo appends the payload of a chunk. Errors: ErrTooLarge.
	appendTo(payload []byte, c C) ([]byte, chunkHead, error)
	// head is what a log counts of a payload. Errors: ErrStage.
	head(payload []byte) (chunkHead, error)
	// decode returns a chunk that is valid until the next call. Errors: ErrStage.
	decode(payload []byte) (C, error)
}

// chunkHead is what a log counts of a chunk.
type chunkHead struct {
	seq             uint64
	hash            chunkhash.Hash
	entries         uint64 // that may be loaded or recorded, repeats among them
	rejected        uint64 // entries that the caller refused
	remarks         uint64 // entries about which the caller said something else
	lowest, highest uint64 // of ascending entries; 0: they have no order
}

// logState is what a log holds up to a chunk.
type logState struct {
	hash      chunkhash.Hash // of the chunk
	size      int64
	last      uint64 // the chunk
	entries   uint64
	rejected  uint64
	remarks   uint64
	ascending bool // each chunk begins where the one before ended, or after
	highest   uint64
}

// emptyLog is the state before the first chunk.
var emptyLog = logState{ascending: true}

const (
	frameHeader   = 8
	maxChunkBytes = 4 << 20
)

// newStageLog is a log of which nothing was counted yet.
func newStageLog[C any](f *os.File, codec chunkCodec[C]) *stageLog[C] {
	return &stageLog[C]{f: f, codec: codec, logState: emptyLog}
}

// openStageLog opens or makes a log, and counts what is there up to the first frame that was not written whole. It leaves
// the file as it is.
func openStageLog[C any](path string, codec chunkCodec[C]) (*stageLog[C], error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, stageError("open stage", err)
	}
	l := newStageLog(f, codec)
	if err := l.count(f); err != nil {
		f.Close()
		return nil, stageError("open stage", err)
	}
	return l, nil
}

// continueStageLog opens or makes a log for more chunks: it drops what lies behind those that count, and makes them
// durable, for what a killed process wrote may not be on disk yet.
func continueStageLog[C any](path string, codec chunkCodec[C]) (*stageLog[C], error) {
	l, err := openStageLog(path, codec)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(l.f.Truncate(l.size), l.f.Sync()); err != nil {
		l.f.Close()
		return nil, stageError("open stage", err)
	}
	l.synced = l.size
	return l, nil
}

// readNoted are the chunks of a log about which the caller has something to say; somebody else may have it open.
func readNoted[C any](path string, codec chunkCodec[C]) ([]uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l := newStageLog(f, codec)
	if err := l.count(f); err != nil {
		return nil, stageError("read stage", err)
	}
	return l.noted(), nil
}

// count notes the chunks up to the first that was not written whole.
func (l *stageLog[C]) count(from io.Reader) error {
	r := &frameReader{r: bufio.NewReaderSize(from, 1<<20)}
	for {
		payload, err := r.next()
		if err != nil {
			return unlessCut(err)
		}
		head, err := l.codec.head(payload)
		if err != nil || head.seq != l.last+1 {
			return unlessCut(err)
		}
		l.note(head, r.read)
	}
}

// unlessCut is the error of a reading that no killed process explains: those end a log, or cut its last frame.
func unlessCut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, ErrStage) {
		return nil
	}
	return err
}

// note counts a chunk whose frame ends at size.
func (l *stageLog[C]) note(h chunkHead, size int64) {
	l.hash, l.size, l.last = h.hash, size, h.seq
	l.entries += h.entries
	l.rejected += h.rejected
	l.remarks += h.remarks
	if h.entries > 0 {
		l.ascending = l.ascending && h.lowest >= l.highest
		l.highest = max(l.highest, h.highest)
	}
	l.states = append(l.states, l.logState)
}

// append writes a chunk. Errors: ErrTooLarge, and those of the disk.
func (l *stageLog[C]) append(c C) error {
	frame, head, err := l.codec.appendTo(make([]byte, frameHeader), c)
	if err != nil {
		return err
	}
	if len(frame) > maxChunkBytes {
		return ErrTooLarge
	}
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHeader))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[frameHeader:], castagnoli))
	if _, err := l.f.WriteAt(frame, l.size); err != nil {
		return stageError("stage chunk", err)
	}
	l.note(head, l.size+int64(len(frame)))
	return nil
}

// sync makes the chunks so far durable.
func (l *stageLog[C]) sync() error {
	if l.synced == l.size {
		return nil
	}
	if err := syncData(l.f); err != nil {
		return stageError("stage chunk", err)
	}
	l.synced = l.size
	return nil
}

// holds reports that a chunk is staged already, with the same content.
func (l *stageLog[C]) holds(seq uint64, hash chunkhash.Hash) bool {
	return seq <= l.last && (seq == 0 || l.states[seq-1].hash == hash)
}

// cut drops the chunks behind the one with that number, durably: what comes in their place must never stand before
// what was behind them.
func (l *stageLog[C]) cut(last uint64) error {
	if last >= l.last {
		return nil
	}
	state := emptyLog
	if last > 0 {
		state = l.states[last-1]
	}
	if err := l.f.Truncate(state.size); err != nil {
		return stageError("stage chunk", err)
	}
	if err := l.f.Sync(); err != nil {
		return stageError("stage chunk", err)
	}
	l.logState, l.states, l.synced = state, l.states[:last], state.size
	return nil
}

// hashes are those of all chunks.
func (l *stageLog[C]) hashes() []chunkhash.Hash {
	hashes := make([]chunkhash.Hash, 0, len(l.states))
	for i := range l.states {
		hashes = append(hashes, l.states[i].hash)
	}
	return hashes
}

// noted are the chunks of which the caller refused an entry, or said something else about one.
func (l *stageLog[C]) noted() []uint64 {
	var chunks []uint64
	before := emptyLog
	for _, state := range l.states {
		if state.rejected != before.rejected || state.remarks != before.remarks {
			chunks = append(chunks, state.last)
		}
		before = state
	}
	return chunks
}

func (l *stageLog[C]) close() error { return l.f.Close() }

// eachChunk calls f with every chunk, in order; it is valid until f returns. Errors: ErrStage when the file holds less than
// was noted, and what reading failed with.
func (l *stageLog[C]) eachChunk(f func(C) error) error {
	r := &frameReader{r: bufio.NewReaderSize(io.NewSectionReader(l.f, 0, l.size), 1<<20)}
	for r.read < l.size {
		payload, err := r.next()
		if errors.Is(err, io.EOF) {
			return ErrStage
		}
		if err != nil {
			return err
		}
		c, err := l.codec.decode(payload)
		if err != nil {
			return err
		}
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}

// frameReader reads the frames of a log.
type frameReader struct {
	r    *bufio.Reader
	read int64
	buf  []byte
}

// next is the payload of the next frame, valid until the call after. Errors: io.EOF where the file ends before or in the
// header, ErrStage for a payload that is cut or damaged, and what reading failed with.
func (r *frameReader) next() ([]byte, error) {
	var h [frameHeader]byte
	if err := readWhole(r.r, h[:]); err != nil {
		return nil, err
	}
	size, crc := binary.LittleEndian.Uint32(h[:]), binary.LittleEndian.Uint32(h[4:])
	if size > maxChunkBytes {
		return nil, ErrStage
	}
	r.buf = slices.Grow(r.buf[:0], int(size))[:size]
	if err := readWhole(r.r, r.buf); errors.Is(err, io.EOF) {
		return nil, ErrStage
	} else if err != nil {
		return nil, err
	}
	if crc32.Checksum(r.buf, castagnoli) != crc {
		return nil, ErrStage
	}
	r.read += int64(frameHeader + len(r.buf))
	return r.buf, nil
}

// readWhole fills b; io.EOF where the file ends before.
func readWhole(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// uvarints reads unsigned varints, and returns what is behind them.
func uvarints(b []byte, to ...*uint64) ([]byte, error) {
	for _, v := range to {
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, ErrStage
		}
		*v, b = value, b[n:]
	}
	return b, nil
}
