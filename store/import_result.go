package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/stage"
)

// earlierCommit is an import that was committed before: its result, or the load in the journal.
type earlierCommit struct {
	result   *Result
	prepared uint64 // its revision; of a confirmed load: the one that confirmed it
}

// findCommitted finds an import of this list and mode whose commit came before and was not abandoned; nil: there is none.
func (i *Import) findCommitted() (*earlierCommit, error) {
	if r := i.s.results.find(i.id, i.resultKey()); r != nil {
		return &earlierCommit{result: r}, nil
	}
	e, err := i.s.View().importNamed(i.list, i.id)
	if err != nil || e == nil || !e.isOf(i.header.Mode) || e.State == ImportAbandoned {
		return nil, err
	}
	return &earlierCommit{prepared: e.Prepared}, nil
}

// isOf reports that the load was asked for in that mode. The first load of a list replaces, whatever was asked.
func (e *ImportEntry) isOf(m Mode) bool {
	return e.Mode == m || e.Mode == Replace && m == Add && e.base == 0
}

// stagedRejects are the chunks with rejects of an import that was committed before; none once its stage was deleted.
func (i *Import) stagedRejects() []uint64 {
	if r := i.committed.result; r != nil && r.Rejected == 0 {
		return nil
	} else if r == nil {
		if e, err := i.s.View().importAt(i.list, i.committed.prepared); err != nil || e.Counts.Rejected == 0 {
			return nil // the commit meets the error
		}
	}
	chunks, err := stage.ReadNoted(filepath.Join(i.path(i.id), chunksFile), listStages.codec())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		i.s.warnIf("report the rejects of a stage again", err)
	}
	return chunks
}

// importNamed is the load of an import, as the journal has it; nil: there is none. What reloads the list's own view
// bears the name of the load before it, and does not count.
func (v *View) importNamed(list policy.EventID, id string) (*ImportEntry, error) {
	const some = 64
	for before := uint64(0); ; {
		entries, err := v.Imports(list, before, some)
		if err != nil {
			return nil, err
		}
		for i := range entries {
			if before = entries[i].Prepared; entries[i].ImportID == id && entries[i].Mode != Reload {
				return &entries[i], nil
			}
		}
		if len(entries) < some {
			return nil, nil
		}
	}
}

// repeatCommit is the result of a repeated commit. It waits for a load that is being written. A commit of another digest is
// refused: the caller's files are not those that were loaded.
func (i *Import) repeatCommit(ctx context.Context, digest []byte, progress func(Progress)) (Result, error) {
	if r := i.committed.result; r != nil {
		return *r, nil
	}
	for {
		v := i.s.View()
		e, err := v.importAt(i.list, i.committed.prepared)
		if err != nil {
			return Result{}, err
		}
		if i.joined && len(digest) == 0 || len(digest) > 0 && !bytes.Equal(digest, e.digest) {
			return Result{}, i.otherContent()
		}
		switch e.State {
		case ImportSwitched, ImportConfirmed:
			return e.result(v, i.s.Now()), nil
		case ImportAbandoned:
			return Result{}, ErrImportNotFound
		}
		if err := i.awaitNext(ctx, v, progress); err != nil {
			return Result{}, err
		}
	}
}

func (i *Import) otherContent() error {
	if i.requested {
		return fmt.Errorf("%w: a load of other content", ErrRequestReused)
	}
	return fmt.Errorf("%w, of other content than these files have", ErrImportRunning)
}

// awaitNext waits for the view after v, and reports how far the load is.
func (i *Import) awaitNext(ctx context.Context, v *View, progress func(Progress)) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if cause := i.s.health.stopped(); cause != nil {
			return cause // it is not written before a restart
		}
		if at, ok := i.s.loading.at(block.LoadID{List: i.list, Prepared: i.committed.prepared}); ok {
			progress(at)
		}
		select {
		case <-v.next:
			return nil
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-i.s.closing:
			return ErrClosed
		}
	}
}

func (v *View) importAt(list policy.EventID, prepared uint64) (ImportEntry, error) {
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	return v.importEntry(txn, keys.Import(list, prepared))
}

// result is what the journal knows of the result of a load.
func (e *ImportEntry) result(v *View, now time.Time) Result {
	r := Result{
		Counts:        e.Counts,
		Receipt:       Receipt{ID: policy.EventID{Revision: e.Ended}, JournalID: v.JournalID(), Tag: string(v.TagAt(e.Ended)), Time: e.EndedAt},
		ImportID:      e.ImportID,
		AlreadyLoaded: e.State == ImportConfirmed,
		Numbers:       e.Numbers,
		Outside:       e.Outside,
		SnapshotDate:  e.SnapshotDate,
		ContentSHA256: e.ContentSHA256,
		Elapsed:       e.EndedAt.Sub(e.StartedAt),
		GuardFailures: e.Overridden,
	}
	if l := v.listByID(e.List); l != nil {
		r.Stale = l.isStaleOf(e.SnapshotDate, now)
	}
	return r
}

// resultKey is what must be the same for a repeated commit to get a result that is not in the journal.
type resultKey struct {
	list     policy.EventID
	mode     Mode
	dryRun   bool
	override bool
}

func (i *Import) resultKey() resultKey {
	return resultKey{i.list, i.header.Mode, i.header.DryRun, i.header.Override}
}

// keptEndings and keepEnding bound what endings remembers: a client whose connection broke comes back soon.
const (
	keptEndings = 64
	keepEnding  = time.Hour
)

// resultCache remembers the results of the last imports that ended without a trace in the journal: refused by a guard, dry
// runs, and those that found everything as it was.
type resultCache struct {
	mu   sync.Mutex
	last []cachedResult // newest last
}

type cachedResult struct {
	key    resultKey
	at     time.Time
	result Result
}

func (m *resultCache) keep(as resultKey, r Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = append(m.last, cachedResult{as, time.Now(), r})
	m.last = slices.DeleteFunc(m.last, func(k cachedResult) bool { return time.Since(k.at) > keepEnding })
	m.last = m.last[max(0, len(m.last)-keptEndings):]
}

func (m *resultCache) find(id string, as resultKey) *Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.last {
		if k.result.ImportID == id && k.key == as {
			return &k.result
		}
	}
	return nil
}
