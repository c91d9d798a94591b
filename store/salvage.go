package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2/z"
)

// salvage reads what can be read of a damaged Badger directory, without changing it: each table by itself, and the logs
// in a copy. It calls f for every key, version and value, in no order, some twice. It asks neither MANIFEST nor
// checksums of tables: the caller checks each value by its own CRC.
func salvage(dir, scratch string, log *slog.Logger, f func(key []byte, version uint64, value []byte) error) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		switch filepath.Ext(file.Name()) {
		case ".sst":
			err = salvageTable(path, f)
		case ".mem":
			err = salvageLog(path, filepath.Join(scratch, file.Name()+".d"), log, f)
		}
		var failed salvageError
		if errors.As(err, &failed) {
			return failed.err
		}
		if err != nil {
			log.Warn("a damaged file could not be read whole", "file", file.Name(), "err", err)
		}
	}
	return nil
}

// salvageError is the caller's own failure: not damage to pass over.
type salvageError struct{ err error }

func (e salvageError) Error() string { return e.err.Error() }

// salvageTable yields a table's entries up to where it cannot be read.
func salvageTable(path string, f func(key []byte, version uint64, value []byte) error) (err error) {
	defer recoverDamage(&err)
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := checkForm(content); err != nil { // Badger ends the process over it
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	file, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	t, err := table.OpenTable(file, table.Options{ChkMode: options.NoVerification, Compression: options.None, ReadOnly: true})
	if err != nil {
		return err
	}
	defer t.Close(-1)
	it := t.NewIterator(table.NOCACHE)
	for it.Rewind(); it.Valid(); it.Next() {
		key, v := it.Key(), it.Value()
		if v.Meta != 0 && v.Value == nil {
			continue
		}
		if err := f(y.ParseKey(key), y.ParseTs(key), v.Value); err != nil {
			return salvageError{err}
		}
	}
	return nil
}

// salvageLog has Badger replay a copy of a memtable's log in a directory of its own.
func salvageLog(path, scratch string, log *slog.Logger, f func(key []byte, version uint64, value []byte) error) (err error) {
	defer recoverDamage(&err)
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return salvageError{err}
	}
	defer os.RemoveAll(scratch)
	if err := copyFile(path, filepath.Join(scratch, filepath.Base(path))); err != nil {
		return salvageError{err}
	}
	db, err := openBadger(badgerOptions(scratch, log), true)
	if err != nil {
		return err
	}
	defer db.Close()
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{AllVersions: true})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if item.IsDeletedOrExpired() {
			continue
		}
		value, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		if err := f(item.KeyCopy(nil), item.Version(), value); err != nil {
			return salvageError{err}
		}
	}
	return nil
}

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
