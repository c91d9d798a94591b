package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// position is a revision with its chain hash.
type position struct {
	revision uint64
	chain    chainHash
}

// mark is the last acknowledged revision, written and synced after its commit and before its acknowledgement: a
// second copy that shows when Badger lost the tail of its log.
type mark struct {
	journal    JournalID
	tip        position
	checkpoint position // old enough to lie in tables: verification at open begins behind it
	halved     bool     // the other slot cannot be read: it may have been the newer one
}

// last is the last revision that may lie in the journal: one beyond the mark, whose acknowledgement never went out, and
// one more where the newer slot is lost. A slot is at most one revision newer than the other.
func (m *mark) last() uint64 {
	if m.halved {
		return m.tip.revision + 2
	}
	return m.tip.revision + 1
}

// The mark's file has two slots, each in a sector pair of its own, written in turn: a torn write leaves the other.
const (
	markFile      = "mark"
	markSlotBytes = 4096
	markMagic     = "dncdmrk1"
	markBytes     = 8 + 8 + 16 + 2*(8+32) + 4
)

var errNoMark = errors.New("no readable mark")

// markWriter holds the mark's file open. It is used by one goroutine at a time.
type markWriter struct {
	f   *os.File
	seq uint64
}

// readMark returns the newest valid mark of the directory, or errNoMark.
func readMark(dir string) (mark, uint64, error) {
	b, err := os.ReadFile(filepath.Join(dir, markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return mark{}, 0, errNoMark
	}
	if err != nil {
		return mark{}, 0, fmt.Errorf("read mark: %w", err)
	}
	var newest mark
	var newestSeq uint64
	halved := false
	for _, at := range []int{0, markSlotBytes} {
		if at+markBytes > len(b) {
			continue
		}
		slot := b[at : at+markBytes]
		m, seq, ok := decodeMark(slot)
		if ok && seq > newestSeq {
			newest, newestSeq = m, seq
		}
		halved = halved || (!ok && len(bytes.Trim(slot, "\x00")) > 0)
	}
	if newestSeq == 0 {
		return mark{}, 0, errNoMark
	}
	newest.halved = halved
	return newest, newestSeq, nil
}

// openMark opens the mark's file for writing, after the slot of seq.
func openMark(dir string, seq uint64) (*markWriter, error) {
	f, err := os.OpenFile(filepath.Join(dir, markFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open mark: %w", err)
	}
	if err := reserve(f, 2*markSlotBytes); err != nil {
		f.Close()
		return nil, fmt.Errorf("open mark: %w", err)
	}
	if err := syncDir(dir); err != nil {
		f.Close()
		return nil, err
	}
	return &markWriter{f: f, seq: seq}, nil
}

// write makes m durable. It fails when the file was deleted or replaced meanwhile: then the next start would not find it.
func (w *markWriter) write(m mark) error {
	w.seq++
	at := int64(w.seq%2) * markSlotBytes
	if _, err := w.f.WriteAt(encodeMark(m, w.seq), at); err != nil {
		return fmt.Errorf("write mark: %w", err)
	}
	if err := syncData(w.f); err != nil {
		return fmt.Errorf("sync mark: %w", err)
	}
	return isNamed(w.f)
}

// isNamed returns an error unless the name by which a file was opened still leads to it.
func isNamed(f *os.File) error {
	open, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(open, named) {
		return fmt.Errorf("%w: %s was deleted or replaced while the store was open", ErrDamaged, filepath.Base(f.Name()))
	}
	return nil
}

func (w *markWriter) close() error { return w.f.Close() }

func encodeMark(m mark, seq uint64) []byte {
	b := append(make([]byte, 0, markBytes), markMagic...)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = append(b, m.journal[:]...)
	for _, p := range []position{m.tip, m.checkpoint} {
		b = binary.BigEndian.AppendUint64(b, p.revision)
		b = append(b, p.chain[:]...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeMark(b []byte) (m mark, seq uint64, ok bool) {
	n := markBytes - crcBytes
	if string(b[:8]) != markMagic || binary.BigEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return mark{}, 0, false
	}
	seq = binary.BigEndian.Uint64(b[8:])
	copy(m.journal[:], b[16:])
	b = b[32:]
	for _, p := range []*position{&m.tip, &m.checkpoint} {
		p.revision = binary.BigEndian.Uint64(b)
		copy(p.chain[:], b[8:])
		b = b[40:]
	}
	return m, seq, true
}

// tailTrail remembers recent positions with the bytes written before them, to know which of them lie in tables.
type tailTrail struct {
	checkpoint position
	trail      []trailPoint
}

type trailPoint struct {
	position
	written uint64
}

const trailStep = 1 << 20

// advance notes a committed position and returns the newest one that surely lies in tables.
func (t *tailTrail) advance(at position, written uint64) position {
	if n := len(t.trail); n == 0 || written-t.trail[n-1].written >= trailStep {
		t.trail = append(t.trail, trailPoint{at, written})
	}
	for len(t.trail) > 0 && written-t.trail[0].written >= memTailBytes {
		t.checkpoint = t.trail[0].position
		t.trail = t.trail[1:]
	}
	return t.checkpoint
}
