package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// Source is one file that is read: a file, or a member of a zip.
type Source struct {
	// Name has no directories: "818.txt", "archive.zip/818.txt", "-" for stdin.
	Name string
	// SnapshotDate is the date in the name, YYYY-MM-DD; of a zip and its
	// member the older one. Empty: none.
	SnapshotDate string
	// SHA256 and Size are of the unpacked content, once it was read whole.
	SHA256 [32]byte
	Size   int64
	// Format is how it is read.
	Format Format

	path   string
	member int    // index in the zip at path; -1: path itself
	base   string // base name of the file or member
	packed int64  // bytes on disk; 0: not known
	blocks bool   // reads may block for ever: stdin, a pipe

	opened io.ReadCloser // when reading has begun before its turn
}

// area is the area code in the name, -1 when it has none.
func (s *Source) area() int {
	if area := nameArea(s.base); area >= 0 {
		return area
	}
	return nameArea(filepath.Base(s.path))
}

// isNation reports that it is named as the file of the whole nation.
func (s *Source) isNation() bool {
	return nationName.MatchString(s.base) || nationName.MatchString(filepath.Base(s.path))
}

// findSources returns the files at path in the order in which they are read.
func findSources(path string) ([]Source, error) {
	if path == "-" {
		return []Source{{Name: "-", path: "-", base: "-", member: -1, blocks: true}}, nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(path, "*?["):
		return matchSources(path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: no such file", path)
	case err != nil:
		return nil, err
	}
	return fileSources(path, info)
}

// matchSources returns the files that a pattern matches, by name: a shell leaves
// it to us when it is quoted.
func matchSources(pattern string) ([]Source, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", pattern, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no file matches %q", pattern)
	}
	var list []Source
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		found, err := fileSources(path, info)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

func fileSources(path string, info fs.FileInfo) ([]Source, error) {
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory: name the files in it", path)
	}
	base := filepath.Base(path)
	if info.Mode().IsRegular() {
		zipped, err := isZip(path)
		if err != nil {
			return nil, err
		}
		if zipped {
			return zipSources(path)
		}
	}
	date, _ := SnapshotDate([]string{base})
	return []Source{{
		Name: base, SnapshotDate: date, path: path, base: base, member: -1,
		packed: info.Size(), blocks: !info.Mode().IsRegular(),
	}}, nil
}

func zipSources(path string) ([]Source, error) {
	a, err := openArchive(path, new(atomic.Int64))
	if err != nil {
		return nil, err
	}
	defer a.close()
	var list []Source
	for _, i := range a.members() {
		m := a.zip.File[i]
		base := memberBase(m.Name)
		name := filepath.Base(path) + "/" + base
		date, _ := SnapshotDate([]string{name})
		list = append(list, Source{
			Name: name, SnapshotDate: date, path: path, base: base, member: i,
			packed: int64(m.CompressedSize64),
		})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s holds no file", path)
	}
	return list, nil
}

// isZip decides by the first bytes. A name that ends in .zip must agree with them.
func isZip(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	head := make([]byte, 4)
	n, err := io.ReadFull(file, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, err
	}
	zipped := hasZipMagic(head[:n])
	if !zipped && filepath.Ext(path) == ".zip" {
		return false, fmt.Errorf("%s is not a zip: damaged or cut short, fetch the file again", path)
	}
	return zipped, nil
}

func hasZipMagic(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06"))
}

// open starts reading a source that is a file of its own.
func (s *Source) open(meter *atomic.Int64) (io.ReadCloser, error) {
	if s.path == "-" {
		return metered{io.NopCloser(os.Stdin), meter}, nil
	}
	file, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	return metered{file, meter}, nil
}
