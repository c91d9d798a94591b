// Package stage keeps what an import has received on disk before anything of it counts: a log of its chunks, and their
// numbers as they are being sorted.
package stage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/fault"
)

// Log is the staged chunks of one import, in order, each a frame: length, CRC, payload. The codec decides what a payload
// holds.
type Log[C any] struct {
	f     *os.File
	codec Codec[C]
	State
	states []State // after each chunk: what the log returns to when those behind it are cut off
	synced int64   // the size up to which it is durable
}

// Codec codes the chunks of one kind of import.
type Codec[C any] interface {
	// Key is the number and hash of a chunk.
	Key(c C) (seq uint64, hash chunkhash.Hash)
	// Append appends the payload of a chunk. Errors: fault.ErrTooLarge.
	Append(payload []byte, c C) ([]byte, Head, error)
	// Head is what a log counts of a payload. Errors: fault.ErrStage.
	Head(payload []byte) (Head, error)
	// Decode returns a chunk that is valid until the next call. Errors: fault.ErrStage.
	Decode(payload []byte) (C, error)
}

// Head is what a log counts of a chunk.
type Head struct {
	Seq             uint64
	Hash            chunkhash.Hash
	Entries         uint64 // that may be loaded or recorded, repeats among them
	Rejected        uint64 // entries that the caller refused
	Remarks         uint64 // entries about which the caller said something else
	Lowest, Highest uint64 // of ascending entries; 0: they have no order
}

// State is what a log holds up to a chunk.
type State struct {
	Last      uint64 // the chunk
	Size      int64
	Entries   uint64
	Rejected  uint64
	Ascending bool // each chunk begins where the one before ended, or after

	hash    chunkhash.Hash // of the chunk
	remarks uint64
	highest uint64
}

// empty is the state before the first chunk.
var empty = State{Ascending: true}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// MaxChunkBytes is the length of the longest chunk, as it is staged.
const MaxChunkBytes = 4 << 20

const frameHeader = 8

// newLog is a log in which nothing was counted yet.
func newLog[C any](f *os.File, codec Codec[C]) *Log[C] {
	return &Log[C]{f: f, codec: codec, State: empty}
}

// Open opens or makes a log, and counts what is there up to the first frame that was not written completely. It does not
// change the file.
func Open[C any](path string, codec Codec[C]) (*Log[C], error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, disk.WriteError("open stage", err)
	}
	l := newLog(f, codec)
	if err := l.count(f); err != nil {
		f.Close()
		return nil, disk.WriteError("open stage", err)
	}
	return l, nil
}

// Continue opens or makes a log for more chunks. It drops what is behind those that count, and makes them durable, since
// what a killed process wrote may not be on disk yet.
func Continue[C any](path string, codec Codec[C]) (*Log[C], error) {
	l, err := Open(path, codec)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(l.f.Truncate(l.Size), l.f.Sync()); err != nil {
		l.f.Close()
		return nil, disk.WriteError("open stage", err)
	}
	l.synced = l.Size
	return l, nil
}

// ReadNoted returns the chunks of a log that are Noted. Another caller may have it open.
func ReadNoted[C any](path string, codec Codec[C]) ([]uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l := newLog(f, codec)
	if err := l.count(f); err != nil {
		return nil, disk.WriteError("read stage", err)
	}
	return l.Noted(), nil
}

// count notes the chunks up to the first that was not written completely.
func (l *Log[C]) count(from io.Reader) error {
	r := &frameReader{r: bufio.NewReaderSize(from, 1<<20)}
	for {
		payload, err := r.next()
		if err != nil {
			return unlessCut(err)
		}
		head, err := l.codec.Head(payload)
		if err != nil || head.Seq != l.Last+1 {
			return unlessCut(err)
		}
		l.note(head, r.read)
	}
}

// unlessCut returns the error of a reading that no killed process explains: those end a log, or cut its last frame.
func unlessCut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, fault.ErrStage) {
		return nil
	}
	return err
}

// note counts a chunk whose frame ends at size.
func (l *Log[C]) note(h Head, size int64) {
	l.hash, l.Size, l.Last = h.Hash, size, h.Seq
	l.Entries += h.Entries
	l.Rejected += h.Rejected
	l.remarks += h.Remarks
	if h.Entries > 0 {
		l.Ascending = l.Ascending && h.Lowest >= l.highest
		l.highest = max(l.highest, h.Highest)
	}
	l.states = append(l.states, l.State)
}

// Append writes a chunk. Errors: fault.ErrTooLarge, and those of the disk.
func (l *Log[C]) Append(c C) error {
	frame, head, err := l.codec.Append(make([]byte, frameHeader), c)
	if err != nil {
		return err
	}
	if len(frame) > MaxChunkBytes {
		return fault.ErrTooLarge
	}
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHeader))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[frameHeader:], castagnoli))
	if _, err := l.f.WriteAt(frame, l.Size); err != nil {
		return disk.WriteError("stage chunk", err)
	}
	l.note(head, l.Size+int64(len(frame)))
	return nil
}

// Sync makes the chunks so far durable.
func (l *Log[C]) Sync() error {
	if l.synced == l.Size {
		return nil
	}
	if err := disk.SyncData(l.f); err != nil {
		return disk.WriteError("stage chunk", err)
	}
	l.synced = l.Size
	return nil
}

// Key is the number and hash of a chunk.
func (l *Log[C]) Key(c C) (seq uint64, hash chunkhash.Hash) { return l.codec.Key(c) }

// Holds reports that a chunk is staged already, with the same content.
func (l *Log[C]) Holds(seq uint64, hash chunkhash.Hash) bool {
	return seq <= l.Last && (seq == 0 || l.states[seq-1].hash == hash)
}

// Cut drops the chunks behind the one with that number, durably: what comes in their place must never be followed by what
// was behind them.
func (l *Log[C]) Cut(last uint64) error {
	if last >= l.Last {
		return nil
	}
	state := empty
	if last > 0 {
		state = l.states[last-1]
	}
	if err := l.f.Truncate(state.Size); err != nil {
		return disk.WriteError("stage chunk", err)
	}
	if err := l.f.Sync(); err != nil {
		return disk.WriteError("stage chunk", err)
	}
	l.State, l.states, l.synced = state, l.states[:last], state.Size
	return nil
}

// Hashes are those of all chunks.
func (l *Log[C]) Hashes() []chunkhash.Hash {
	hashes := make([]chunkhash.Hash, 0, len(l.states))
	for i := range l.states {
		hashes = append(hashes, l.states[i].hash)
	}
	return hashes
}

// Noted are the chunks with an entry that the caller refused or remarked on.
func (l *Log[C]) Noted() []uint64 {
	var chunks []uint64
	before := empty
	for _, state := range l.states {
		if state.Rejected != before.Rejected || state.remarks != before.remarks {
			chunks = append(chunks, state.Last)
		}
		before = state
	}
	return chunks
}

// Close closes the file.
func (l *Log[C]) Close() error { return l.f.Close() }

// Chunks yields every chunk, in order; it is valid until the next. Errors: fault.ErrStage when the file holds less than was
// noted, and what reading failed with.
func (l *Log[C]) Chunks() iter.Seq2[C, error] {
	return func(yield func(C, error) bool) {
		r := &frameReader{r: bufio.NewReaderSize(io.NewSectionReader(l.f, 0, l.Size), 1<<20)}
		for r.read < l.Size {
			c, err := l.next(r)
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

func (l *Log[C]) next(r *frameReader) (c C, err error) {
	payload, err := r.next()
	if errors.Is(err, io.EOF) {
		return c, fault.ErrStage
	}
	if err != nil {
		return c, err
	}
	return l.codec.Decode(payload)
}

// frameReader reads the frames of a log.
type frameReader struct {
	r    *bufio.Reader
	read int64
	buf  []byte
}

// next is the payload of the next frame, valid until the call after. Errors: io.EOF where the file ends before or in the
// header, fault.ErrStage for a payload that is cut or damaged, and what reading failed with.
func (r *frameReader) next() ([]byte, error) {
	var h [frameHeader]byte
	if err := readWhole(r.r, h[:]); err != nil {
		return nil, err
	}
	size, crc := binary.LittleEndian.Uint32(h[:]), binary.LittleEndian.Uint32(h[4:])
	if size > MaxChunkBytes {
		return nil, fault.ErrStage
	}
	r.buf = slices.Grow(r.buf[:0], int(size))[:size]
	if err := readWhole(r.r, r.buf); errors.Is(err, io.EOF) {
		return nil, fault.ErrStage
	} else if err != nil {
		return nil, err
	}
	if crc32.Checksum(r.buf, castagnoli) != crc {
		return nil, fault.ErrStage
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

// Uvarints reads unsigned varints, and returns what is behind them. Errors: fault.ErrStage.
func Uvarints(b []byte, to ...*uint64) ([]byte, error) {
	for _, v := range to {
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fault.ErrStage
		}
		*v, b = value, b[n:]
	}
	return b, nil
}
