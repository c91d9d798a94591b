package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/dncd/dncd/internal/policy"
)

// The blocks of a load lie in a file of its own, one behind the other, which never changes once the list has switched.
// Badger holds the place of each, at the load's timestamp. docs/design/007-block-files.md has the reasons.

const (
	blockFileExt = ".blocks"

	// maxInline is how long a block may be that lies in Badger itself: its place would take as much.
	maxInline = 32
)

// loadID names a load: its list, and the revision that prepared it.
type loadID struct {
	list     policy.EventID
	prepared uint64
}

// blockPlace is where a block lies in the file of its load, and its CRC over key and bytes.
type blockPlace struct {
	at     int64
	length int
	crc    uint32
}

func (p blockPlace) encode() []byte {
	b := make([]byte, 0, 1+2*binary.MaxVarintLen64+4+crcBytes)
	b = binary.AppendUvarint(append(b, blockElsewhere), uint64(p.at))
	b = binary.AppendUvarint(b, uint64(p.length))
	return binary.LittleEndian.AppendUint32(b, p.crc)
}

// parsePlace reads a place.
func parsePlace(key, payload []byte) (p blockPlace, err error) {
	b := payload[1:]
	at, n := binary.Uvarint(b)
	length, m := binary.Uvarint(b[max(n, 0):])
	if n <= 0 || m <= 0 || at > math.MaxInt64 || length > maxPacked || len(b) != n+m+4 {
		return p, damagedKey(key)
	}
	return blockPlace{int64(at), int(length), binary.LittleEndian.Uint32(b[n+m:])}, nil
}

const blockFileName = "%d-%d-%d" + blockFileExt // prepared, list id

func (s *Store) blockFilePath(id loadID) string {
	return filepath.Join(s.dir, blocksDir, fmt.Sprintf(blockFileName, id.prepared, id.list.Revision, id.list.Index))
}

// readPlaced reads the block of key, of a load, of which payload is the place. It uses buf when that is large enough.
func (s *Store) readPlaced(id loadID, key, payload, buf []byte) ([]byte, error) {
	at, err := parsePlace(key, payload)
	if err != nil {
		return nil, err
	}
	f, err := s.files.take(id, s.blockFilePath(id))
	if err != nil {
		return nil, err
	}
	defer s.files.giveBack(f)
	if cap(buf) < at.length {
		buf = make([]byte, at.length)
	}
	buf = buf[:at.length]
	if _, err := f.ReadAt(buf, at.at); err != nil {
		return nil, fmt.Errorf("%w: the file of a load's blocks: %w", ErrDamaged, err)
	}
	if valueCRC(key, buf) != at.crc {
		return nil, damagedKey(key)
	}
	return buf, nil
}

// checkBlockFile reports damage when the file of a load's blocks is not there, or shorter than the load made it.
func (s *Store) checkBlockFile(id loadID, bytes uint64) error {
	if bytes == 0 {
		return nil
	}
	f, err := os.Open(s.blockFilePath(id))
	if err != nil {
		return asDamage(fmt.Errorf("the blocks of a load: %w", err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return asDamage(fmt.Errorf("the blocks of a load: %w", err))
	}
	if uint64(info.Size()) < bytes {
		return fmt.Errorf("%w: the file of a load's blocks is too short", ErrDamaged)
	}
	return nil
}

// dropBlockFile deletes the blocks of a load that was abandoned: no list shows them.
func (s *Store) dropBlockFile(id loadID) {
	s.files.forget(id)
	if err := os.Remove(s.blockFilePath(id)); !errors.Is(err, fs.ErrNotExist) {
		s.warnIf("delete the blocks of an abandoned load", err)
	}
}

// sweepBlockFiles deletes the blocks of abandoned loads that a crash left.
func (s *Store) sweepBlockFiles() {
	files, err := os.ReadDir(filepath.Join(s.dir, blocksDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.warnIf("find the blocks of abandoned loads", err)
	}
	v := s.View()
	for _, f := range files {
		id, ok := parseBlockFile(f.Name())
		if !ok {
			continue
		}
		if e, err := v.importAt(id.list, id.prepared); err == nil && e.State == ImportAbandoned {
			s.dropBlockFile(id)
		}
	}
}

// parseBlockFile reads the load in the name of its file.
func parseBlockFile(name string) (id loadID, ok bool) {
	n, _ := fmt.Sscanf(name, blockFileName, &id.prepared, &id.list.Revision, &id.list.Index) // n tells
	return id, n == 3
}

// blockFileWriter writes the file of a load. It is made with the first block that lies there.
type blockFileWriter struct {
	path string
	f    *os.File
}

// write makes blocks durable at their place. Errors: ErrDiskFull.
func (w *blockFileWriter) write(blocks []byte, at int64) error {
	if len(blocks) == 0 {
		return nil
	}
	if err := w.open(); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(blocks, at); err != nil {
		return stageError("write blocks", err)
	}
	if err := syncData(w.f); err != nil {
		return stageError("write blocks", err)
	}
	return nil
}

// open begins the file. A load that begins again writes another, and the same.
func (w *blockFileWriter) open() (err error) {
	if w.f != nil {
		return nil
	}
	if err := os.Remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return stageError("write blocks", err)
	}
	if w.f, err = os.OpenFile(w.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return stageError("write blocks", err)
	}
	if err := syncDir(filepath.Dir(w.path)); err != nil {
		return stageError("write blocks", err)
	}
	return nil
}

func (w *blockFileWriter) close() error {
	if w.f == nil {
		return nil
	}
	return w.f.Close()
}
