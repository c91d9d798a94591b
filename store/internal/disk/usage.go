package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// FreeBytes is what the disk of dir has left for this process, less the holes in the files below dir, which count as used.
// It may be negative.
func FreeBytes(dir string) (int64, error) {
	free, err := AvailableBytes(dir)
	if err != nil {
		return 0, err
	}
	_, holes, err := Use(dir)
	return free - holes, err
}

// AvailableBytes is what the disk of dir has left for this process.
func AvailableBytes(dir string) (int64, error) {
	var fsys unix.Statfs_t
	if err := unix.Statfs(dir, &fsys); err != nil {
		return 0, fmt.Errorf("look at free disk space: %w", err)
	}
	return int64(fsys.Bavail) * int64(fsys.Bsize), nil //nolint:unconvert // of another type on other systems
}

// TakenBytes is the room that a file takes, without its holes.
func TakenBytes(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// Use adds up the blocks that the files below dir take, and the holes in them.
func Use(dir string) (used, holes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted since
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted since
		}
		if err != nil {
			return err
		}
		taken := TakenBytes(info)
		used += taken
		holes += max(info.Size()-taken, 0)
		return nil
	})
	if err != nil {
		err = fmt.Errorf("look at the data directory: %w", err)
	}
	return used, holes, err
}
