package store

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
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

// awaitRecords returns what became of a committed import, and starts the work where nobody does it.
func (s *Store) awaitRecords(ctx context.Context, id string, progress func(Progress)) (RecordsResult, error) {
	var result RecordsResult
	if readJSON(filepath.Join(s.recordStage(id), resultFile), &result) == nil {
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
	if err := readJSON(filepath.Join(j.dir, commitFile), &j.order); err != nil {
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
	defer log.close()
	if log.entries != j.order.Rows {
		return j.setAside(log.entries)
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
	j.finish(&t.now)
	if err := j.tell(); err != nil {
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
	return errors.Join(ErrStage, syncDir(filepath.Dir(kept)))
}

// rowsAhead are read before their numbers are looked up: the more, the nearer those lie to one another.
const rowsAhead = 16_000

func (j *recordJob) record(log *rowLog, t *recordTally) error {
	work := j.s.bulk(context.Background(), func(outcomes []Outcome) error {
		defer func() { j.recorded.Store(t.now.Rows) }()
		return t.note(outcomes)
	})
	skip, ahead := t.now.Rows, []OptOutRow(nil)
	err := log.eachChunk(func(c RowChunk) error {
		if n := uint64(len(c.Rows)); skip >= n {
			skip -= n
			return nil
		}
		t.places = append(t.places, chunkPlaces{from: t.queued, chunk: RowChunk{Seq: c.Seq, Refused: c.Refused}, first: int(skip)})
		ahead = append(ahead, c.Rows[skip:]...)
		t.queued += uint64(len(c.Rows)) - skip
		skip = 0
		if len(ahead) < rowsAhead {
			return nil
		}
		rows := ahead
		ahead = make([]OptOutRow, 0, cap(rows))
		return work.add(rows)
	})
	if err == nil {
		err = work.add(ahead)
	}
	if err != nil {
		return err
	}
	return work.end()
}

// finish makes the result of what was counted.
func (j *recordJob) finish(c *recordCounts) {
	view := j.s.View()
	j.result = RecordsResult{
		ImportID: j.result.ImportID, Read: j.order.Read, Accepted: c.Accepted, Duplicates: c.Duplicates,
		Rejected: j.order.Rejected + c.Refused, Empty: j.order.Empty, Rows: j.order.FileRows, GuardFailures: j.order.GuardFailures,
		First: c.First.Revision, Last: c.Last.Revision, Refusals: c.Refusals, Noted: j.order.Noted,
		JournalID: view.JournalID(), Elapsed: time.Since(j.order.Started),
	}
}

// tell has the journal tell of the import. The request id makes that happen once, however often a crash comes before the
// result lies there; no client can send it, for it is no UTF-8.
func (j *recordJob) tell() error {
	load := &storev1.Load{
		ImportId: j.result.ImportID,
		Mode:     storev1.LoadMode_LOAD_MODE_OPT_OUTS,
		Sources:  sourceMessages(j.order.Sources),
		Rejects:  tallyMessages(j.order.Rejects),
		Counts: &storev1.Counts{
			Read: j.result.Read, Accepted: j.result.Accepted, Duplicates: j.result.Duplicates, Rejected: j.result.Rejected,
			Empty: j.result.Empty, Rows: j.result.Rows,
		},
	}
	noteOverridden(load, j.result.GuardFailures)
	w, err := newWrite(&storev1.Event{Change: &storev1.Event_RecordsImported{
		RecordsImported: &storev1.RecordsImported{Load: load, Started: timeNano(j.order.Started)},
	}}, Request{ID: "\xff" + j.result.ImportID, Story: j.order.Story})
	if err != nil {
		return err
	}
	_, err = j.s.submitInTurn(context.Background(), w)
	if errors.Is(err, ErrRequestReused) {
		return nil // told before a crash, after which the rows were counted otherwise
	}
	return err
}

// leaveResult keeps the result for whoever asks again, and drops the rows: they are personal data.
func (j *recordJob) leaveResult() error {
	if err := writeJSON(filepath.Join(j.dir, resultFile), &j.result); err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	for _, name := range []string{commitFile, progressFile, rowsFile} {
		if err := os.Remove(filepath.Join(j.dir, name)); err != nil {
			return fmt.Errorf("drop stage: %w", err)
		}
	}
	return nil
}

// recordCounts is how far an import is, as a line of its progress file.
type recordCounts struct {
	Rows, Accepted, Duplicates, Refused uint64         // Rows is the sum of the others
	First, Last                         policy.EventID // that recorded rows; zero: none yet
	Refusals                            []Refusal
	Journal                             string // that holds them
}

// recordTally counts rows as they become durable. The progress file is written behind: after a crash it may lack the
// last rows, which then come out as duplicates of themselves. Those are told by their ids.
type recordTally struct {
	now    recordCounts
	f      *os.File
	lost   map[policy.EventID]bool // ids after until that rows were counted for
	after  policy.EventID          // what the progress file knew when the work went on
	until  uint64                  // the last revision then; 0: no row of its own can be met any more
	fresh  int                     // rows recorded since the work went on
	queued uint64
	places []chunkPlaces // of the rows that are not counted yet
	told   uint64        // rows counted since the work went on
}

// chunkPlaces tells where the rows of a chunk stood.
type chunkPlaces struct {
	from  uint64 // the chunk's first row, among those queued
	chunk RowChunk
	first int // of the chunk's rows, that was queued
}

func (j *recordJob) openTally() (*recordTally, error) {
	path := filepath.Join(j.dir, progressFile)
	_, never := os.Stat(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open progress: %w", err)
	}
	t := &recordTally{f: f, lost: map[policy.EventID]bool{}}
	if never == nil {
		t.until = j.s.View().Revision()
	} else if err := syncDir(j.dir); err != nil { // once a row is recorded, a file tells that the work has begun
		f.Close()
		return nil, fmt.Errorf("open progress: %w", err)
	}
	journal := j.s.View().JournalID()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c recordCounts
		if json.Unmarshal(lines.Bytes(), &c) == nil && (c.Journal == journal || c.Journal == "") {
			t.now = c
		}
	}
	t.now.Journal = journal // rows of another one may be among those of an accepted loss: they are recorded again
	t.after = t.now.Last
	if t.after == (policy.EventID{}) {
		t.after.Revision = j.order.Revision
		t.after.Index = 1<<32 - 1
	}
	return t, lines.Err()
}

func (t *recordTally) close() { t.f.Close() }

// note counts the rows of a batch.
func (t *recordTally) note(outcomes []Outcome) error {
	for _, o := range outcomes {
		t.count(o)
	}
	line, err := json.Marshal(&t.now)
	if err == nil {
		_, err = t.f.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("note progress: %w", err)
	}
	return nil
}

func (t *recordTally) count(o Outcome) {
	place := t.place()
	t.now.Rows++
	t.told++
	switch {
	case o.Err != nil:
		t.now.Refused++
		if len(t.now.Refusals) < maxRefusals {
			t.now.Refusals = append(t.now.Refusals, place)
		}
	case o.Duplicate && !t.isOwn(o.ID):
		t.now.Duplicates++
	default:
		if !o.Duplicate {
			t.meetNew()
		}
		t.now.Accepted++
		if t.now.First == (policy.EventID{}) {
			t.now.First = o.ID
		}
		t.now.Last = o.ID
	}
}

// meetNew notes a row that was not recorded before the work went on. No row was then that lies far behind it: rows are
// recorded in order, but for batches that were refused alone.
func (t *recordTally) meetNew() {
	if t.fresh++; t.fresh > batchesOpen*batchRows {
		t.until = 0
	}
}

// isOwn reports whether a duplicate is of the row itself, recorded just before a crash and not counted then.
func (t *recordTally) isOwn(id policy.EventID) bool {
	if !isAfter(id, t.after) || id.Revision > t.until || t.lost[id] {
		return false
	}
	t.lost[id] = true
	return true
}

func isAfter(id, other policy.EventID) bool { return compareIDs(id, other) > 0 }

func compareIDs(a, b policy.EventID) int {
	return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Index, b.Index))
}

// place is where the next row to be counted stood.
func (t *recordTally) place() Refusal {
	for len(t.places) > 1 && t.places[1].from <= t.told {
		t.places = t.places[1:]
	}
	p := &t.places[0]
	return Refusal{Seq: p.chunk.Seq, Place: p.chunk.place(p.first + int(t.told-p.from))}
}
