package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// RowChunk is a part of an import's rows.
type RowChunk struct {
	Seq     uint64      // 1, 2, 3 ...
	Rows    []OptOutRow // that may be recorded
	Refused []uint32    // places of the rows that the caller refused, among all of the chunk's, ascending
}

// place is where the i-th of Rows stood in the chunk.
func (c *RowChunk) place(i int) uint32 {
	at := uint32(i)
	for _, refused := range c.Refused {
		if refused > at {
			break
		}
		at++
	}
	return at
}

// rowLog is the staged chunks of one import of opt-outs, in order, each a frame: length, CRC, payload. The payload is
// the sequence, the counts of rows and of refused ones, and a storev1.StagedOptOuts.
type rowLog struct {
	f       *os.File
	size    int64
	last    uint64 // the last chunk
	rows    uint64
	refused uint64
}

// openRowLog opens or makes a log, and counts what is there up to the first frame that was not written whole.
func openRowLog(path string) (*rowLog, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open stage: %w", err)
	}
	l := &rowLog{f: f}
	if err := l.count(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("open stage: %w", err)
	}
	return l, nil
}

// count notes the chunks up to the first that was not written whole.
func (l *rowLog) count(from io.Reader) error {
	r := &rowReader{r: bufio.NewReaderSize(from, 1<<20)}
	for {
		frame, err := r.next()
		if err != nil {
			return unlessCut(err)
		}
		if frame.seq != l.last+1 {
			return nil
		}
		l.note(frame)
		l.size = r.read
	}
}

// trim readies a log for more chunks: it drops what lies behind those that count, and makes them durable, for what a
// killed process wrote may not be on disk yet.
func (l *rowLog) trim() error {
	if err := errors.Join(l.f.Truncate(l.size), l.f.Sync()); err != nil {
		return fmt.Errorf("open stage: %w", err)
	}
	return nil
}

func (l *rowLog) note(f rowFrame) {
	l.last = f.seq
	l.rows += f.rows
	l.refused += f.refused
}

// append makes a chunk durable.
func (l *rowLog) append(c RowChunk) error {
	counts := rowFrame{seq: c.Seq, rows: uint64(len(c.Rows)), refused: uint64(len(c.Refused))}
	frame := counts.appendTo(make([]byte, frameHeader, 1<<16))
	frame = appendRows(frame, c.Rows)
	frame, err := proto.MarshalOptions{}.MarshalAppend(frame, &storev1.StagedOptOuts{Refused: c.Refused})
	if err != nil {
		return fmt.Errorf("stage chunk: %w", err)
	}
	if len(frame) > maxChunkBytes {
		return ErrTooLarge
	}
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHeader))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[frameHeader:], castagnoli))
	if _, err := l.f.WriteAt(frame, l.size); err != nil {
		return fmt.Errorf("stage chunk: %w", err)
	}
	if err := syncData(l.f); err != nil {
		return fmt.Errorf("stage chunk: %w", err)
	}
	l.size += int64(len(frame))
	l.note(counts)
	return nil
}

// appendRows appends the rows to a storev1.StagedOptOuts.
func appendRows(b []byte, rows []OptOutRow) []byte {
	var m []byte
	for i := range rows {
		m = appendOptOut(m[:0], &rows[i].OptOut)
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), m)
		m = appendStory(m[:0], rows[i].Story)
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), m)
	}
	return b
}

// appendOptOut appends the bytes of o.message().
func appendOptOut(b []byte, o *OptOut) []byte {
	b = protowire.AppendFixed64(protowire.AppendTag(b, 1, protowire.Fixed64Type), uint64(o.Number))
	b = appendText(b, 2, o.Scope)
	b = appendVarint(b, 3, uint64(o.Channel))
	b = appendVarint(b, 4, uint64(timeNano(o.ReceivedAt)))
	return appendVarint(b, 5, uint64(timeNano(o.ExpiresAt)))
}

func (l *rowLog) close() error { return l.f.Close() }

// eachChunk calls f with every chunk, in order. Errors: ErrStage when the file holds less than was noted, and what
// reading failed with.
func (l *rowLog) eachChunk(f func(RowChunk) error) error {
	r := &rowReader{r: bufio.NewReaderSize(io.NewSectionReader(l.f, 0, l.size), 1<<20)}
	for r.read < l.size {
		frame, err := r.next()
		if errors.Is(err, io.EOF) {
			return ErrStage
		}
		if err != nil {
			return err
		}
		c, err := frame.chunk()
		if err != nil {
			return err
		}
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}

// rowFrame is one frame of a row log; its body is valid until the next is read.
type rowFrame struct {
	seq, rows, refused uint64
	body               []byte
}

func (f *rowFrame) appendTo(b []byte) []byte {
	for _, v := range []uint64{f.seq, f.rows, f.refused} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func (f *rowFrame) chunk() (RowChunk, error) {
	m := new(storev1.StagedOptOuts)
	if proto.Unmarshal(f.body, m) != nil || uint64(len(m.GetOptOuts())) != f.rows || uint64(len(m.GetStories())) != f.rows {
		return RowChunk{}, ErrStage
	}
	c := RowChunk{Seq: f.seq, Refused: m.GetRefused(), Rows: make([]OptOutRow, f.rows)}
	for i, o := range m.GetOptOuts() {
		c.Rows[i] = OptOutRow{
			OptOut: OptOut{
				Number:     phone.Number(o.GetNumber()),
				Scope:      policy.Scope(o.GetScope()),
				Channel:    policy.Channel(o.GetChannel()),
				ReceivedAt: nanoTime(o.GetReceivedAt()),
				ExpiresAt:  nanoTime(o.GetExpiresAt()),
			},
			Story: storyOf(m.GetStories()[i]),
		}
	}
	return c, nil
}

// rowReader reads the frames of a row log.
type rowReader struct {
	r    *bufio.Reader
	read int64
	buf  []byte
}

// next returns the next frame. Errors: those of readFrame.
func (r *rowReader) next() (rowFrame, error) {
	var err error
	if r.buf, err = readFrame(r.r, r.buf); err != nil {
		return rowFrame{}, err
	}
	r.read += int64(frameHeader + len(r.buf))
	f := rowFrame{body: r.buf}
	for _, v := range []*uint64{&f.seq, &f.rows, &f.refused} {
		value, n := binary.Uvarint(f.body)
		if n <= 0 {
			return rowFrame{}, ErrStage
		}
		*v, f.body = value, f.body[n:]
	}
	return f, nil
}
