package store

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/stage"
)

// Header opens an import.
type Header struct {
	List     string
	ListID   policy.EventID // of the list that the caller means by that name; zero: whichever has it
	Mode     Mode
	ImportID string // to continue one, opened with the same list, mode, date and files; empty: a new one
	Guards   Guards
	DryRun   bool // compare and guard, change nothing
	Override bool // load despite every guard except GuardEmpty
	TakeOver bool // abandon a load of the list that is prepared and does not end
	Request  Request

	SnapshotDate policy.Date // as the commit will name it
	Files        []string    // names of the files that are known
}

// Source is one file of a load.
type Source struct {
	Name   string // base name
	SHA256 [sha256.Size]byte
	Size   uint64 // bytes, unpacked
	Format uint32 // how it was written, in the caller's numbers; the store keeps it
}

// RejectTally counts the entries rejected for one reason.
type RejectTally struct {
	Reason string
	Count  uint64
}

// Commit ends an import: what the client knows of its files.
type Commit struct {
	Chunks       uint64 // of all connections
	Read         uint64 // entries in the files: those sent, those rejected before, and empty ones
	Rejected     uint64 // by the client itself, and not sent
	Empty        uint64 // cells with nothing in them
	Rows         uint64 // that held the entries; 0: not known
	Rejects      []RejectTally
	Sources      []Source
	SnapshotDate policy.Date // the source's own; zero: none
	FileCoverage []string    // prefixes whose numbers are all in the files
	Inferred     []string    // those of them that no file is named for: only numbers in them speak for them
	Digest       []byte      // of the chunks, as the client made them; empty: not compared
	CutFiles     uint32      // how many of the files end inside a line
}

// Counts accounts for every entry of a load: Accepted + Duplicates + Rejected + Empty = Read.
type Counts struct {
	Read, Accepted, Duplicates, Rejected uint64
	Added, Removed, Unchanged            uint64
	Empty                                uint64 // cells with nothing in them
	Rows                                 uint64 // that held the entries; 0: not known
}

// Result says what became of an import.
type Result struct {
	Counts
	Receipt
	ImportID      string
	Refused       bool // a guard failed and was not overridden: nothing changed
	GuardFailures []GuardFailure
	DryRun        bool
	AlreadyLoaded bool        // no number changed, at most date and coverage
	Numbers       uint64      // on the list after
	Outside       uint64      // of them: those of regions for which the list does not speak
	SnapshotDate  policy.Date // the list's, after
	Stale         bool        // with that date the list is past its max age
	ContentSHA256 []byte      // of the list's numbers after
	Elapsed       time.Duration
}

// Chunk is a part of an import's entries.
type Chunk = stage.Chunk

// Import is one load on its way. Its methods are called by one goroutine at a time.
type Import struct {
	staging[Chunk]
	header  Header
	list    policy.EventID
	started time.Time

	committed *earlierCommit // nil: not yet
	joined    bool           // committed by another caller, who may have read other files of the same names
	requested bool           // opened by the id of the request that began it
}

// BeginImport opens a new import, or continues an earlier one: that of the header's id, else the one that the same
// request began. Errors: ErrListNotFound, ErrImportNotFound, ErrRequestReused, ErrMode, ErrDiskFull and what else refuses
// writes.
func (s *Store) BeginImport(h Header) (*Import, error) {
	i, err := s.newImport(h)
	if err != nil {
		return nil, err
	}
	switch {
	case i.id != "":
		err = i.openAgain()
	case h.Request.ID != "":
		err = i.openRequested(h.Request.ID)
	default:
		err = i.begin(newImportID())
	}
	if err != nil {
		return nil, err
	}
	return i, nil
}

func (s *Store) newImport(h Header) (*Import, error) {
	if (h.Mode < Replace || h.Mode > Remove) && h.Mode != Delta {
		return nil, ErrMode
	}
	l, err := s.listOf(h)
	if err != nil {
		return nil, err
	}
	h.Request.ID = "" // it names the import, not an event of it
	return &Import{
		staging: staging[Chunk]{s: s, kind: listStages, id: h.ImportID, began: importMeta{l.ID, h.Mode, h.SnapshotDate, h.Files}},
		header:  h, list: l.ID, started: time.Now(),
	}, nil
}

// listOf is the list that a header names.
func (s *Store) listOf(h Header) (*List, error) {
	l, err := s.View().List(h.List)
	if err == nil && h.ListID != (policy.EventID{}) && h.ListID != l.ID {
		return nil, fmt.Errorf("%w: another has its name by now", ErrListNotFound)
	}
	return l, err
}

// Committed reports that the commit came before: Put passes over every chunk, and Commit gives the result.
func (i *Import) Committed() bool { return i.committed != nil }

// ChunksWithRejects are the staged chunks with an entry that the caller refused; once committed, while the load is
// being written.
func (i *Import) ChunksWithRejects() []uint64 {
	if i.committed != nil {
		return i.stagedRejects()
	}
	return i.log.Noted()
}

// Put stages a chunk: see staging.put. Errors: ErrChunkOrder, ErrDiskFull.
func (i *Import) Put(c Chunk) error {
	size := int64(len(c.Numbers)+len(c.Removed)) * 8
	if i.header.Mode == Delta {
		c = deltaChunk(c)
	}
	return i.put(c, size, stepChunk)
}

// deltaChunk puts additions and removals into one sequence.
func deltaChunk(c Chunk) Chunk {
	entries := make([]uint64, 0, len(c.Numbers)+len(c.Removed))
	for _, n := range c.Numbers {
		entries = append(entries, deltaEntry(n, false))
	}
	for _, n := range c.Removed {
		entries = append(entries, deltaEntry(n, true))
	}
	return Chunk{Seq: c.Seq, Hash: c.Hash, Rejected: c.Rejected, Numbers: entries}
}

// Close ends this use of the import and keeps what is staged, so that it can be continued.
func (i *Import) Close() error {
	if i.committed != nil {
		return nil
	}
	return i.closeLog()
}
