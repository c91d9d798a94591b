package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/stage"
)

// RecordsHeader opens an import of opt-outs, or of consents.
type RecordsHeader struct {
	Consents   bool     // the rows are consents
	Lift       bool     // of consents: the caller knows that some lift opt-outs
	ImportID   string   // to continue one; empty: a new one
	Request    string   // id of the request: without ImportID, to continue what it began; empty: none
	Files      []string // names of the files that are known
	Reading    string   // how the caller reads rows, in its own words: rows that were read differently are not continued
	Story      Story    // who imports
	MaxRejects float64  // refuse when a larger share of the rows was rejected, 0 to 1
	Override   bool     // record anyway
	DryRun     bool     // count, record nothing
}

// RecordsCommit ends the rows: what the client knows of its files.
type RecordsCommit struct {
	Chunks   uint64 // of all connections
	Read     uint64 // entries in the files: rows sent, those rejected before, and empty ones
	Rejected uint64 // by the client itself, and not sent
	Empty    uint64 // cells with nothing in them
	FileRows uint64 // rows that held the entries; 0: not known
	Rejects  []RejectTally
	Sources  []Source
	CutFiles uint32 // how many of them end inside a line
	Digest   []byte // of the chunks, as the client made them; empty: not compared
}

// RecordsResult says what became of an import of opt-outs: Accepted + Duplicates + Rejected + Empty = Read.
type RecordsResult struct {
	ImportID                             string
	Read, Accepted, Duplicates, Rejected uint64
	Empty, Rows                          uint64
	Refused                              bool // a guard failed and was not overridden: nothing was recorded
	GuardFailures                        []GuardFailure
	DryRun                               bool
	First, Last                          uint64    // revisions that hold rows; 0: none was recorded
	Refusals                             []Refusal // rows rejected when their turn came, at most maxRefusals
	Noted                                []uint64  // chunks about whose rows the caller said something before
	JournalID                            string
	Tag                                  []byte // of Last; nil: none was recorded, or an earlier version did
	Elapsed                              time.Duration
}

// Refusal is a row whose number holds too many records (ErrTooManyRecords), or a consent that was withdrawn
// (ErrConsentWithdrawn).
type Refusal struct {
	Seq       uint64 // its chunk
	Place     uint32 // among the chunk's rows
	Withdrawn bool   `json:",omitempty"`
}

// Err is why the row was refused.
func (r Refusal) Err() error {
	if r.Withdrawn {
		return ErrConsentWithdrawn
	}
	return ErrTooManyRecords
}

const maxRefusals = 1000

// recordStageDir holds a directory for each import of opt-outs: rows (the staged chunks), commit.json once it was
// committed, progress while it is recorded, and only result.json once it is done. The name of one whose rows were
// committed and cannot all be read ends in damagedSuffix: a person has to look at it.
const (
	recordStageDir = "stage-records"
	rowsFile       = "rows"
	commitFile     = "commit.json"
	progressFile   = "progress"
	resultFile     = "result.json"
	damagedSuffix  = ".damaged"
)

// recordStages are those of imports of opt-outs.
var recordStages = stageKind[RowChunk]{recordStageDir, rowsFile, newRowChunks}

// recordMeta is what the stage remembers of an import's header: what its rows were read by.
type recordMeta struct {
	Files    []string
	Reading  string
	Story    Story
	Consents bool `json:",omitempty"`
}

// RecordImport is one import of opt-outs on its way. Its methods are called by one goroutine at a time.
type RecordImport struct {
	staging[RowChunk]
	header  RecordsHeader
	started time.Time
	over    bool // nothing staged is needed any more
}

// BeginRecords opens a new import of opt-outs, or continues an earlier one that began with the same files, read alike for
// the same person. Errors: ErrImportNotFound, ErrRequestReused when the request began another import, ErrImportRunning,
// ErrDiskFull and what else refuses writes.
func (s *Store) BeginRecords(h RecordsHeader) (*RecordImport, error) {
	if err := s.writableFor(0); err != nil {
		return nil, err
	}
	i := s.newRecordImport(h)
	var err error
	switch {
	case h.ImportID != "":
		err = i.openAgain(h.ImportID)
	case h.Request != "":
		err = i.openRequested(requestedImportID(h.Request))
	default:
		err = i.begin(newImportID())
	}
	if err != nil {
		return nil, err
	}
	return i, nil
}

// ResumeRecords continues the last import of opt-outs of the same files, read alike for the same person, that was not
// committed. It gets a new id, so that the caller who had it before can do no more with it. Else a new one begins. An import
// that another caller has open is waited for a moment. A dry run always begins a new one: it drops its stage in the end.
// What a stage holds is not sent again; each of its rows is compared all the same when it is recorded. Errors: those of
// BeginRecords, and the context's.
func (s *Store) ResumeRecords(ctx context.Context, h RecordsHeader) (*RecordImport, error) {
	if h.DryRun {
		h.ImportID, h.Request = "", ""
		return s.BeginRecords(h)
	}
	i := s.newRecordImport(h)
	if err := i.continueLast(ctx, continuation{wanted: i.isUncommitted}); err != nil {
		return nil, err
	}
	return i, nil
}

func (s *Store) newRecordImport(h RecordsHeader) *RecordImport {
	return &RecordImport{
		staging: staging[RowChunk]{s: s, kind: recordStages, began: recordMeta{h.Files, h.Reading, h.Story, h.Consents}},
		header:  h, started: time.Now(),
	}
}

// openRequested opens the import that a request began, or begins it.
func (i *RecordImport) openRequested(id string) error {
	err := i.openAgain(id)
	if !errors.Is(err, ErrImportNotFound) {
		return err
	}
	if err = i.begin(id); errors.Is(err, fs.ErrExist) { // its stage began as another import
		return ErrRequestReused
	}
	return err
}

// openAgain opens what is staged, for one caller. Rows of a committed import stay as they are. An import of another person
// is not there: its rows are another's, and so is what it came to.
func (i *RecordImport) openAgain(id string) error {
	if !isImportID(id) || !i.isOwn(id) {
		return ErrImportNotFound
	}
	i.id, i.dir = id, i.path(id)
	if !i.s.locks.Acquire(i.id) {
		return ErrImportRunning
	}
	if i.Committed() {
		return nil
	}
	err := i.openLog()
	if err != nil {
		i.s.locks.Release(i.id)
	}
	return err
}

// isOwn reports whether the import of that id began as this one. Earlier builds did not note how an import began.
func (i *RecordImport) isOwn(id string) bool {
	if i.isStage(id) {
		return true
	}
	_, stage := os.Stat(i.path(id))
	_, meta := os.Stat(filepath.Join(i.path(id), metaFile))
	return stage == nil && errors.Is(meta, fs.ErrNotExist)
}

func (i *RecordImport) isUncommitted() (bool, error) {
	i.dir = i.path(i.id)
	return !i.Committed(), nil
}

func (s *Store) recordStage(id string) string { return filepath.Join(s.dir, recordStageDir, id) }

// Committed reports whether its commit came before: Put passes over every chunk, and Commit gives the result.
func (i *RecordImport) Committed() bool { return i.has(commitFile) || i.has(resultFile) }

func (i *RecordImport) has(file string) bool {
	_, err := os.Stat(filepath.Join(i.dir, file))
	return err == nil
}

// ChunksWithRejects are the chunks about whose rows the caller said something; of a committed import too, as long as its
// result is kept.
func (i *RecordImport) ChunksWithRejects() []uint64 {
	if i.log != nil {
		return i.log.Noted()
	}
	var kept struct{ Noted []uint64 }
	if disk.ReadJSON(filepath.Join(i.dir, commitFile), &kept) != nil {
		_ = disk.ReadJSON(filepath.Join(i.dir, resultFile), &kept) // the commit meets the error
	}
	return kept.Noted
}

// Put stages a chunk: see staging.put. Errors: ErrChunkOrder, ErrDiskFull, ErrTooLarge, and ErrNumber for a row that could
// never be recorded.
func (i *RecordImport) Put(c RowChunk) error {
	for r := range c.Rows {
		if err := c.Rows[r].check(); err != nil {
			return err
		}
		if (c.Rows[r].Consent != nil) != i.header.Consents {
			return fmt.Errorf("%w: an import holds opt-outs or consents", ErrMode)
		}
	}
	return i.put(c, stage.MaxChunkBytes, stepRows)
}

// Close ends this use of the import and keeps what is staged, to be continued, unless a commit was refused or was a dry run.
func (i *RecordImport) Close() error {
	if i.log == nil {
		i.s.locks.Release(i.id)
		return nil
	}
	err := i.closeLog()
	if i.over {
		err = errors.Join(err, os.RemoveAll(i.dir))
	}
	return err
}

// Commit evaluates the guards and records the rows; it returns once all are durable. From then on the work no longer needs
// the caller: when ctx ends, and after a restart, it continues. Errors: ErrChunksMissing, ErrCounts, ErrStage,
// and those of every write.
func (i *RecordImport) Commit(ctx context.Context, c RecordsCommit, progress func(Progress)) (RecordsResult, error) {
	if !i.Committed() {
		if _, err := i.settle(c.Chunks, c.Digest); err != nil {
			return RecordsResult{}, err
		}
		result, err := i.examine(ctx, c)
		if i.over = err == nil && (result.Refused || result.DryRun); err != nil || i.over {
			return result, err
		}
		if err := i.Sync(); err != nil {
			return RecordsResult{}, err
		}
		order := recordOrder{
			RecordsCommit: c, Rejected: c.Rejected + i.log.Rejected, Rows: i.log.Entries, GuardFailures: result.GuardFailures,
			Story: i.header.Story, Started: i.started, Revision: i.s.View().Revision(),
			Noted: i.log.Noted(), Consents: i.header.Consents,
		}
		err = i.s.opt.faults.do(stepRowsCommit, func() error { return disk.WriteJSON(filepath.Join(i.dir, commitFile), order) })
		if err != nil {
			return RecordsResult{}, fmt.Errorf("commit import: %w", err)
		}
	}
	return i.s.awaitRecords(ctx, i.id, progress)
}

// examine checks that the commit adds up, evaluates the guards, and makes the counts of a dry run.
func (i *RecordImport) examine(ctx context.Context, c RecordsCommit) (RecordsResult, error) {
	r := RecordsResult{
		ImportID: i.id, Read: c.Read, Rejected: c.Rejected + i.log.Rejected, Empty: c.Empty, Rows: c.FileRows, DryRun: i.header.DryRun,
	}
	if !addUp(c.Read, i.log.Entries, i.log.Rejected, c.Rejected, c.Empty) || c.FileRows > c.Read {
		return r, ErrCounts
	}
	view := i.s.View()
	r.GuardFailures = i.guards(&r, &c)
	lifting, err := i.guardLifting(ctx, view)
	if err != nil {
		return r, err
	}
	r.GuardFailures = append(r.GuardFailures, lifting...)
	for _, g := range r.GuardFailures {
		r.Refused = r.Refused || !g.Overridden
	}
	r.JournalID = view.JournalID()
	if r.Refused || r.DryRun {
		duplicates, withdrawn, err := i.countDuplicates(ctx, view)
		if err != nil {
			return r, err
		}
		r.Duplicates, r.Rejected, r.Accepted = duplicates, r.Rejected+withdrawn, i.log.Entries-duplicates-withdrawn
		r.Elapsed = time.Since(i.started)
	}
	return r, nil
}

func (i *RecordImport) guards(r *RecordsResult, c *RecordsCommit) []GuardFailure {
	var failures []GuardFailure
	held := r.Read - r.Empty // entries that hold something
	if held > 0 && r.Rejected == held {
		failures = append(failures, GuardFailure{Guard: GuardEmpty, Before: held, After: r.Rejected})
	}
	if limit := i.header.MaxRejects; float64(r.Rejected) > limit*float64(held) {
		failures = append(failures, GuardFailure{
			Guard: GuardRejects, Before: held, After: r.Rejected, Limit: limit, Overridden: i.header.Override,
		})
	}
	if c.CutFiles > 0 {
		cut := cutFailure(c.Sources, c.CutFiles)
		cut.Overridden = i.header.Override
		failures = append(failures, cut)
	}
	return failures
}

// recordOrder is what commit.json holds: all that recording the rows needs to know beside them.
type recordOrder struct {
	RecordsCommit
	Rejected      uint64 // by client and server, before any row was recorded
	Rows          uint64 // to record
	GuardFailures []GuardFailure
	Story         Story
	Started       time.Time
	Revision      uint64   // the last one before any row was recorded
	Noted         []uint64 // chunks about whose rows the caller said something
	Consents      bool     `json:",omitempty"` // the rows are
}
