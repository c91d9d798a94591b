package damage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CopyTree copies the files below from into the directory to, which it makes. Runs of
// zeros become holes.
func CopyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return copySparse(path, target)
	})
}

func copySparse(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	size, err := io.Copy(&sparseWriter{f: out}, in)
	return errors.Join(err, out.Truncate(size))
}

// sparseWriter leaves out blocks of zeros.
type sparseWriter struct {
	f  *os.File
	at int64
}

func (w *sparseWriter) Write(p []byte) (int, error) {
	const block = 4096
	for b := range slices.Chunk(p, block) {
		if len(strings.Trim(string(b), "\x00")) > 0 {
			if _, err := w.f.WriteAt(b, w.at); err != nil {
				return 0, err
			}
		}
		w.at += int64(len(b))
	}
	return len(p), nil
}

// Sum hashes the names, lengths and contents of all files below dir.
func Sum(dir string) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		fmt.Fprintf(sum, "%s\x00", strings.TrimPrefix(path, dir))
		n, err := io.Copy(sum, f)
		fmt.Fprintf(sum, "%d\x00", n)
		return err
	})
	return fmt.Sprintf("%x", sum.Sum(nil)), err
}
