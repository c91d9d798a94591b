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

	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
)

// storeParts are what is moved besides the mark.
var storeParts = []string{blocksDir, badgerDir, badgerDir + badgerdir.UnlistedSuffix, storiesDir, storiesDir + badgerdir.UnlistedSuffix, filtersDir, stageDir}

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
	if err := disk.SyncTree(r.s.dir); err != nil {
		return err
	}
	plan, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = disk.WriteFile(filepath.Join(r.dir, swapFile), func(w io.Writer) error { _, err := w.Write(plan); return err })
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
	for _, part := range append([]string{journal.MarkName}, storeParts...) {
		if err := disk.SwapPart(dir, fresh, kept, part); err != nil {
			return err
		}
	}
	if err := errors.Join(disk.SyncDir(kept), disk.SyncDir(dir)); err != nil {
		return err
	}
	return errors.Join(os.Remove(filepath.Join(dir, swapFile)), os.RemoveAll(fresh), disk.SyncDir(dir))
}
