package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// swapPart moves a part of dir to kept, and that of fresh into its place. It does nothing when fresh has none: then it was
// moved before.
func swapPart(dir, fresh, kept, part string) error {
	from, to, old := filepath.Join(fresh, part), filepath.Join(dir, part), filepath.Join(kept, part)
	if _, err := os.Lstat(from); err != nil {
		return IgnoreMissing(err)
	}
	if err := keepPart(to, old); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// keepPart moves a part to where damaged ones are kept, unless one is kept there already. The target of a link stays where
// it is, and gets another link there.
func keepPart(part, kept string) error {
	path, isLink, err := Resolve(part)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(kept); !isLink {
		if errors.Is(err, fs.ErrNotExist) {
			return IgnoreMissing(os.Rename(part, kept))
		}
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if err := os.Symlink(path, kept); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Remove(part)
}

// Resolve follows a part of the data directory that is a link.
func Resolve(part string) (path string, isLink bool, err error) {
	info, err := os.Lstat(part)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return part, false, IgnoreMissing(err)
	}
	path, err = filepath.EvalSymlinks(part)
	return path, true, err
}

// SyncTree makes every file below dir durable.
func SyncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return SyncDir(path)
	})
}

// LinkTree makes links to the files of a directory that are never written again, or copies where links cannot be had.
func LinkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case os.Link(path, target) == nil:
			return nil
		}
		return CopyFile(path, target)
	})
}
