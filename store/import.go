package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/internal/gentle"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// Header opens an import.
type Header struct {
	List     string
	Mode     Mode
	ImportID string // to go on with one, opened with the same list, mode, date and files; empty: a new one
	Guards   Guards
	DryRun   bool // compare and guard, change nothing
	Override bool // load in spite of every guard but GuardEmpty
	TakeOver bool // abandon a load of the list that is prepared and does not end
	Request  Request

	SnapshotDate policy.Date // as the commit will tell it
	Files        []string    // names of the files, as far as they are known
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
	Rows         uint64 // that the entries stood in; 0: not told
	Rejects      []RejectTally
	Sources      []Source
	SnapshotDate policy.Date // the source's own; zero: none
	FileCoverage []string    // prefixes that the files hold in whole
	Inferred     []string    // those of them that no file is named for: only numbers in them speak for them
	Digest       []byte      // of the chunks, as the client made them; empty: not compared
	CutFiles     uint32      // how many of the files end inside a line
}

// Counts accounts for every entry of a load: Accepted + Duplicates + Rejected + Empty = Read.
type Counts struct {
	Read, Accepted, Duplicates, Rejected uint64
	Added, Removed, Unchanged            uint64
	Empty                                uint64 // cells with nothing in them
	Rows                                 uint64 // that the entries stood in; 0: not told
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

// Import is one load on its way. Its methods are called by one goroutine at a time.
type Import struct {
	s       *Store
	id      string
	dir     string
	header  Header
	list    policy.EventID
	log     *chunkLog // nil once committed
	started time.Time

	committed *committed // nil: not yet
	joined    bool       // committed by another caller, who may have read other files of the same names
}

// BeginImport opens a new import, or an earlier one to go on with. Errors: ErrListNotFound, ErrImportNotFound, ErrMode,
// ErrDiskFull and what else refuses writes.
func (s *Store) BeginImport(h Header) (*Import, error) {
	i, err := s.newImport(h)
	if err != nil {
		return nil, err
	}
	if i.id == "" {
		err = i.open()
	} else {
		err = i.openAgain()
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
	l, err := s.View().List(h.List)
	if err != nil {
		return nil, err
	}
	return &Import{s: s, id: h.ImportID, header: h, list: l.ID, started: time.Now()}, nil
}

// ID names the import, to go on with it later.
func (i *Import) ID() string { return i.id }

// Committed reports that the commit came before: Put passes over every chunk, and Commit gives the result.
func (i *Import) Committed() bool { return i.committed != nil }

// LastChunk is the last chunk that is staged; 0: none, or committed.
func (i *Import) LastChunk() uint64 {
	if i.committed != nil {
		return 0
	}
	return i.log.last
}

// ChunkHashes are those of the chunks that are staged, from the first on; none once committed.
func (i *Import) ChunkHashes() []chunkhash.Hash {
	if i.committed != nil {
		return nil
	}
	return i.log.hashes()
}

// ChunksWithRejects are the staged chunks of which the caller refused an entry; once committed, as long as the load is
// being written.
func (i *Import) ChunksWithRejects() []uint64 {
	if i.committed != nil {
		return i.stagedRejects()
	}
	return i.log.withRejects()
}

// Put stages a chunk; it is durable once Sync has returned. One that is staged already is passed over; one with another hash
// takes the place of the staged one and of all behind it. Errors: ErrChunkOrder, ErrDiskFull.
func (i *Import) Put(c Chunk) error {
	if i.committed != nil || i.log.holds(c) {
		return nil
	}
	if c.Seq > i.log.last+1 {
		return ErrChunkOrder
	}
	if err := i.s.writableFor(int64(len(c.Numbers)+len(c.Removed)) * 8); err != nil {
		return err
	}
	if i.header.Mode == Delta {
		c = deltaChunk(c)
	}
	if err := i.log.cut(c.Seq - 1); err != nil {
		return err
	}
	return i.s.opt.faults.do(stepChunk, func() error { return i.log.append(c) })
}

// Sync makes durable what was put. Errors: ErrDiskFull.
func (i *Import) Sync() error {
	if i.committed != nil {
		return nil
	}
	return i.s.opt.faults.do(stepChunkSync, i.log.sync)
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

// Close ends this use of the import and keeps what is staged, to go on later.
func (i *Import) Close() error {
	if i.committed != nil {
		return nil
	}
	defer i.s.imports.shut(i.id)
	i.touch()
	return i.log.close()
}

// discard drops what is staged, and sorted.
func (i *Import) discard(staged content) {
	i.drop(i.dir)
	i.drop(staged.path)
}

func (i *Import) drop(path string) {
	if path != "" {
		i.s.warnIf("drop a stage", os.RemoveAll(path))
	}
}

// leave drops the stage of an import that came to its end before anything was written, or keeps it for whoever wants it
// loaded all the same: what a guard refused, the last of the list.
func (i *Import) leave(p prepared) {
	if !i.isRefusedForNow(&p.result) {
		i.discard(p.staged)
		return
	}
	i.drop(p.staged.path)
	if before := i.s.imports.refuse(i.list, i.id); before != "" {
		i.s.dropUnused(before, 0)
	}
}

// isRefusedForNow reports that an import may be committed again and loaded then, and that the disk has room for another
// one beside it.
func (i *Import) isRefusedForNow(r *Result) bool {
	final := slices.ContainsFunc(r.GuardFailures, func(f GuardFailure) bool { return f.Guard == GuardEmpty })
	return i.log != nil && r.Refused && !r.DryRun && !final && i.s.writableFor(i.log.size) == nil
}

// Commit compares the staged numbers with the list, asks the guards, and loads. It returns once the list has switched.
// When ctx ends after the load was prepared, the load goes on without the caller, who may begin the import again by its
// id and commit again for the result. Errors: ErrChunksMissing, ErrCounts, ErrSnapshotDate, ErrImportRunning,
// ErrListNotFound, ErrTakenOver, ErrDiskFull and what else refuses writes. A commit that comes again is told the progress
// of the load that is being written; its errors are ErrImportNotFound when the load was abandoned, and ErrImportRunning when its
// content was another.
func (i *Import) Commit(ctx context.Context, c Commit, progress func(done, total uint64)) (Result, error) {
	if i.committed != nil {
		return i.again(ctx, c.Digest, progress)
	}
	if err := i.check(&c); err != nil {
		return Result{}, err
	}
	i.s.imports.commit(i.id)
	return i.run(ctx, progress, func(owned context.Context) (prepared, error) {
		p, err := i.recognize(owned, &c)
		if p.done || err != nil {
			return p, err
		}
		staged, err := i.s.sortContent(ctx, i.list, i.log, i.dir)
		if err != nil {
			return prepared{}, err
		}
		if staged.numbers+staged.duplicates != i.log.entries {
			return prepared{}, fmt.Errorf("%w: of %d numbers %d were found again", ErrStage, i.log.entries, staged.numbers+staged.duplicates)
		}
		return i.prepare(ctx, owned, &c, staged, progress)
	})
}

// run takes the list, has the load prepared, and finishes it.
func (i *Import) run(ctx context.Context, progress func(done, total uint64), prepare func(owned context.Context) (prepared, error)) (Result, error) {
	if i.takesOver() {
		i.s.imports.interrupt(i.list)
	}
	owned, release, err := i.s.imports.take(ctx, i.list)
	if err != nil {
		return Result{}, err
	}
	handedOver := false
	defer func() {
		if !handedOver {
			release()
		}
	}()
	if err := i.freeList(owned); err != nil {
		return Result{}, becauseOf(owned, err)
	}
	p, err := prepare(owned)
	err = becauseOf(owned, err)
	if err != nil && i.s.isClosing() {
		err = errors.Join(ErrClosed, err)
	}
	if err != nil {
		return Result{}, err
	}
	if p.done {
		i.s.imports.ended.keep(i.ending(), p.result)
		i.leave(p)
		return p.result, nil
	}
	handedOver = true
	return i.finish(ctx, owned, release, p, progress)
}

// shorten drops the chunks behind the last one of a commit whose digest is that of all before them: the caller's files hold
// less than when they were staged.
func (i *Import) shorten(c *Commit) error {
	hashes := i.log.hashes()
	if len(c.Digest) == 0 || c.Chunks >= uint64(len(hashes)) || !bytes.Equal(c.Digest, chunkhash.Digest(hashes[:c.Chunks])) {
		return nil
	}
	return i.log.cut(c.Chunks)
}

// check refuses a commit that does not account for its chunks and entries.
func (i *Import) check(c *Commit) error {
	if err := i.shorten(c); err != nil {
		return err
	}
	if c.Chunks != i.log.last {
		return fmt.Errorf("%w: %d of %d", ErrChunksMissing, i.log.last, c.Chunks)
	}
	if sent := i.log.entries + i.log.rejected; !addUp(c.Read, sent, c.Rejected, c.Empty) || c.Rows > c.Read {
		return fmt.Errorf("%w: %d read are not %d sent, %d rejected and %d empty, or not of %d rows", ErrCounts, c.Read, sent, c.Rejected, c.Empty, c.Rows)
	}
	if digest := chunkhash.Digest(i.log.hashes()); len(c.Digest) == 0 {
		c.Digest = digest
	} else if !bytes.Equal(c.Digest, digest) {
		return fmt.Errorf("%w: the commit is of other chunks", ErrChunksMissing)
	}
	c.Rejected += i.log.rejected
	if _, err := parsePrefixes(slices.Concat(c.FileCoverage, c.Inferred)); err != nil {
		return fmt.Errorf("%w: coverage: %w", ErrSettings, err)
	}
	return nil
}

// addUp reports whether parts make up a whole; a sum that wraps around does not.
func addUp(whole uint64, parts ...uint64) bool {
	for _, part := range parts {
		if part > whole {
			return false
		}
		whole -= part
	}
	return whole == 0
}

// takesOver reports that a prepared load of the list is to be abandoned. A dry run changes nothing.
func (i *Import) takesOver() bool { return i.header.TakeOver && !i.header.DryRun }

// freeList ends a prepared load that holds the list, if the caller takes over.
func (i *Import) freeList(ctx context.Context) error {
	l := i.s.View().listByID(i.list)
	if l == nil {
		return ErrListNotFound
	}
	if l.Pending == 0 {
		return nil
	}
	if !i.takesOver() {
		return ErrImportRunning
	}
	return i.s.abandonLoad(ctx, i.list, l.Pending)
}

// finish loads in a task of its own, so that a caller who goes away does not stop it.
func (i *Import) finish(ctx, owned context.Context, release func(), p prepared, progress func(done, total uint64)) (Result, error) {
	type ending struct {
		receipt Receipt
		err     error
	}
	ended := make(chan ending, 1)
	var told sync.Mutex // progress is not called once Commit has returned
	gone := false
	tell := func(done uint64) {
		told.Lock()
		defer told.Unlock()
		if !gone {
			progress(done, p.result.Numbers)
		}
	}
	i.s.run(func() {
		gentle.Goroutine()
		receipt, err := i.s.finishLoad(owned, i.list, p.revision, tell)
		if err == nil {
			i.discard(content{})
		}
		release() // before the caller hears: the list is free for what it does next
		ended <- ending{receipt, err}
	})
	defer func() {
		told.Lock()
		gone = true
		told.Unlock()
	}()
	select {
	case e := <-ended:
		p.result.Receipt = e.receipt
		p.result.Elapsed = time.Since(i.started)
		return p.result, e.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// prepared is a load that is ready to be written, or that came to its end before.
type prepared struct {
	result   Result
	staged   content
	revision uint64
	done     bool
}

// prepare compares, guards and, when there is something to load, commits the event. A list that changes meanwhile is
// compared again.
func (i *Import) prepare(ctx, owned context.Context, c *Commit, staged content, progress func(done, total uint64)) (prepared, error) {
	for {
		p, err := i.tryPrepare(ctx, owned, c, staged, progress)
		p.staged = staged
		if !errors.Is(err, errMoved) {
			return p, err
		}
	}
}

func (i *Import) tryPrepare(ctx, owned context.Context, c *Commit, staged content, progress func(done, total uint64)) (prepared, error) {
	l := i.s.View().listByID(i.list)
	if l == nil {
		return prepared{}, ErrListNotFound
	}
	plan, err := i.plan(l, c)
	if err != nil {
		return prepared{}, err
	}
	in := loadInput{list: l, at: l.Visible, mode: plan.mode, staged: staged.path, sha: staged.sha[:], past: plan.past.GetRevertedTo()}
	total := staged.numbers + l.Numbers
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(i.s.imports.ctx, cancel)()
	cmp, err := i.s.compare(ctx, in, plan.prefixes, func(done uint64) { progress(min(done, total), total) })
	if err != nil {
		return prepared{}, err
	}
	if err := i.showOutside(ctx, in, plan, cmp); err != nil {
		return prepared{}, err
	}
	return i.judge(owned, l, c, plan, staged, cmp)
}

// judge asks the guards about a load that was compared, and decides.
func (i *Import) judge(owned context.Context, l *List, c *Commit, plan *plan, staged content, cmp *comparison) (prepared, error) {
	plan.keepCoverage(l, c, cmp)
	load := plan.load(i, l, c, staged, cmp)
	result := i.result(l, load, plan, cmp)
	result.GuardFailures = guard(l, i.header, c, plan, cmp, staged.numbers)
	result.Refused = refuses(result.GuardFailures, i.header.Override)
	if i.header.Override {
		noteOverridden(load, result.GuardFailures)
	}
	return i.decide(owned, l, load, cmp, result)
}

// decide ends the import here, or commits that it is prepared: with the list's own context, so that a caller who goes
// away does not leave its outcome unknown.
func (i *Import) decide(ctx context.Context, l *List, load *storev1.Load, cmp *comparison, result Result) (prepared, error) {
	v := i.s.View()
	result.Receipt = Receipt{ID: policy.EventID{Revision: v.revision}, JournalID: v.JournalID()}
	result.Elapsed = time.Since(i.started)
	switch {
	case result.Refused, i.header.DryRun:
		return prepared{result: result, done: true}, nil
	case l.Loaded && cmp.isUnchanged():
		return i.confirm(ctx, l, load, result)
	}
	receipt, err := i.s.prepare(ctx, l, load, i.header.Request)
	return prepared{result: result, revision: receipt.ID.Revision}, err
}

// confirm takes over the date and coverage of a load that changes no number.
func (i *Import) confirm(ctx context.Context, l *List, load *storev1.Load, result Result) (prepared, error) {
	result.AlreadyLoaded = true
	now := l.state.GetLoad()
	if now.GetSnapshotDate() == load.GetSnapshotDate() && sameCoverage(now, load) {
		return prepared{result: result, done: true}, nil
	}
	load.Content = nil
	receipt, err := i.s.record(ctx, &storev1.Event{Change: &storev1.Event_LoadConfirmed{
		LoadConfirmed: &storev1.LoadConfirmed{List: listRef(l.ID), Load: load, Base: l.Visible},
	}}, i.header.Request)
	result.Receipt = receipt
	return prepared{result: result, done: true}, err
}

func (i *Import) result(l *List, load *storev1.Load, plan *plan, cmp *comparison) Result {
	m := load.GetCounts()
	return Result{
		ImportID: i.id,
		Counts: Counts{
			Read: m.GetRead(), Accepted: m.GetAccepted(), Duplicates: m.GetDuplicates(), Rejected: m.GetRejected(),
			Added: m.GetAdded(), Removed: m.GetRemoved(), Unchanged: m.GetUnchanged(), Empty: m.GetEmpty(), Rows: m.GetRows(),
		},
		DryRun:        i.header.DryRun,
		Numbers:       cmp.numbers(),
		Outside:       cmp.outside,
		SnapshotDate:  plan.date,
		Stale:         l.isStaleOf(plan.date, i.s.Now()),
		ContentSHA256: cmp.result,
	}
}

// phonePrefixes parses prefixes that were checked before.
func phonePrefixes(list []string) []phone.Prefix {
	prefixes, err := parsePrefixes(list)
	if err != nil {
		return nil
	}
	return prefixes
}
