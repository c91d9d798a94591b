package badgerdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"

	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/fault"
)

// OpenReadOnly opens a database without changing a byte of it. Badger opens tables read-only, through links in scratch.
// The other files are small, and Badger would cut some of them off: it is given copies.
func OpenReadOnly(opt badger.Options, scratch string, managed bool) (*badger.DB, error) {
	from := opt.Dir
	opt = opt.WithDir(scratch).WithValueDir(scratch)
	for _, step := range []func(opt badger.Options, from string) error{copySmallFiles, requireManifest, linkTables} {
		if err := step(opt, from); err != nil {
			return nil, err
		}
	}
	if err := checkTables(opt); err != nil {
		return nil, err
	}
	return openChecked(opt.WithReadOnly(true), managed)
}

// copySmallFiles copies all that is neither a table nor private to one process.
func copySmallFiles(opt badger.Options, from string) error {
	files, err := os.ReadDir(from)
	if err := errors.Join(err, os.MkdirAll(opt.Dir, 0o700)); err != nil {
		return err
	}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		source, target := filepath.Join(from, f.Name()), filepath.Join(opt.Dir, f.Name())
		switch filepath.Ext(f.Name()) {
		case ".sst":
			continue
		case ".mem":
			err = copyLog(source, target)
		case ".vlog":
			err = copyUnlessEmpty(source, target)
		case "":
			err = disk.CopyFile(source, target)
		}
		if err != nil {
			return disk.WriteError("copy what Badger would change", err)
		}
	}
	return nil
}

// copyLog copies a memtable's log up to its last whole transaction, which is where Badger would cut it off. A log without
// one is left out, unless its header stops Badger.
func copyLog(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	end := committedEnd(content)
	if end <= logHeaderBytes && !hasForeignKey(content) {
		return nil
	}
	return os.WriteFile(to, content[:end], 0o600)
}

// hasForeignKey reports that a log's header names a key that it is encrypted with. Ours never are.
func hasForeignKey(content []byte) bool {
	return len(content) >= logHeaderBytes && slices.ContainsFunc(content[:8], func(b byte) bool { return b != 0 })
}

// committedEnd is where the last whole transaction of a log ends, or less than a header when there is none.
func committedEnd(content []byte) int {
	if len(content) < logHeaderBytes {
		return 0
	}
	end, at := logHeaderBytes, logHeaderBytes
	open := uint64(0) // the timestamp of the transaction that is being read
	for {
		e, ok := parseLogEntry(content[at:])
		if !ok {
			return end
		}
		at += e.size
		switch {
		case e.meta&logInTxn != 0 && (open == 0 || open == e.version):
			open = e.version
		case e.meta&logInTxn == 0 && e.meta&logEndOfTxn != 0 && strconv.FormatUint(open, 10) == string(e.value),
			e.meta&(logInTxn|logEndOfTxn) == 0 && open == 0:
			open, end = 0, at
		default:
			return end
		}
	}
}

// copyUnlessEmpty copies a file that holds something. An empty one is what a power cut leaves.
func copyUnlessEmpty(from, to string) error {
	info, err := os.Stat(from)
	if err != nil || info.Size() == 0 {
		return err
	}
	return disk.CopyFile(from, to)
}

// requireManifest makes the MANIFEST of a database that has none and no tables, as Badger does.
func requireManifest(opt badger.Options, from string) error {
	if _, err := os.Stat(filepath.Join(opt.Dir, badger.ManifestFilename)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tables, err := filepath.Glob(filepath.Join(from, "*.sst"))
	if err != nil {
		return err
	}
	if len(tables) > 0 {
		return fmt.Errorf("%w: %s has tables and no MANIFEST", fault.ErrDamaged, filepath.Base(from))
	}
	empty := opt.Dir + ".empty"
	db, err := openChecked(opt.WithDir(empty).WithValueDir(empty), false)
	if err != nil {
		return err
	}
	return errors.Join(db.Close(), os.Rename(filepath.Join(empty, badger.ManifestFilename), filepath.Join(opt.Dir, badger.ManifestFilename)))
}

// linkTables makes links to the tables that the MANIFEST names.
func linkTables(opt badger.Options, from string) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	manifest, err := readManifest(opt)
	for id := range manifest.Tables {
		err = errors.Join(err, os.Symlink(table.NewFilename(id, from), table.NewFilename(id, opt.Dir)))
	}
	return err
}
