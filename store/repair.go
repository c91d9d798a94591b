package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
	"github.com/dncd/dncd/store/internal/stories"
)

// Errors of Repair that a caller may accept.
var (
	ErrLoss  = errors.New("acknowledged revisions are gone for good")
	ErrNoEnd = errors.New("no mark says where the journal ends")
)

// Repair rebuilds a damaged directory: the state from the journal, each list from its blocks where they are as its load
// wrote them, else marked as not loaded. What was there is kept in a directory beside, named in the report. When
// revisions are lost it returns ErrLoss and changes nothing, or ErrNoEnd when it cannot know whether some are; the report
// says what would be lost with them. With acceptLoss the loss is an event of the journal, which continues under a new id
// and never uses a lost revision again.
func Repair(ctx context.Context, dir string, acceptLoss bool, o Options) (Report, error) {
	if err := requireStore(dir); err != nil {
		return Report{}, fmt.Errorf("repair: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return Report{}, fmt.Errorf("repair: %w", err)
	}
	defer lock.Close()
	if err := swapOf(dir).Finish(); err != nil {
		return Report{}, fmt.Errorf("repair: %w", err)
	}
	report, err := inspect(ctx, dir, o)
	if err != nil || report.OK() {
		return report, err
	}
	if len(report.Problems) == 0 {
		return report, fmt.Errorf("repair: %w", ErrOlderJournal)
	}
	r := &repairer{ctx: ctx, dir: dir, opt: o.withDefaults(), acceptLoss: acceptLoss, report: &report, traces: newTraces(), gone: map[string]bool{}}
	if err := r.run(); err != nil {
		return report, fmt.Errorf("repair: %w", orSystem(err))
	}
	report.Repaired = true
	return report, nil
}

// repairer builds a fresh store in a directory inside the damaged one.
type repairer struct {
	ctx         context.Context
	dir         string
	opt         Options
	acceptLoss  bool
	report      *Report
	s           *Store // the fresh one
	mark        journal.Mark
	highest     uint64 // revision or version met anywhere, also in stories and names of files
	tip         journal.Position
	from        lastKnown
	time        int64
	refusal     error            // not nil: the journal cannot continue as it is, and a person must accept that
	events      []*storev1.Event // to append to the journal
	doubted     []policy.EventID // lists that missed a part of a load
	traces      *traces
	gone        map[string]bool // keys of stories that an earlier repair could not find
	lostRecords []savedRecords  // of revisions that are gone
	lostPolicy  *savedPolicy    // the newest of them; nil: none
}

// lastKnown is where the journal was last known to be, before its loss was accepted.
type lastKnown struct {
	journal journal.ID // zero: not known
	at      journal.Position
	marked  bool // the mark names it, and its revision is gone
}

func (r *repairer) run() error {
	if err := r.checkRoom(); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(r.dir, scratchPrefix)
	if err != nil {
		return err
	}
	r.s = newStore(fresh, r.opt)
	if err := r.rebuild(); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	return r.swap() // what it cannot finish, the next open or repair does
}

// swap puts the fresh store in place and keeps the damaged one.
func (r *repairer) swap() (err error) {
	for _, part := range storeParts { // each has one, so that one that is missing was moved
		if err := os.MkdirAll(filepath.Join(r.s.dir, part), 0o700); err != nil {
			return err
		}
	}
	swap := swapOf(r.dir)
	if r.report.Kept, err = swap.Begin(r.s.dir); err != nil {
		return err
	}
	return swap.Finish()
}

// checkRoom refuses to begin on a disk that cannot hold the store twice, except for the blocks of loads, which are linked.
func (r *repairer) checkRoom() error {
	used := int64(0)
	for _, part := range storeParts {
		path, isLink, err := disk.Resolve(filepath.Join(r.dir, part))
		if err != nil {
			return err
		}
		if part == blocksDir && !isLink {
			continue
		}
		bytes, _, err := disk.Use(path)
		if err != nil {
			return err
		}
		used += bytes
	}
	if free, err := disk.AvailableBytes(r.dir); err != nil || free < used {
		return errors.Join(err, fmt.Errorf("%w: repair builds a new store and needs %d MiB, %d MiB are free", ErrDiskFull, used>>20, free>>20))
	}
	return nil
}

func (r *repairer) rebuild() error {
	m, _, err := journal.ReadMark(r.dir)
	if err != nil && !errors.Is(err, journal.ErrNoMark) {
		return err
	}
	r.mark = m
	if err := r.build(); err != nil {
		return errors.Join(err, r.s.closeFiles())
	}
	if err := r.s.closeDatabases(); err != nil {
		return err
	}
	return r.writeMark()
}

func (r *repairer) build() error {
	if err := r.s.makeDirs(); err != nil {
		return err
	}
	// Nothing counts until the files are in place: syncing at the end is enough.
	opt := badgerdir.Options(filepath.Join(r.s.dir, badgerDir), r.s.log).WithSyncWrites(false)
	var err error
	if r.s.db, err = badgerdir.Open(opt, true); err != nil {
		return err
	}
	if r.s.stories, err = stories.Open(filepath.Join(r.s.dir, storiesDir), r.s.log); err != nil {
		return err
	}
	for _, step := range []func() error{r.copyBlocks, r.copyEntries, r.copyStories, r.findLoss, r.copyLost, r.replay, r.keepEndedRows, r.checkLists, r.checkGrants, r.checkSubscribers, r.checkPolicy, r.giveUpStories, r.refuse, r.append, r.copyStage} {
		if err := errors.Join(step(), r.ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// copyBlocks copies the files of loads as they are: each block in them has its own CRC.
func (r *repairer) copyBlocks() error {
	from, _, err := disk.Resolve(filepath.Join(r.dir, blocksDir))
	if err != nil {
		return err
	}
	return disk.LinkTree(from, filepath.Join(r.s.dir, blocksDir))
}

// copyEntries copies the journal and the places of blocks with their proofs: everything else follows from them.
func (r *repairer) copyEntries() error {
	batch := r.s.db.NewManagedWriteBatch()
	defer batch.Cancel()
	for e, err := range r.salvage(badgerDir, seal.End) {
		if err != nil {
			return err
		}
		if e.Proven {
			r.highest = max(r.highest, e.Version)
		}
		if len(e.Key) > 0 && seal.Holds(e.Key, e.Value) {
			r.traces.ofValue(e.Key, e.Value)
		}
		if !isEntry(&e) {
			continue // it shows as a gap, or as a hole in its list
		}
		if err := batch.SetEntryAt(badger.NewEntry(slices.Clone(e.Key), slices.Clone(e.Value)), e.Version); err != nil {
			return err
		}
	}
	return errors.Join(batch.Flush(), r.traces.ofFiles(r.dir))
}

// isEntry reports whether it is a sound revision, at its own timestamp, or the place or the proof of blocks. Blocks at a
// wrong timestamp show as a hole in their list.
func isEntry(e *badgerdir.Saved) bool {
	if len(e.Key) == 0 || !seal.Holds(e.Key, e.Value) {
		return false
	}
	switch e.Key[0] {
	case journal.KeyKind:
		return bytes.Equal(e.Key, journal.Key(e.Version))
	case keys.KindBlock, keys.KindCommit:
		return true
	}
	return false
}

// salvage yields what can be read of a database, and of the tables that were set aside from it.
func (r *repairer) salvage(name string, end badgerdir.ValueEnd) iter.Seq2[badgerdir.Saved, error] {
	return func(yield func(badgerdir.Saved, error) bool) {
		for _, dir := range []string{name, name + badgerdir.UnlistedSuffix} {
			for e, err := range badgerdir.Salvage(filepath.Join(r.dir, dir), end, r.s.log) {
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if !yield(e, err) {
					return
				}
			}
		}
	}
}

// findLoss walks the chain and finds what is gone.
func (r *repairer) findLoss() error {
	w := journal.NewWalk(r.mark)
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	for e, err := range journal.Entries(txn, 1) {
		if err != nil {
			return err
		}
		rev, err := w.Follow(e)
		if err != nil {
			return err
		}
		r.time = max(r.time, rev.GetTime())
	}
	r.tip = w.At
	r.from.journal, r.from.at, r.from.marked = w.Known()
	r.highest = max(r.highest, r.tip.Revision, r.mark.Tip.Revision)
	for id := range r.traces.loads { // their files stay: the journal must not end before them
		r.highest = max(r.highest, id.Prepared)
	}
	r.report.Lost, r.report.NoEnd = w.End(), w.EndUnknown
	if w.EndUnknown && r.highest > r.tip.Revision+1 { // something of these was met; one may have failed
		r.report.Lost = append(r.report.Lost, Gap{From: r.tip.Revision + 1, To: r.highest})
	}
	r.report.Revision = r.tip.Revision
	r.refusal = w.Contradiction
	switch {
	case len(r.report.Lost) > 0 || w.Contradiction != nil && !w.EndUnknown:
		r.refusal = errors.Join(ErrLoss, w.Contradiction)
	case w.EndUnknown:
		r.refusal = fmt.Errorf("%w: nothing is missing up to revision %d, and what came after it is unknown", ErrNoEnd, r.tip.Revision)
	}
	return nil
}

// refuse ends a repair that would lose acknowledged revisions, unless a person accepted that.
func (r *repairer) refuse() error {
	if r.acceptLoss {
		return nil
	}
	return r.refusal
}

// copyLost copies what a lost revision left in the state, value by value: the event is gone, but the records and lists
// that it made need not be.
func (r *repairer) copyLost() error {
	if r.refusal == nil {
		return nil
	}
	batch := r.s.db.NewManagedWriteBatch()
	defer batch.Cancel()
	for e, err := range r.salvage(badgerDir, seal.End) {
		if err != nil {
			return err
		}
		if !e.Proven || len(e.Key) == 0 || !r.isLost(e.Version) || !seal.Holds(e.Key, e.Value) {
			continue
		}
		if e.Key[0] == keys.KindPolicy {
			if err := r.keepPolicy(&e); err != nil {
				return err
			}
		}
		if !bytes.ContainsRune(stateKinds, rune(e.Key[0])) {
			continue
		}
		r.highest = max(r.highest, e.Version)
		value, err := r.withoutLostRows(e.Key, e.Value)
		if err != nil {
			return err
		}
		if e.Key[0] == keys.KindRecords {
			r.lostRecords = append(r.lostRecords, savedRecords{keys.Number(e.Key), e.Version})
		}
		if err := batch.SetEntryAt(badger.NewEntry(slices.Clone(e.Key), value), e.Version); err != nil {
			return err
		}
	}
	return batch.Flush()
}

// stateKinds are the keys of state that is complete without its events. History needs the events that it points to. What a
// lost revision granted is not among them: a revocation may be lost with it. Nor are subscribers and desks: Fsck holds them against
// the journal. A policy is set again: see checkPolicy.
var stateKinds = []byte{keys.KindRecords, keys.KindList, keys.KindImport, keys.KindRequest, keys.KindTotals}

func (r *repairer) isLost(revision uint64) bool {
	return r.report.NoEnd && revision > r.tip.Revision ||
		slices.ContainsFunc(r.report.Lost, func(g Gap) bool { return g.From <= revision && revision <= g.To })
}

// replay applies the journal again, onto what was saved of the revisions that are gone.
func (r *repairer) replay() error {
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	for e, err := range journal.Entries(txn, 1) {
		if err != nil {
			return err
		}
		rev, err := e.Decode()
		if err != nil {
			return err
		}
		if err := r.apply(e.Revision, rev); err != nil {
			return err
		}
	}
	return nil
}

func (r *repairer) apply(revision uint64, rev *storev1.Revision) error {
	txn := r.s.db.NewTransactionAt(revision-1, true)
	defer txn.Discard()
	a := apply.Replay(txn, revision, rev)
	for i, e := range rev.GetEvents() {
		if d := e.GetListDeleted().GetList(); d != nil {
			r.traces.deleted[policy.EventID{Revision: d.GetRevision(), Index: d.GetIndex()}] = true
		}
		_, err := a.Apply(i, e)
		if isRefusal(err) {
			err = r.missed(a, state.EventID(revision, i), e, err)
		}
		if err != nil {
			return err
		}
	}
	if err := a.End(); err != nil {
		return err
	}
	return txn.CommitAt(revision, nil)
}

// missed is an event that needs what a lost revision did. It stays in its number's history; a list whose load it was
// does not count as loaded.
func (r *repairer) missed(a *apply.Applier, id policy.EventID, e *storev1.Event, why error) error {
	a.CountChange(e)
	r.report.Missed = append(r.report.Missed, fmt.Sprintf("revision %d event %d: %v", id.Revision, id.Index, why))
	if n := aboutNumber(e); n != 0 {
		key := keys.History(n, id)
		return a.Set(key, seal.Value(key, nil))
	}
	for _, ref := range []*storev1.ListId{
		e.GetLoadPrepared().GetList(), e.GetLoadSwitched().GetList(), e.GetLoadAbandoned().GetList(), e.GetLoadConfirmed().GetList(),
	} {
		if ref == nil {
			continue
		}
		if err := a.UnloadList(&storev1.ListUnloaded{List: ref}); err != nil && !isRefusal(err) {
			return err
		}
		r.doubted = append(r.doubted, policy.EventID{Revision: ref.GetRevision(), Index: ref.GetIndex()})
	}
	return nil
}

// checkLists marks a list as not loaded when its content is not what its load wrote.
func (r *repairer) checkLists() error {
	txn := r.s.db.NewTransactionAt(r.tip.Revision, false)
	defer txn.Discard()
	lists, err := readLists(txn)
	if err != nil {
		return err
	}
	all := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer all.Discard()
	r.report.LostLists = r.lostLists(lists)
	for _, l := range lists {
		err := r.s.verifyList(r.ctx, all, l)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		if err != nil || slices.Contains(r.doubted, l.ID) || r.isOutdated(l) {
			r.report.Unloaded = append(r.report.Unloaded, l.Name)
			r.events = append(r.events, &storev1.Event{Change: &storev1.Event_ListUnloaded{
				ListUnloaded: &storev1.ListUnloaded{List: state.ListRef(l.ID)},
			}})
		} else if l.Loaded && r.lostAfter(l.ContentRevision) {
			r.report.Doubtful = append(r.report.Doubtful, l.Name)
		}
	}
	return nil
}

// append commits what repair itself changes as one more revision. After a loss it restarts the chain under a new
// journal id, at a revision that was never used.
func (r *repairer) append() error {
	e := journal.Entry{Revision: r.tip.Revision + 1, Prev: r.tip.Chain}
	if r.refusal != nil {
		r.mark.Journal = journal.NewMark().Journal
		r.events = append([]*storev1.Event{r.lossEvent()}, r.events...)
		used := max(r.highest, r.mark.Last()-1) // one more than the mark says where half of it cannot be read
		e = journal.Entry{Revision: used + 1, Prev: journal.Start(r.mark.Journal)}
	}
	if len(r.events) == 0 {
		return nil
	}
	rev := &storev1.Revision{Time: max(r.time, r.s.opt.Clock().UnixNano()), Events: r.events, Counted: true}
	var err error
	if e.Body, err = proto.Marshal(rev); err != nil {
		return err
	}
	if err := r.apply(e.Revision, rev); err != nil {
		return err
	}
	txn := r.s.db.NewTransactionAt(e.Revision, true)
	defer txn.Discard()
	if err := txn.Set(journal.Key(e.Revision), e.Sealed()); err != nil {
		return err
	}
	r.tip = e.Position()
	return txn.CommitAt(e.Revision, nil)
}

func (r *repairer) lossEvent() *storev1.Event {
	loss := &storev1.LossAccepted{JournalId: r.mark.Journal[:]}
	if at := &r.from.at; at.Revision > 0 {
		loss.FromRevision, loss.FromChain, loss.FromMark = at.Revision, at.Chain[:], r.from.marked
	}
	if r.from.journal != (journal.ID{}) {
		loss.FromJournalId = r.from.journal[:]
	}
	for _, g := range r.report.Lost {
		loss.Gaps = append(loss.Gaps, &storev1.Gap{From: g.From, To: g.To})
	}
	return &storev1.Event{Change: &storev1.Event_LossAccepted{LossAccepted: loss}}
}

// copyStage copies the content of loads that are to be finished.
func (r *repairer) copyStage() error {
	files, err := filepath.Glob(filepath.Join(r.dir, stageDir, "*.numbers"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := disk.CopyFile(f, filepath.Join(r.s.dir, stageDir, filepath.Base(f))); err != nil {
			return err
		}
	}
	return disk.SyncDir(filepath.Join(r.s.dir, stageDir))
}

func (r *repairer) writeMark() error {
	w, err := journal.OpenMark(r.s.dir, 0)
	if err != nil {
		return err
	}
	r.report.Revision, r.report.JournalID = r.tip.Revision, r.mark.Journal.String()
	return errors.Join(w.Write(journal.Mark{Journal: r.mark.Journal, Tip: r.tip, Checkpoint: r.tip}), w.Close())
}
