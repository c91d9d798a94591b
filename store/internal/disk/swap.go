package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dncd/dncd/store/internal/fault"
)

// Swap puts parts of a fresh directory, which is below the data directory, in the place of those of the data directory, and
// keeps the old ones. It moves the parts, since the data directory itself may be a mount point. A process that dies in the
// middle leaves the plan, and the next one that finds it finishes the swap.
type Swap struct {
	Dir         string
	Plan        string   // name of the file that says that a swap has begun, and between which directories
	Parts       []string // names of files and directories
	FreshPrefix string   // begins the names of fresh directories
	KeptPrefix  string   // begins the names of directories that keep old parts
}

// swapPlan names directories below the data directory.
type swapPlan struct{ Fresh, Kept string }

// isSound reports that the plan names directories of a swap: nothing else may be moved or deleted for it.
func (s *Swap) isSound(p swapPlan) bool {
	return isNameOf(p.Fresh, s.FreshPrefix) && isNameOf(p.Kept, s.KeptPrefix)
}

func isNameOf(name, prefix string) bool {
	return len(name) > len(prefix) && strings.HasPrefix(name, prefix) && filepath.Base(name) == name
}

// Begin syncs the fresh directory, begins the swap, and returns the directory that will keep the old parts. The fresh one has
// all parts that are directories.
func (s *Swap) Begin(fresh string) (kept string, err error) {
	p := swapPlan{Fresh: filepath.Base(fresh), Kept: s.KeptPrefix + time.Now().UTC().Format("20060102T150405.000")}
	kept = filepath.Join(s.Dir, p.Kept)
	if err := SyncTree(fresh); err != nil {
		return kept, err
	}
	return kept, WriteJSON(filepath.Join(s.Dir, s.Plan), p)
}

// Finish finishes a swap that was begun, however far it came. It does nothing when there is none. Errors:
// fault.ErrDamaged for a plan that cannot be read.
func (s *Swap) Finish() error {
	var p swapPlan
	path := filepath.Join(s.Dir, s.Plan)
	switch err := ReadJSON(path, &p); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.As(err, new(*fs.PathError)):
		return err
	case err != nil:
		return fmt.Errorf("%w: %s: %w", fault.ErrDamaged, s.Plan, err)
	case !s.isSound(p):
		return fmt.Errorf("%w: %s names no directories of a repair", fault.ErrDamaged, s.Plan)
	}
	fresh, kept := filepath.Join(s.Dir, p.Fresh), filepath.Join(s.Dir, p.Kept)
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return err
	}
	for _, part := range s.Parts {
		if err := swapPart(s.Dir, fresh, kept, part); err != nil {
			return err
		}
	}
	if err := errors.Join(SyncDir(kept), SyncDir(s.Dir)); err != nil {
		return err
	}
	return errors.Join(os.Remove(path), os.RemoveAll(fresh), SyncDir(s.Dir))
}
