package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	defaultMinFree = 2 << 30
	defaultBallast = 128 << 20
	ballastFile    = "ballast"

	// flushSpare is what opening and closing take beside the tables that logs become: new logs, MANIFEST, filters.
	flushSpare = 4 << 20

	spaceCheckEvery = 200 * time.Millisecond
)

// space guards against a full disk, which kills a process that writes to mapped files (SIGBUS): writes stop while
// there is room, counting the holes in sparse files as used, and a ballast file gives room to open again.
type space struct {
	dir     string
	minFree int64
	ballast int64

	mu      sync.Mutex
	checked time.Time
	free    int64
	err     error
}

// writable returns ErrDiskFull while less than the minimum is free besides the bytes about to be written, and counts these
// as used.
func (s *space) writable(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.look(bytes)
	if err == nil {
		s.free -= bytes
	}
	return err
}

// room returns ErrDiskFull while less than the minimum is free besides so many bytes.
func (s *space) room(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.look(bytes)
}

// look looks at the disk a few times a second.
func (s *space) look(bytes int64) error {
	if s.minFree < 0 {
		return nil
	}
	if now := time.Now(); now.Sub(s.checked) >= spaceCheckEvery {
		s.free, s.err = freeBytes(s.dir)
		s.checked = now
	}
	if s.err != nil {
		return fmt.Errorf("%w: %w", ErrDiskFull, s.err)
	}
	if s.free-bytes < s.minFree {
		return fmt.Errorf("%w: %d MiB are free and %d MiB must stay so", ErrDiskFull, max(s.free, 0)>>20, s.minFree>>20)
	}
	return nil
}

// prepare makes room to open or to close by giving up the ballast, or returns ErrDiskFull. Both write what the logs
// hold as tables, through mapped files.
func (s *space) prepare() error {
	if s.minFree < 0 {
		return nil
	}
	needs, err := s.flushNeeds()
	if err != nil {
		return err
	}
	free, err := availableBytes(s.dir)
	if err != nil || free >= needs {
		return err
	}
	if err := os.Remove(filepath.Join(s.dir, ballastFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release ballast: %w", err)
	}
	if free, err = availableBytes(s.dir); err != nil {
		return err
	}
	if free < needs {
		return fmt.Errorf("%w: %d MiB are needed and %d MiB are free; make room on the disk", ErrDiskFull, needs>>20, free>>20)
	}
	return nil
}

// flushNeeds bounds the room that the databases' logs take as tables.
func (s *space) flushNeeds() (int64, error) {
	needs := int64(flushSpare)
	for _, d := range []string{badgerDir, storiesDir} {
		logs, err := filepath.Glob(filepath.Join(s.dir, d, "*.mem"))
		if err != nil {
			return 0, fmt.Errorf("look at the logs: %w", err)
		}
		for _, log := range logs {
			if info, err := os.Stat(log); err == nil { // else flushed meanwhile
				needs += takenBytes(info) * 5 / 4
			}
		}
	}
	return needs, nil
}

// keepBallast makes the ballast when there is room for it.
func (s *space) keepBallast() error {
	if s.minFree < 0 || s.ballast <= 0 {
		return nil
	}
	path := filepath.Join(s.dir, ballastFile)
	if info, err := os.Stat(path); err == nil && info.Size() >= s.ballast {
		return nil
	}
	free, err := freeBytes(s.dir)
	// As much again must stay free: a ballast that brings the disk to its limit would stop the writes that it protects.
	if err != nil || free < s.minFree+2*s.ballast {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make ballast: %w", err)
	}
	err = reserve(f, s.ballast)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("make ballast: %w", err)
	}
	return nil
}

// stageError is a failure to write a stage; a disk that filled up since it was last looked at is ErrDiskFull.
func stageError(op string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%s: %w: %w", op, ErrDiskFull, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// freeBytes is what the disk of dir has left for this process, less the holes in the files below dir: they are
// promised already. It may be negative.
func freeBytes(dir string) (int64, error) {
	free, err := availableBytes(dir)
	if err != nil {
		return 0, err
	}
	_, holes, err := diskUse(dir)
	return free - holes, err
}

// availableBytes is what the disk of dir has left for this process.
func availableBytes(dir string) (int64, error) {
	var fsys unix.Statfs_t
	if err := unix.Statfs(dir, &fsys); err != nil {
		return 0, fmt.Errorf("look at free disk space: %w", err)
	}
	return int64(fsys.Bavail) * int64(fsys.Bsize), nil //nolint:unconvert // of another type on other systems
}

// takenBytes is the room that a file takes, without its holes.
func takenBytes(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// diskUse adds up the blocks that the files below dir take, and the holes in them.
func diskUse(dir string) (used, holes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		taken := takenBytes(info)
		used += taken
		holes += max(info.Size()-taken, 0)
		return nil
	})
	if err != nil {
		err = fmt.Errorf("look at the data directory: %w", err)
	}
	return used, holes, err
}
