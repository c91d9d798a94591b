package store

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// maxBlockFiles is how many files of loads stay open when nobody reads them: those that were read last. A list that
// is loaded every day has a file a load, and each takes a descriptor.
const maxBlockFiles = 64

// blockFiles are the files of a store's loads that are open. A file is closed when it has not been read for longest of
// too many, and nobody is reading it.
type blockFiles struct {
	mu   sync.Mutex
	open map[loadID]*openBlocks
	used list.List // of *openBlocks, the one read last in front
}

// openBlocks is a file that is open. Its fields belong to blockFiles.
type openBlocks struct {
	*os.File
	id      loadID
	place   *list.Element // nil: closed by the last reader
	readers int
}

// take returns the file of a load, to be given back.
func (f *blockFiles) take(id loadID, path string) (*openBlocks, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.open[id]; b != nil {
		b.readers++
		f.used.MoveToFront(b.place)
		return b, nil
	}
	file, err := f.openFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	b := &openBlocks{File: file, id: id, readers: 1}
	b.place = f.used.PushFront(b)
	if f.open == nil {
		f.open = make(map[loadID]*openBlocks)
	}
	f.open[id] = b
	for f.used.Len() > maxBlockFiles {
		_ = f.drop(f.used.Back().Value.(*openBlocks)) // an error of a file that was only read
	}
	return b, nil
}

// openFile opens a file. Where the process may open no more, another gives way.
func (f *blockFiles) openFile(path string) (*os.File, error) {
	for {
		file, err := os.Open(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) || f.used.Len() == 0 {
			return file, err
		}
		_ = f.drop(f.used.Back().Value.(*openBlocks))
	}
}

// giveBack ends one reading of b.
func (f *blockFiles) giveBack(b *openBlocks) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.readers--
	if b.readers == 0 && b.place == nil {
		_ = b.Close() // an error of a file that was only read
	}
}

// drop closes b, now or after its last reader.
func (f *blockFiles) drop(b *openBlocks) error {
	f.used.Remove(b.place)
	b.place = nil
	delete(f.open, b.id)
	if b.readers > 0 {
		return nil
	}
	return b.Close()
}

// forget closes the file of a load that is deleted.
func (f *blockFiles) forget(id loadID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.open[id]; b != nil {
		_ = f.drop(b)
	}
}

func (f *blockFiles) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	for _, b := range f.open {
		err = errors.Join(err, f.drop(b))
	}
	return err
}
