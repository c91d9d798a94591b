package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// saved is an entry that was found in a damaged file.
type saved struct {
	key     []byte
	version uint64
	value   []byte
	proven  bool // a checksum over all of it holds, and not only the value's own: its version is what was written
}

// valueEnd tells where the value of key ends that b begins with, by the value's own checksum; false when there is none.
type valueEnd func(key, b []byte) (n int, ok bool)

// salvage reads what can be read of a damaged Badger directory, without changing it: each table and each log by itself.
// It calls f for each entry, in no order, some twice. It asks neither MANIFEST nor the index of tables: the caller checks
// each value by its own checksum.
func salvage(dir string, end valueEnd, log *slog.Logger, f func(saved) error) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		switch filepath.Ext(file.Name()) {
		case ".sst":
			err = salvageTable(path, end, f)
		case ".mem":
			err = salvageLog(path, f)
		}
		var failed salvageError
		if errors.As(err, &failed) {
			return failed.err
		}
		if err != nil {
			log.Warn("a damaged file could not be read", "file", file.Name(), "err", err)
		}
	}
	return nil
}

// salvageError is the caller's own failure: not damage to pass over.
type salvageError struct{ err error }

func (e salvageError) Error() string { return e.err.Error() }

// recoverDamage turns a panic of Badger's decoders over damaged bytes into an error.
func recoverDamage(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %s", ErrDamaged, strings.SplitN(fmt.Sprint(p), "\n", 2)[0])
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
