package block

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/seal"
)

// maxOpen is how many files of loads stay open while they are not read: those that were read last. A list that is loaded
// every day has a file for each load, and each takes a descriptor.
const maxOpen = 64

// Files are the files of the loads in a directory. Of too many open files, the one that was not read for longest is closed,
// after its last reader.
type Files struct {
	Dir string

	mu   sync.Mutex
	open map[LoadID]*openFile
	used list.List // of *openFile, the one read last in front
}

// openFile is a file that is open. Its fields belong to Files.
type openFile struct {
	*os.File
	id      LoadID
	place   *list.Element // nil: closed by the last reader
	readers int
}

// Path is the file of a load's blocks.
func (f *Files) Path(id LoadID) string { return filepath.Join(f.Dir, id.FileName()) }

// Create returns a Writer of the file of a load.
func (f *Files) Create(id LoadID) *Writer { return &Writer{path: f.Path(id)} }

// Read reads the block of key, of a load, whose Place payload is. It uses buf when that is large enough. Errors:
// fault.ErrDamaged, and those of a file that cannot be opened.
func (f *Files) Read(id LoadID, key, payload, buf []byte) ([]byte, error) {
	place, err := ParsePlace(key, payload)
	if err != nil {
		return nil, err
	}
	file, err := f.acquire(id)
	if err != nil {
		return nil, err
	}
	defer f.release(file)
	if cap(buf) < place.Length {
		buf = make([]byte, place.Length)
	}
	buf = buf[:place.Length]
	if _, err := file.ReadAt(buf, place.At); err != nil {
		return nil, fmt.Errorf("%w: the file of a load's blocks: %w", fault.ErrDamaged, err)
	}
	if seal.CRC(key, buf) != place.CRC {
		return nil, fault.DamagedKey(key)
	}
	return buf, nil
}

// Check reports damage when the file of a load is not there, or shorter than the load made it.
func (f *Files) Check(id LoadID, bytes uint64) error {
	if bytes == 0 {
		return nil
	}
	file, err := os.Open(f.Path(id))
	if err != nil {
		return fault.AsDamage(fmt.Errorf("the blocks of a load: %w", err))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fault.AsDamage(fmt.Errorf("the blocks of a load: %w", err))
	}
	if uint64(info.Size()) < bytes {
		return fmt.Errorf("%w: the file of a load's blocks is too short", fault.ErrDamaged)
	}
	return nil
}

// Remove deletes the file of a load that no list shows, if there is one.
func (f *Files) Remove(id LoadID) error {
	f.forget(id)
	if err := os.Remove(f.Path(id)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// acquire returns the file of a load, to be released.
func (f *Files) acquire(id LoadID) (*openFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.open[id]; b != nil {
		b.readers++
		f.used.MoveToFront(b.place)
		return b, nil
	}
	file, err := f.openFile(f.Path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", fault.ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	b := &openFile{File: file, id: id, readers: 1}
	b.place = f.used.PushFront(b)
	if f.open == nil {
		f.open = make(map[LoadID]*openFile)
	}
	f.open[id] = b
	for f.used.Len() > maxOpen {
		_ = f.drop(f.used.Back().Value.(*openFile)) // an error of a file that was only read
	}
	return b, nil
}

// openFile opens a file. Where the process may open no more, it closes others.
func (f *Files) openFile(path string) (*os.File, error) {
	for {
		file, err := os.Open(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) || f.used.Len() == 0 {
			return file, err
		}
		_ = f.drop(f.used.Back().Value.(*openFile))
	}
}

// release ends one reading of b.
func (f *Files) release(b *openFile) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.readers--
	if b.readers == 0 && b.place == nil {
		_ = b.Close() // an error of a file that was only read
	}
}

// drop closes b, now or after its last reader.
func (f *Files) drop(b *openFile) error {
	f.used.Remove(b.place)
	b.place = nil
	delete(f.open, b.id)
	if b.readers > 0 {
		return nil
	}
	return b.Close()
}

// forget closes the file of a load that is deleted.
func (f *Files) forget(id LoadID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.open[id]; b != nil {
		_ = f.drop(b)
	}
}

// Close closes all files.
func (f *Files) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	for _, b := range f.open {
		err = errors.Join(err, f.drop(b))
	}
	return err
}
