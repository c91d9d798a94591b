package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/state"
)

// recordJobs are the imports of opt-outs that are being recorded.
type recordJobs struct {
	mu   sync.Mutex
	jobs map[string]*recordJob // by import id
}

// recordJob records the rows of one committed import.
type recordJob struct {
	s        *Store
	dir      string
	order    recordOrder
	recorded atomic.Uint64 // rows done, of order.Rows

	ended  chan struct{}
	result RecordsResult // once ended
	err    error
}

// awaitRecords returns what became of a committed import, and starts the work if it is not under way.
func (s *Store) awaitRecords(ctx context.Context, id string, progress func(Progress)) (RecordsResult, error) {
	var result RecordsResult
	if disk.ReadJSON(filepath.Join(s.recordStage(id), resultFile), &result) == nil {
		return result, nil
	}
	j, err := s.recordJob(id)
	if err != nil {
		return RecordsResult{}, err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-j.ended:
			return j.result, j.err
		case <-ctx.Done():
			return RecordsResult{}, ctx.Err()
		case <-tick.C:
			progress(Progress{PhaseRecording, j.recorded.Load(), j.order.Rows})
		}
	}
}

// recordJob is the job of a committed import, running.
func (s *Store) recordJob(id string) (*recordJob, error) {
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	if j := s.records.jobs[id]; j != nil {
		return j, nil
	}
	if s.isClosing() {
		return nil, ErrClosed
	}
	j := &recordJob{s: s, dir: s.recordStage(id), ended: make(chan struct{})}
	j.result.ImportID = id
	if err := disk.ReadJSON(filepath.Join(j.dir, commitFile), &j.order); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStage, err)
	}
	if s.records.jobs == nil {
		s.records.jobs = map[string]*recordJob{}
	}
	s.records.jobs[id] = j
	s.run(func() {
		j.err = j.run()
		s.warnIf("record an import of opt-outs", j.err)
		s.records.mu.Lock()
		delete(s.records.jobs, id)
		s.records.mu.Unlock()
		close(j.ended)
	})
	return j, nil
}

// run records what is left to record, and leaves the result in place of the rows.
func (j *recordJob) run() error {
	log, err := openRowLog(filepath.Join(j.dir, rowsFile))
	if err != nil {
		return err
	}
	defer log.Close()
	if log.Entries != j.order.Rows {
		return j.setAside(log.Entries)
	}
	t, err := j.openTally()
	if err != nil {
		return err
	}
	defer t.close()
	j.recorded.Store(t.now.Rows)
	if err := j.record(log, t); err != nil {
		return fmt.Errorf("record opt-outs: %w", err)
	}
	j.makeResult(&t.now)
	if err := j.noteImported(); err != nil {
		return fmt.Errorf("note an import of opt-outs: %w", err)
	}
	return j.leaveResult()
}

// setAside keeps the rows, which were promised to be recorded, for a person: what is left of them cannot be accounted for.
func (j *recordJob) setAside(readable uint64) error {
	kept := j.dir + damagedSuffix
	if err := os.Rename(j.dir, kept); err != nil {
		return fmt.Errorf("%w: set aside: %w", ErrStage, err)
	}
	j.s.log.Error("committed opt-outs are damaged and not all recorded: import their files again, then delete what was kept",
		"import", j.result.ImportID, "rows", j.order.Rows, "readable", readable, "kept", kept)
	return errors.Join(ErrStage, disk.SyncDir(filepath.Dir(kept)))
}

// rowsAhead are read before their numbers are looked up: the more there are, the closer they are to one another.
const rowsAhead = 16_000

func (j *recordJob) record(log *rowLog, t *recordTally) error {
	work := j.s.bulk(context.Background(), func(outcomes []Outcome) error {
		defer func() { j.recorded.Store(t.now.Rows) }()
		return t.note(outcomes)
	})
	skip, ahead := t.now.Rows, []RecordRow(nil)
	for c, err := range log.Chunks() {
		if err != nil {
			return err
		}
		if n := uint64(len(c.Rows)); skip >= n {
			skip -= n
			continue
		}
		t.places = append(t.places, chunkPlaces{from: t.queued, chunk: RowChunk{Seq: c.Seq, Refused: c.Refused}, first: int(skip)})
		ahead = append(ahead, c.Rows[skip:]...)
		t.queued += uint64(len(c.Rows)) - skip
		skip = 0
		if len(ahead) < rowsAhead {
			continue
		}
		rows := ahead
		ahead = make([]RecordRow, 0, cap(rows))
		if err := work.add(rows); err != nil {
			return err
		}
	}
	if err := work.add(ahead); err != nil {
		return err
	}
	return work.end()
}

// makeResult makes the result of what was counted.
func (j *recordJob) makeResult(c *recordCounts) {
	view := j.s.View()
	j.result = RecordsResult{
		ImportID: j.result.ImportID, Read: j.order.Read, Accepted: c.Accepted, Duplicates: c.Duplicates,
		Rejected: j.order.Rejected + c.Refused, Empty: j.order.Empty, Rows: j.order.FileRows, GuardFailures: j.order.GuardFailures,
		First: c.First.Revision, Last: c.Last.Revision, Refusals: c.Refusals, Noted: j.order.Noted,
		JournalID: view.JournalID(), Elapsed: time.Since(j.order.Started),
	}
	if j.result.Last > 0 {
		j.result.Tag = view.TagAt(j.result.Last)
	}
}

// noteImported notes the import in the journal. The request id makes that happen once, however often a crash comes before the
// result is there; no client can send it, since it is no UTF-8.
func (j *recordJob) noteImported() error {
	load := &storev1.Load{
		ImportId: j.result.ImportID,
		Mode:     j.mode(),
		Sources:  sourceMessages(j.order.Sources),
		Rejects:  tallyMessages(j.order.Rejects),
		Counts: &storev1.Counts{
			Read: j.result.Read, Accepted: j.result.Accepted, Duplicates: j.result.Duplicates, Rejected: j.result.Rejected,
			Empty: j.result.Empty, Rows: j.result.Rows,
		},
	}
	noteOverridden(load, j.result.GuardFailures)
	w, err := newPendingEvent(&storev1.Event{Change: &storev1.Event_RecordsImported{
		RecordsImported: &storev1.RecordsImported{Load: load, Started: state.Nano(j.order.Started)},
	}}, Request{ID: "\xff" + j.result.ImportID, Story: j.order.Story})
	if err != nil {
		return err
	}
	_, err = j.s.submitWait(context.Background(), w)
	if errors.Is(err, ErrRequestReused) {
		return nil // noted before a crash, after which the rows were counted differently
	}
	return err
}

// mode is what the rows are.
func (j *recordJob) mode() storev1.LoadMode {
	if j.order.Consents {
		return storev1.LoadMode_LOAD_MODE_CONSENTS
	}
	return storev1.LoadMode_LOAD_MODE_OPT_OUTS
}

// leaveResult keeps the result for a repeated commit, and drops the rows: they are personal data.
func (j *recordJob) leaveResult() error {
	if err := disk.WriteJSON(filepath.Join(j.dir, resultFile), &j.result); err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	for _, name := range []string{commitFile, progressFile, rowsFile} {
		if err := os.Remove(filepath.Join(j.dir, name)); err != nil {
			return fmt.Errorf("drop stage: %w", err)
		}
	}
	return nil
}
