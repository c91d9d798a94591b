package badgerdir

import (
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
)

// Saved is an entry that was found in a damaged file.
type Saved struct {
	Key     []byte
	Version uint64
	Value   []byte
	Proven  bool // a checksum over all of it holds, and not only the value's own: its version is what was written
}

// ValueEnd finds where the value of key ends that b begins with, by the value's own checksum; false when there is none.
type ValueEnd func(key, b []byte) (n int, ok bool)

// Salvage reads what can be read of a damaged Badger directory, without changing it: each table and each log separately. It
// yields the entries in no order, some twice. It uses neither MANIFEST nor the index of tables: the caller checks each value
// by its own checksum. An error means that the directory cannot be read.
func Salvage(dir string, end ValueEnd, log *slog.Logger) iter.Seq2[Saved, error] {
	return func(yield func(Saved, error) bool) {
		files, err := os.ReadDir(dir)
		if err != nil {
			yield(Saved{}, fmt.Errorf("salvage: %w", err))
			return
		}
		for _, file := range files {
			found, err := salvageFile(filepath.Join(dir, file.Name()), end)
			if err != nil {
				log.Warn("a damaged file could not be read", "file", file.Name(), "err", err)
			}
			for _, e := range found {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// salvageFile returns the entries of a table or a log, also of one that it could not read to its end.
func salvageFile(path string, end ValueEnd) ([]Saved, error) {
	ext := filepath.Ext(path)
	if ext != ".sst" && ext != ".mem" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if ext == ".mem" {
		return salvageLog(content), nil
	}
	t := tableSalvager{end: end}
	err = t.salvage(content)
	return t.found, err
}

func salvageLog(content []byte) (found []Saved) {
	for e, whole := range scanLog(content) {
		if whole && e.meta&(logDeleted|logEndOfTxn) == 0 {
			found = append(found, Saved{e.key, e.version, e.value, true})
		}
	}
	return found
}
