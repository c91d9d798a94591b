package store

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
)

// recordCounts is how far an import is, as a line of its progress file.
type recordCounts struct {
	Rows, Accepted, Duplicates, Refused uint64         // Rows is the sum of the others
	First, Last                         policy.EventID // that recorded rows; zero: none yet
	Refusals                            []Refusal
	Journal                             string // that holds them
}

// recordTally counts rows as they become durable. The progress file is written behind: after a crash it may lack the
// last rows, which then come out as duplicates of themselves. Their ids show that.
type recordTally struct {
	now     recordCounts
	f       *os.File
	lost    map[policy.EventID]bool // ids after until that rows were counted for
	after   policy.EventID          // what the progress file knew when the work was continued
	until   uint64                  // the last revision then; 0: no row of its own can be met any more
	fresh   int                     // rows recorded since the work was continued
	queued  uint64
	places  []chunkPlaces // of the rows that are not counted yet
	counted uint64        // rows counted since the work was continued
}

// chunkPlaces says where the rows of a chunk were.
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
	} else if err := disk.SyncDir(j.dir); err != nil { // once a row is recorded, a file says that the work has begun
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
	t.counted++
	switch {
	case o.Err != nil:
		t.now.Refused++
		place.Withdrawn = errors.Is(o.Err, ErrConsentWithdrawn)
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

// meetNew notes a row that was not recorded before the work was continued. No row far behind it was then: rows are
// recorded in order, except for batches that were refused separately.
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

// place is where the next row to be counted was.
func (t *recordTally) place() Refusal {
	for len(t.places) > 1 && t.places[1].from <= t.counted {
		t.places = t.places[1:]
	}
	p := &t.places[0]
	return Refusal{Seq: p.chunk.Seq, Place: p.chunk.place(p.first + int(t.counted-p.from))}
}
