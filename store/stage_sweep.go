package store

import (
	"os"
	"path/filepath"
	"time"
)

// stageSweepEvery is how often the store looks for stages that were not continued.
const stageSweepEvery = time.Hour

// sweepStages periodically drops what no prepared load needs and what was not continued for the time to live.
func (s *Store) sweepStages() {
	tick := time.NewTicker(stageSweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
			s.sweepStage(s.opt.StageTTL)
		}
	}
}

func (s *Store) sweepStage(contentTTL time.Duration) {
	needed := map[string]bool{}
	for _, l := range s.View().Lists() {
		if l.Pending != 0 {
			needed[filepath.Base(s.contentPath(l.ID, l.state.GetPendingLoad().GetContent()))] = true
		}
	}
	files, err := os.ReadDir(filepath.Join(s.dir, stageDir))
	if err != nil {
		s.log.Warn("old stages stay", "err", err)
		return
	}
	for _, f := range files {
		if needed[f.Name()] {
			continue
		}
		ttl := contentTTL
		if f.IsDir() {
			ttl = s.opt.StageTTL
		}
		s.dropUnused(stageDir, f.Name(), ttl)
	}
}

// dropUnused drops the stage of that name in dir if it was not used for the time to live; no caller can open it
// at the same time.
func (s *Store) dropUnused(dir, name string, ttl time.Duration) {
	path := filepath.Join(s.dir, dir, name)
	if !isUnused(path, ttl) || !s.locks.Acquire(name) {
		return
	}
	defer s.locks.Release(name)
	if isUnused(path, ttl) {
		s.warnIf("drop an old stage", os.RemoveAll(path))
	}
}

func isUnused(path string, ttl time.Duration) bool {
	used, err := usedAt(path)
	return err == nil && time.Since(used) >= ttl
}

// usedAt is when a stage, or a content file, was last opened, closed or written.
func usedAt(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	used := info.ModTime()
	for _, file := range []string{chunksFile, rowsFile} {
		if log, err := os.Stat(filepath.Join(path, file)); err == nil && log.ModTime().After(used) {
			used = log.ModTime()
		}
	}
	return used, nil
}
