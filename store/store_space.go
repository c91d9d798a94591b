package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/disk"
)

const spaceWatchEvery = time.Second

// watchSpace keeps State up to date about the disk, also while there are no writes.
func (s *Store) watchSpace() {
	tick := time.NewTicker(spaceWatchEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
			_ = s.checkSpace(0) // it sets the state
			if err := s.space.keepBallast(); err != nil {
				s.log.Warn("no ballast", "err", err)
			}
		}
	}
}

// checkSpace returns ErrDiskFull when the disk has no room for that many bytes more. State reports a full disk until there is
// room for a group of writes too: a smaller request that fits does not make it ready.
func (s *Store) checkSpace(bytes int64) error {
	err := s.space.claim(bytes)
	full := err
	if full == nil {
		full = s.space.check(max(maxGroupBytes-bytes, 0))
	}
	switch changed := s.health.setDisk(full); {
	case changed && full != nil:
		s.log.Warn("writes stop, checks continue", "err", full)
	case changed:
		s.log.Info("there is room on the disk again: writes are accepted again")
	}
	return err
}

// writableFor is called before a load writes that many bytes.
func (s *Store) writableFor(bytes int64) error {
	if err := s.health.stopped(); err != nil {
		return err
	}
	return s.checkSpace(bytes)
}

const (
	ballastFile = "ballast"

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

// claim returns ErrDiskFull while less than the minimum is free besides the bytes about to be written, and counts these
// as used.
func (s *space) claim(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.look(bytes)
	if err == nil {
		s.free -= bytes
	}
	return err
}

// check returns ErrDiskFull while less than the minimum is free besides that many bytes.
func (s *space) check(bytes int64) error {
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
		s.free, s.err = disk.FreeBytes(s.dir)
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

// makeRoom makes room to open or to close by giving up the ballast, or returns ErrDiskFull. Both write what the logs
// hold as tables, through mapped files.
func (s *space) makeRoom() error {
	if s.minFree < 0 {
		return nil
	}
	needs := int64(flushSpare)
	for _, d := range []string{badgerDir, storiesDir} {
		bytes, err := badgerdir.FlushBytes(filepath.Join(s.dir, d))
		if err != nil {
			return err
		}
		needs += bytes
	}
	free, err := disk.AvailableBytes(s.dir)
	if err != nil || free >= needs {
		return err
	}
	if err := os.Remove(filepath.Join(s.dir, ballastFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release ballast: %w", err)
	}
	if free, err = disk.AvailableBytes(s.dir); err != nil {
		return err
	}
	if free < needs {
		return fmt.Errorf("%w: %d MiB are needed and %d MiB are free; make room on the disk", ErrDiskFull, needs>>20, free>>20)
	}
	return nil
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
	free, err := disk.FreeBytes(s.dir)
	// As much again must stay free: a ballast that brings the disk to its limit would stop the writes that it protects.
	if err != nil || free < s.minFree+2*s.ballast {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make ballast: %w", err)
	}
	err = disk.Reserve(f, s.ballast)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("make ballast: %w", err)
	}
	return nil
}
