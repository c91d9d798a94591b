package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/stage"
)

// content is the staged numbers of a load, sorted and each once, in a file named by its hash. It is what a load that
// was prepared can be finished from after a crash.
type content struct {
	path       string
	sha        [sha256.Size]byte
	numbers    uint64
	duplicates uint64
}

// contentPath names a content file by hash and list: two lists that load the same numbers have a file each, which ends
// with its own load.
func (s *Store) contentPath(list policy.EventID, sha []byte) string {
	return filepath.Join(s.dir, stageDir, fmt.Sprintf("%x-%d-%d.numbers", sha, list.Revision, list.Index))
}

// sortContent sorts the chunks of an import into its content file. Memory is bounded, whatever their order.
func (s *Store) sortContent(ctx context.Context, list policy.EventID, c *stage.Log[Chunk], dir string) (content, error) {
	if err := s.writableFor(2 * c.Size); err != nil { // buckets and the sorted file, neither larger than the chunks
		return content{}, err
	}
	return s.writeContent(list, filepath.Join(dir, "sorted"), func(w *stage.Writer) error { return stage.Sort(ctx, c, dir, w) })
}

// writeContent makes the content file of a list, by way of a file at path.
func (s *Store) writeContent(list policy.EventID, path string, fill func(*stage.Writer) error) (out content, err error) {
	f, err := os.Create(path)
	if err != nil {
		return out, disk.WriteError("sort stage", err)
	}
	defer f.Close()
	w := stage.NewWriter(disk.NewSteadyWriter(f))
	if err := errors.Join(fill(w), w.Flush()); err != nil {
		return out, disk.WriteError("sort stage", err)
	}
	if err := s.opt.faults.do(stepContent, f.Sync); err != nil {
		return out, disk.WriteError("sort stage", err)
	}
	out = content{sha: w.Sum(), numbers: w.Numbers, duplicates: w.Duplicates}
	out.path = s.contentPath(list, out.sha[:])
	if err := os.Rename(path, out.path); err != nil {
		return out, disk.WriteError("sort stage", err)
	}
	return out, disk.SyncDir(filepath.Dir(out.path))
}
