package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sweepRecordsEvery is how often the store looks for imports of opt-outs that stopped or were not continued.
const sweepRecordsEvery = 10 * time.Second

// sweepRecordImports continues committed imports that a crash or a full disk stopped, and drops what was not continued.
func (s *Store) sweepRecordImports() {
	tick := time.NewTicker(sweepRecordsEvery)
	defer tick.Stop()
	for {
		s.sweepRecordStages()
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
	}
}

func (s *Store) sweepRecordStages() {
	stages, err := os.ReadDir(filepath.Join(s.dir, recordStageDir))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("imports of opt-outs stay as they are", "err", err)
		}
		return
	}
	for _, d := range stages {
		if strings.HasSuffix(d.Name(), damagedSuffix) {
			continue
		}
		s.warnIf("continue an import of opt-outs", s.sweepRecordStage(d))
	}
}

func (s *Store) sweepRecordStage(d fs.DirEntry) error {
	dir := s.recordStage(d.Name())
	if _, err := os.Stat(filepath.Join(dir, commitFile)); err == nil {
		if !s.State().Writable() {
			return nil
		}
		_, err := s.recordJob(d.Name())
		return err
	}
	s.dropUnused(recordStageDir, d.Name(), s.opt.StageTTL)
	return nil
}
