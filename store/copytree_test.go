package store

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// copyTree copies a directory. What holds nothing but zeros is not written: a log of Badger is a file of 64 MiB, most of
// it a hole.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return copySparse(path, target)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// copySparse copies a file and leaves holes where it holds zeros.
func copySparse(from, to string) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	size, err := eachBlock(from, func(at int64, block []byte) error {
		_, err := out.WriteAt(block, at)
		return err
	})
	return errors.Join(err, out.Truncate(size))
}

// eachBlock calls f with the blocks of a file that hold anything but zeros, each at a multiple of 64 KiB, and returns the
// size of the file. Holes are not read.
func eachBlock(path string, f func(at int64, block []byte) error) (size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	zeros, buf := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := range blocksOf(file, info.Size(), int64(len(buf))) {
		n, err := file.ReadAt(buf, at)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if !bytes.Equal(buf[:n], zeros[:n]) {
			if err := f(at, buf[:n]); err != nil {
				return 0, err
			}
		}
	}
	return info.Size(), nil
}

// blocksOf yields where the blocks of a file begin, without those that lie in holes where the system knows of them.
func blocksOf(file *os.File, size, block int64) iter.Seq[int64] {
	const seekData = 3 // Linux
	return func(yield func(int64) bool) {
		for at := int64(0); at < size; at += block {
			if runtime.GOOS == "linux" {
				data, err := file.Seek(at, seekData)
				if err != nil { // there is no more
					return
				}
				at = data - data%block
			}
			if !yield(at) {
				return
			}
		}
	}
}

// A copy is the same to the last byte, and a byte that appears in a hole changes what treeOf tells of a directory.
func TestCopyTreeKeepsEveryByte(t *testing.T) {
	t.Parallel()
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copied")
	must(t, os.Mkdir(filepath.Join(dir, "inner"), 0o700))
	path := filepath.Join(dir, "inner", "sparse")
	must(t, os.WriteFile(path, []byte("begin"), 0o600))
	must(t, os.Truncate(path, 10<<20+7))
	for _, at := range []int64{64<<10 - 1, 3<<20 + 5, 9 << 20} {
		writeAt(t, path, at, []byte("some"))
	}
	must(t, os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600))
	copyTree(t, dir, copied)
	for _, name := range []string{"inner/sparse", "empty"} {
		if got, want := readFile(t, filepath.Join(copied, name)), readFile(t, filepath.Join(dir, name)); !bytes.Equal(got, want) {
			t.Errorf("%s: the copy of %d bytes differs from the %d that were there", name, len(got), len(want))
		}
	}
	before := treeOf(t, copied)
	writeAt(t, filepath.Join(copied, "inner", "sparse"), 5<<20, []byte{1})
	if cmp.Equal(before, treeOf(t, copied)) {
		t.Error("a byte that was written into a hole shows in no hash")
	}
}
