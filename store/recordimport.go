package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// RecordsHeader opens an import of opt-outs.
type RecordsHeader struct {
	ImportID   string  // to go on with one; empty: a new one
	Request    string  // id of the request: without ImportID, to go on with what it began; empty: none
	Story      Story   // who imports
	MaxRejects float64 // refuse when a larger share of the rows was rejected, 0 to 1
	Override   bool    // record in spite of that
	DryRun     bool    // count, record nothing
}

// RecordsCommit ends the rows: what the client knows of its files.
type RecordsCommit struct {
	Chunks   uint64 // of all connections
	Read     uint64 // entries in the files: rows sent, those rejected before, and empty ones
	Rejected uint64 // by the client itself, and not sent
	Empty    uint64 // cells with nothing in them
	FileRows uint64 // rows that the entries stood in; 0: not told
	Rejects  []RejectTally
	Sources  []Source
	CutFiles uint32 // how many of them end inside a line
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
	JournalID                            string
	Elapsed                              time.Duration
}

// Refusal is a row whose number holds too many records (ErrTooManyRecords).
type Refusal struct {
	Seq   uint64 // its chunk
	Place uint32 // among the chunk's rows
}

const maxRefusals = 1000

// recordStageDir holds a directory for each import of opt-outs: rows (the staged chunks), commit.json once it was
// committed, progress while it is recorded, and result.json alone once it is done. The name of one whose rows were
// committed and cannot all be read ends in damagedSuffix: a person has to look at it.
const (
	recordStageDir = "stage-records"
	rowsFile       = "rows"
	commitFile     = "commit.json"
	progressFile   = "progress"
	resultFile     = "result.json"
	damagedSuffix  = ".damaged"
)

// RecordImport is one import of opt-outs on its way. Its methods are called by one goroutine at a time.
type RecordImport struct {
	s       *Store
	id      string
	dir     string
	header  RecordsHeader
	log     *rowLog
	started time.Time
	over    bool // nothing staged is needed any more
}

// BeginRecords opens a new import of opt-outs, or an earlier one to go on with. Errors: ErrImportNotFound,
// ErrImportRunning, ErrDiskFull and what else refuses writes.
func (s *Store) BeginRecords(h RecordsHeader) (*RecordImport, error) {
	if err := s.writableFor(0); err != nil {
		return nil, err
	}
	i := &RecordImport{s: s, id: h.ImportID, header: h, started: time.Now()}
	switch {
	case i.id == "" && h.Request != "":
		i.id = requestedImportID(h.Request)
	case i.id == "":
		i.id = newImportID()
	default:
		if b, err := hex.DecodeString(i.id); err != nil || len(b) != importIDBytes {
			return nil, ErrImportNotFound
		}
	}
	i.dir = s.recordStage(i.id)
	if err := i.openStage(); err != nil {
		return nil, err
	}
	if !s.imports.open(i.id) {
		return nil, ErrImportRunning
	}
	if err := i.openLog(); err != nil {
		s.imports.shut(i.id)
		return nil, err
	}
	return i, nil
}

// openLog opens the staged rows. Those of a committed import stay as they are.
func (i *RecordImport) openLog() (err error) {
	if i.log, err = openRowLog(filepath.Join(i.dir, rowsFile)); err != nil || i.Committed() {
		return err
	}
	if err := i.log.trim(); err != nil {
		return errors.Join(err, i.log.close())
	}
	return nil
}

func (s *Store) recordStage(id string) string { return filepath.Join(s.dir, recordStageDir, id) }

func (i *RecordImport) openStage() error {
	if i.header.ImportID != "" {
		if _, err := os.Stat(i.dir); err != nil {
			return ErrImportNotFound
		}
		return nil
	}
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return fmt.Errorf("make stage: %w", err)
	}
	return errors.Join(syncDir(filepath.Dir(i.dir)), syncDir(i.s.dir))
}

// ID names the import, to go on with it later.
func (i *RecordImport) ID() string { return i.id }

// LastChunk is the last chunk that is staged; 0: none, or the import is done.
func (i *RecordImport) LastChunk() uint64 { return i.log.last }

// Committed reports whether its commit came before.
func (i *RecordImport) Committed() bool { return i.has(commitFile) || i.has(resultFile) }

func (i *RecordImport) has(file string) bool {
	_, err := os.Stat(filepath.Join(i.dir, file))
	return err == nil
}

// Put stages a chunk; it is durable when Put returns. One that is staged already is passed over. Errors: ErrChunkOrder,
// ErrDiskFull, ErrTooLarge, and ErrNumber for a row that could never be recorded.
func (i *RecordImport) Put(c RowChunk) error {
	if c.Seq <= i.log.last || i.Committed() {
		return nil
	}
	if c.Seq != i.log.last+1 {
		return ErrChunkOrder
	}
	for r := range c.Rows {
		if err := c.Rows[r].check(); err != nil {
			return err
		}
	}
	if err := i.s.writableFor(maxChunkBytes); err != nil {
		return err
	}
	return i.s.opt.faults.do(stepRows, func() error { return i.log.append(c) })
}

// Close ends this use of the import and keeps what is staged, to go on later, unless a commit was refused or only tried.
func (i *RecordImport) Close() error {
	defer i.s.imports.shut(i.id)
	err := i.log.close()
	if i.over {
		err = errors.Join(err, os.RemoveAll(i.dir))
	}
	return err
}

// Commit asks the guards and records the rows; it returns once all are durable. From then on the work no longer needs
// the caller: when ctx ends, and after a restart, it goes on by itself. Errors: ErrChunksMissing, ErrCounts, ErrStage,
// and those of every write.
func (i *RecordImport) Commit(ctx context.Context, c RecordsCommit, progress func(done, total uint64)) (RecordsResult, error) {
	if !i.Committed() {
		result, err := i.examine(ctx, c)
		if i.over = err == nil && (result.Refused || result.DryRun); err != nil || i.over {
			return result, err
		}
		order := recordOrder{
			RecordsCommit: c, Rejected: c.Rejected + i.log.refused, Rows: i.log.rows, GuardFailures: result.GuardFailures,
			Story: i.header.Story, Started: i.started, Revision: i.s.View().Revision(),
		}
		err = i.s.opt.faults.do(stepRowsCommit, func() error { return writeJSON(filepath.Join(i.dir, commitFile), order) })
		if err != nil {
			return RecordsResult{}, fmt.Errorf("commit import: %w", err)
		}
	}
	return i.s.awaitRecords(ctx, i.id, progress)
}

// examine checks that the commit adds up, asks the guards, and counts what a dry run is for.
func (i *RecordImport) examine(ctx context.Context, c RecordsCommit) (RecordsResult, error) {
	r := RecordsResult{
		ImportID: i.id, Read: c.Read, Rejected: c.Rejected + i.log.refused, Empty: c.Empty, Rows: c.FileRows, DryRun: i.header.DryRun,
	}
	switch {
	case c.Chunks != i.log.last:
		return r, ErrChunksMissing
	case !addUp(c.Read, i.log.rows, i.log.refused, c.Rejected, c.Empty), c.FileRows > c.Read:
		return r, ErrCounts
	}
	r.GuardFailures = i.guards(&r, &c)
	for _, g := range r.GuardFailures {
		r.Refused = r.Refused || !g.Overridden
	}
	view := i.s.View()
	r.JournalID = view.JournalID()
	if r.Refused || r.DryRun {
		duplicates, err := i.rehearse(ctx, view)
		if err != nil {
			return r, err
		}
		r.Duplicates, r.Accepted = duplicates, i.log.rows-duplicates
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
	Revision      uint64 // the last one before any row was recorded
}

func writeJSON(path string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return writeFile(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

func readJSON(path string, value any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, value)
}
