package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// storeParts are what is moved besides the mark.
var storeParts = []string{blocksDir, badgerDir, badgerDir + unlistedSuffix, storiesDir, storiesDir + unlistedSuffix, filtersDir, stageDir}

// swapFile says that a swap has begun, and between which directories. While it lies there the store is not opened
// before the swap is finished.
const swapFile = "swap.json"

// swapPlan names directories below the data directory.
type swapPlan struct{ Fresh, Kept string }

// keptPrefix begins the names of directories that keep what a repair took the place of.
const keptPrefix = "damaged-"

// isSound reports that the plan names what a repair makes: nothing else may be moved or deleted for it.
func (p swapPlan) isSound() bool {
	return isNameOf(p.Fresh, scratchPrefix) && isNameOf(p.Kept, keptPrefix)
}

func isNameOf(name, prefix string) bool {
	return len(name) > len(prefix) && strings.HasPrefix(name, prefix) && filepath.Base(name) == name
}

// swap puts the fresh store in place and keeps the damaged one. It moves the parts, since the data directory itself may
// be a mount point.
func (r *repairer) swap() error {
	p := swapPlan{Fresh: filepath.Base(r.s.dir), Kept: keptPrefix + time.Now().UTC().Format("20060102T150405.000")}
	r.report.Kept = filepath.Join(r.dir, p.Kept)
	for _, part := range storeParts { // each has one, so that one that is missing was moved
		if err := os.MkdirAll(filepath.Join(r.s.dir, part), 0o700); err != nil {
			return err
		}
	}
	if err := syncTree(r.s.dir); err != nil {
		return err
	}
	plan, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = writeFile(filepath.Join(r.dir, swapFile), func(w io.Writer) error { _, err := w.Write(plan); return err })
	if err != nil {
		return err
	}
	return finishSwap(r.dir)
}

// finishSwap finishes a swap that was begun, however far it came. It does nothing when there is none.
func finishSwap(dir string) error {
	plan, err := os.ReadFile(filepath.Join(dir, swapFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var p swapPlan
	if err := json.Unmarshal(plan, &p); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, swapFile, err)
	}
	if !p.isSound() {
		return fmt.Errorf("%w: %s names no directories of a repair", ErrDamaged, swapFile)
	}
	fresh, kept := filepath.Join(dir, p.Fresh), filepath.Join(dir, p.Kept)
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return err
	}
	for _, part := range append([]string{markFile}, storeParts...) {
		if err := swapPart(dir, fresh, kept, part); err != nil {
			return err
		}
	}
	if err := errors.Join(syncDir(kept), syncDir(dir)); err != nil {
		return err
	}
	return errors.Join(os.Remove(filepath.Join(dir, swapFile)), os.RemoveAll(fresh), syncDir(dir))
}

// swapPart keeps the old part and moves the new one to its place. Where no new one is left it is there already.
func swapPart(dir, fresh, kept, part string) error {
	from, to, old := filepath.Join(fresh, part), filepath.Join(dir, part), filepath.Join(kept, part)
	if _, err := os.Lstat(from); err != nil {
		return notThere(err)
	}
	if err := keepPart(to, old); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// keepPart moves a part to where damaged ones are kept, unless one is kept. One that is a link stays where it lies, and is
// linked to from there.
func keepPart(part, kept string) error {
	path, isLink, err := resolve(part)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(kept); !isLink {
		if errors.Is(err, fs.ErrNotExist) {
			return notThere(os.Rename(part, kept))
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

// resolve follows a part of the data directory that is a link to where it lies.
func resolve(part string) (path string, isLink bool, err error) {
	info, err := os.Lstat(part)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return part, false, notThere(err)
	}
	path, err = filepath.EvalSymlinks(part)
	return path, true, err
}

// notThere is err, unless it says that a file does not exist.
func notThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncTree makes every file below dir durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncDir(path)
	})
}
