package badgerdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"

	"github.com/dncd/dncd/store/internal/disk"
)

// UnlistedSuffix names the directory beside a database's for what was set aside from it.
const UnlistedSuffix = ".unlisted"

// asidePath is a free name in a directory of what was set aside: nothing in it is ever overwritten.
func asidePath(dir, base string) (string, error) {
	ext := filepath.Ext(base)
	name := base
	for n := 1; ; n++ {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path, nil
		} else if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s+%d%s", strings.TrimSuffix(base, ext), n, ext)
	}
}

// isAside reports whether a file with that content was set aside before: a store that cannot be opened is tried again.
func isAside(dir string, content []byte) bool {
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Size() != int64(len(content)) {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(dir, f.Name())); err == nil && bytes.Equal(b, content) {
			return true
		}
	}
	return false
}

// setAside moves the tables that the MANIFEST does not list out of Badger's way, which would delete them. Most are of a
// flush or a compaction that a crash cut short, and hold nothing that is not elsewhere too. But a MANIFEST that lost its
// end looks the same: then they are what repair needs.
func setAside(opt badger.Options) error {
	if _, err := os.Stat(filepath.Join(opt.Dir, badger.ManifestFilename)); err != nil {
		return disk.IgnoreMissing(err) // a new database
	}
	manifest, err := readManifest(opt)
	if err != nil {
		return err
	}
	tables, err := filepath.Glob(filepath.Join(opt.Dir, "*.sst"))
	if err != nil {
		return err
	}
	for _, path := range tables {
		id, ok := table.ParseFileID(filepath.Base(path))
		if _, listed := manifest.Tables[id]; !ok || listed {
			continue
		}
		if err := os.MkdirAll(opt.Dir+UnlistedSuffix, 0o700); err != nil {
			return err
		}
		to, err := asidePath(opt.Dir+UnlistedSuffix, filepath.Base(path))
		if err != nil {
			return err
		}
		if err := os.Rename(path, to); err != nil {
			return err
		}
	}
	return nil
}

// keepTornLogs copies the logs that Badger will cut off to the tables that were set aside. If verification finds that what
// was cut off had been acknowledged, repair needs them.
func keepTornLogs(opt badger.Options) error {
	dir := opt.Dir
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return err
	}
	for _, path := range logs {
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("check log file: %w", err)
		}
		if !isTorn(content) || isAside(dir+UnlistedSuffix, content) {
			continue
		}
		if err := os.MkdirAll(dir+UnlistedSuffix, 0o700); err != nil {
			return fmt.Errorf("keep a log file: %w", err)
		}
		kept, err := asidePath(dir+UnlistedSuffix, filepath.Base(path))
		if err != nil {
			return fmt.Errorf("keep a log file: %w", err)
		}
		if err := disk.CopyFile(path, kept); err != nil {
			return fmt.Errorf("keep a log file: %w", err)
		}
	}
	return nil
}
