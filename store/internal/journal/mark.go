package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dncd/dncd/store/internal/disk"
)

// Mark is the last acknowledged revision, written and synced after its commit and before its acknowledgement: a second copy
// that shows when Badger lost the tail of its log.
type Mark struct {
	Journal    ID
	Tip        Position
	Checkpoint Position // old enough to be in tables: verification at open begins behind it
	Halved     bool     // the other slot cannot be read: it may have been the newer one
}

// NewMark is the mark of a new journal without a revision.
func NewMark() Mark {
	var m Mark
	rand.Read(m.Journal[:])
	m.Tip.Chain = Start(m.Journal)
	m.Checkpoint = m.Tip
	return m
}

// Last is the last revision that may be in the journal: one beyond the mark, whose acknowledgement was never sent, and one
// more if the newer slot is lost. A slot is at most one revision newer than the other.
func (m *Mark) Last() uint64 {
	if m.Halved {
		return m.Tip.Revision + 2
	}
	return m.Tip.Revision + 1
}

// MarkName is the name of the mark's file in the data directory.
const MarkName = "mark"

// The mark's file has two slots, each in a sector pair of its own, written in turn: a torn write leaves the other.
const (
	markSlotBytes = 4096
	markMagic     = "dncdmrk1"
	markBytes     = 8 + 8 + 16 + 2*(8+32) + markCRC
	markCRC       = 4

	// firstMarkSeq is the sequence number of a mark in the first slot.
	firstMarkSeq = 2
)

var markTable = crc32.MakeTable(crc32.Castagnoli)

// ErrNoMark is returned for a directory without a readable mark.
var ErrNoMark = errors.New("no readable mark")

// CreateMark writes the mark of a new journal into a directory.
func CreateMark(dir string) error {
	return disk.WriteFile(filepath.Join(dir, MarkName), func(w io.Writer) error {
		slots := make([]byte, 2*markSlotBytes)
		copy(slots, encodeMark(NewMark(), firstMarkSeq))
		_, err := w.Write(slots)
		return err
	})
}

// ReadMark returns the newest valid mark of the directory with its sequence number. Errors: ErrNoMark, and those of the file.
func ReadMark(dir string) (m Mark, seq uint64, err error) {
	b, err := os.ReadFile(filepath.Join(dir, MarkName))
	if errors.Is(err, fs.ErrNotExist) {
		return Mark{}, 0, ErrNoMark
	}
	if err != nil {
		return Mark{}, 0, fmt.Errorf("read mark: %w", err)
	}
	halved := false
	for _, at := range []int{0, markSlotBytes} {
		if at+markBytes > len(b) {
			continue
		}
		slot := b[at : at+markBytes]
		held, heldSeq, ok := decodeMark(slot)
		if ok && heldSeq > seq {
			m, seq = held, heldSeq
		}
		halved = halved || (!ok && len(bytes.Trim(slot, "\x00")) > 0)
	}
	if seq == 0 {
		return Mark{}, 0, ErrNoMark
	}
	m.Halved = halved
	return m, seq, nil
}

// MarkFile writes marks. It is used by one goroutine at a time.
type MarkFile struct {
	f   *os.File
	seq uint64
}

// OpenMark opens the mark's file for writing, after the slot of seq.
func OpenMark(dir string, seq uint64) (*MarkFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, MarkName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open mark: %w", err)
	}
	if err := disk.Reserve(f, 2*markSlotBytes); err != nil {
		f.Close()
		return nil, fmt.Errorf("open mark: %w", err)
	}
	if err := disk.SyncDir(dir); err != nil {
		f.Close()
		return nil, err
	}
	return &MarkFile{f: f, seq: seq}, nil
}

// Write makes m durable. It fails when the file was deleted or replaced since it was opened: then the next start would not
// find it.
func (w *MarkFile) Write(m Mark) error {
	w.seq++
	at := int64(w.seq%2) * markSlotBytes
	if _, err := w.f.WriteAt(encodeMark(m, w.seq), at); err != nil {
		return fmt.Errorf("write mark: %w", err)
	}
	if err := disk.SyncData(w.f); err != nil {
		return fmt.Errorf("sync mark: %w", err)
	}
	return w.CheckName()
}

// CheckName returns an error unless the file is still there under its name.
func (w *MarkFile) CheckName() error { return disk.CheckName(w.f) }

// Close closes the file.
func (w *MarkFile) Close() error { return w.f.Close() }

func encodeMark(m Mark, seq uint64) []byte {
	b := append(make([]byte, 0, markBytes), markMagic...)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = append(b, m.Journal[:]...)
	for _, p := range []Position{m.Tip, m.Checkpoint} {
		b = binary.BigEndian.AppendUint64(b, p.Revision)
		b = append(b, p.Chain[:]...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, markTable))
}

func decodeMark(b []byte) (m Mark, seq uint64, ok bool) {
	n := markBytes - markCRC
	if string(b[:8]) != markMagic || binary.BigEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], markTable) {
		return Mark{}, 0, false
	}
	seq = binary.BigEndian.Uint64(b[8:])
	copy(m.Journal[:], b[16:])
	b = b[32:]
	for _, p := range []*Position{&m.Tip, &m.Checkpoint} {
		p.Revision = binary.BigEndian.Uint64(b)
		copy(p.Chain[:], b[8:])
		b = b[40:]
	}
	return m, seq, true
}

// Tail remembers recent positions with the bytes that were written before them, to know which of them are old enough for a
// checkpoint: Bytes behind the end.
type Tail struct {
	Bytes      uint64
	Checkpoint Position
	trail      []tailPoint
}

type tailPoint struct {
	Position
	written uint64
}

const tailStep = 1 << 20

// Advance notes a committed position and returns the newest one that is old enough.
func (t *Tail) Advance(at Position, written uint64) Position {
	if n := len(t.trail); n == 0 || written-t.trail[n-1].written >= tailStep {
		t.trail = append(t.trail, tailPoint{at, written})
	}
	for len(t.trail) > 0 && written-t.trail[0].written >= t.Bytes {
		t.Checkpoint = t.trail[0].Position
		t.trail = t.trail[1:]
	}
	return t.Checkpoint
}
