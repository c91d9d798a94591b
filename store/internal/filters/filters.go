// Package filters saves Bloom filters in a directory: one for all numbers with records, one for each list.
package filters

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/disk"
)

// Records is the name of the filter of all numbers with records.
const Records = "records"

const listForm = "list-%d-%d-%d" // list id, revision that prepared the load

// ListName is the name of the filter of a load.
func ListName(id block.LoadID) string {
	return fmt.Sprintf(listForm, id.List.Revision, id.List.Index, id.Prepared)
}

// ParseListName returns the load whose filter has that name.
func ParseListName(name string) (id block.LoadID, ok bool) {
	n, _ := fmt.Sscanf(name, listForm, &id.List.Revision, &id.List.Index, &id.Prepared) // n tells
	return id, n == 3
}

// Dir is the directory of saved filters.
type Dir string

func (d Dir) path(name string) string { return filepath.Join(string(d), name) }

// Read reads a saved filter.
func (d Dir) Read(name string) (f *filter.Set, h filter.Header, err error) {
	err = d.open(name, func(file *os.File, size int64) (err error) {
		f, h, err = filter.Decode(file, size)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("none is saved")
	}
	return f, h, err
}

// ReadHeader reads what a saved filter is of.
func (d Dir) ReadHeader(name string) (h filter.Header, err error) {
	err = d.open(name, func(file *os.File, size int64) (err error) {
		h, err = filter.DecodeHeader(file, size)
		return err
	})
	return h, err
}

func (d Dir) open(name string, read func(f *os.File, size int64) error) error {
	f, err := os.Open(d.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return read(f, info.Size())
}

// Write saves a filter under the name of its set.
func (d Dir) Write(f *filter.Set, h filter.Header) error {
	return disk.WriteFile(d.path(h.Set), func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<20)
		return errors.Join(f.Encode(b, h), b.Flush())
	})
}

// Keep deletes all filters except those of these names.
func (d Dir) Keep(names []string) error {
	files, err := os.ReadDir(string(d))
	for _, f := range files {
		if !slices.Contains(names, f.Name()) {
			os.Remove(d.path(f.Name()))
		}
	}
	return err
}

// KeepList deletes the filters of a list's loads except the one of that name.
func (d Dir) KeepList(id policy.EventID, name string) {
	old, err := filepath.Glob(d.path(fmt.Sprintf("list-%d-%d-*", id.Revision, id.Index)))
	if err != nil {
		return
	}
	for _, path := range old {
		if filepath.Base(path) != name {
			os.Remove(path)
		}
	}
}
