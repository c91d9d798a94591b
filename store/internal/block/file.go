package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/seal"
)

// The blocks of a load are in a file of its own, one behind the other, which never changes once the list has switched.
// Badger holds the place of each, at the load's timestamp. docs/design/007-block-files.md has the reasons.

// MaxInline is how long a block may be that is in Badger itself: its place would take as much.
const MaxInline = 32

// LoadID names a load: its list, and the revision that prepared it.
type LoadID struct {
	List     policy.EventID
	Prepared uint64
}

// fileForm is how the file of a load is named: the revision that prepared it, and the list's id.
const fileForm = "%d-%d-%d.blocks"

// FileName is the name of the file of a load's blocks.
func (id LoadID) FileName() string {
	return fmt.Sprintf(fileForm, id.Prepared, id.List.Revision, id.List.Index)
}

// ParseFileName returns the load whose blocks are in a file of that name.
func ParseFileName(name string) (id LoadID, ok bool) {
	n, _ := fmt.Sscanf(name, fileForm, &id.Prepared, &id.List.Revision, &id.List.Index) // n tells
	return id, n == 3
}

// Place is where a block is in the file of its load, with its CRC over key and bytes.
type Place struct {
	At     int64
	Length int
	CRC    uint32
}

// Encode returns what is stored in place of the block.
func (p Place) Encode() []byte {
	b := make([]byte, 0, 1+2*binary.MaxVarintLen64+4+seal.Bytes)
	b = binary.AppendUvarint(append(b, kindElsewhere), uint64(p.At))
	b = binary.AppendUvarint(b, uint64(p.Length))
	return binary.LittleEndian.AppendUint32(b, p.CRC)
}

// IsPlace reports whether what is stored is the place of a block, and not the block itself.
func IsPlace(payload []byte) bool { return len(payload) > 0 && payload[0] == kindElsewhere }

// ParsePlace reads a place. Its error is fault.ErrDamaged.
func ParsePlace(key, payload []byte) (p Place, err error) {
	b := payload[1:]
	at, n := binary.Uvarint(b)
	length, m := binary.Uvarint(b[max(n, 0):])
	if n <= 0 || m <= 0 || at > math.MaxInt64 || length > MaxPacked || len(b) != n+m+4 {
		return p, fault.DamagedKey(key)
	}
	return Place{int64(at), int(length), binary.LittleEndian.Uint32(b[n+m:])}, nil
}

// Writer writes the file of a load. It makes the file with the first block.
type Writer struct {
	path string
	f    *os.File
}

// Write makes blocks durable at their place. Errors: fault.ErrDiskFull.
func (w *Writer) Write(blocks []byte, at int64) error {
	if len(blocks) == 0 {
		return nil
	}
	if err := w.open(); err != nil {
		return disk.WriteError("write blocks", err)
	}
	if _, err := w.f.WriteAt(blocks, at); err != nil {
		return disk.WriteError("write blocks", err)
	}
	if err := disk.SyncData(w.f); err != nil {
		return disk.WriteError("write blocks", err)
	}
	return nil
}

// open begins the file. A load that begins again writes a new one, with the same content.
func (w *Writer) open() (err error) {
	if w.f != nil {
		return nil
	}
	if err := os.Remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if w.f, err = os.OpenFile(w.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(w.path))
}

// Close closes the file.
func (w *Writer) Close() error {
	if w.f == nil {
		return nil
	}
	return w.f.Close()
}
