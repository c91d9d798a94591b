package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// Errors of Repair that a caller may accept.
var (
	ErrLoss  = errors.New("acknowledged revisions are gone for good")
	ErrNoEnd = errors.New("no mark says where the journal ends")
)

// Repair rebuilds a damaged directory: the state from the journal, each list from its blocks where they are as its load
// wrote them, else marked as not loaded. What was there is kept in a directory beside, named in the report. When
// revisions are lost it returns ErrLoss and changes nothing, or ErrNoEnd when it cannot know whether some are; the report
// says what would be lost with them. With acceptLoss the loss is an event of the journal, which goes on under a new id
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
	if err := finishSwap(dir); err != nil {
		return Report{}, fmt.Errorf("repair: %w", err)
	}
	report, err := inspect(ctx, dir, o)
	if err != nil || report.OK() {
		return report, err
	}
	if len(report.Problems) == 0 {
		return report, fmt.Errorf("repair: %w", ErrOlderJournal)
	}
	r := &repairer{ctx: ctx, dir: dir, acceptLoss: acceptLoss, report: &report, traces: newTraces(), gone: map[string]bool{}}
	r.s = &Store{opt: o.withDefaults(), closing: make(chan struct{})}
	r.s.log = r.s.opt.Logger
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
	acceptLoss  bool
	report      *Report
	s           *Store // the fresh one
	mark        mark
	highest     uint64 // revision or version met anywhere, also in stories and names of files
	tip         position
	time        int64
	refusal     error            // not nil: the journal cannot go on as it is, and a person must accept that
	events      []*storev1.Event // to append to the journal
	doubted     []policy.EventID // lists that missed a part of a load
	traces      *traces
	gone        map[string]bool // keys of stories that an earlier repair could not find
	lostRecords []savedRecords  // of revisions that are gone
}

func (r *repairer) run() error {
	if err := r.checkRoom(); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(r.dir, scratchPrefix)
	if err != nil {
		return err
	}
	r.s.dir = fresh
	if err := r.rebuild(); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	return r.swap() // what it cannot finish, the next open or repair does
}

// checkRoom refuses to begin on a disk that cannot hold the store twice, but for the blocks of loads, which are linked.
func (r *repairer) checkRoom() error {
	used := int64(0)
	for _, part := range storeParts {
		path, isLink, err := resolve(filepath.Join(r.dir, part))
		if err != nil {
			return err
		}
		if part == blocksDir && !isLink {
			continue
		}
		bytes, _, err := diskUse(path)
		if err != nil {
			return err
		}
		used += bytes
	}
	if free, err := availableBytes(r.dir); err != nil || free < used {
		return errors.Join(err, fmt.Errorf("%w: repair builds a new store and needs %d MiB, %d MiB are free", ErrDiskFull, used>>20, free>>20))
	}
	return nil
}

func (r *repairer) rebuild() error {
	m, _, err := readMark(r.dir)
	if err != nil && !errors.Is(err, errNoMark) {
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
	opt := badgerOptions(filepath.Join(r.s.dir, badgerDir), r.s.log).WithSyncWrites(false)
	var err error
	if r.s.db, err = openBadger(opt, true); err != nil {
		return err
	}
	if r.s.stories, err = openStories(filepath.Join(r.s.dir, storiesDir), r.s.log); err != nil {
		return err
	}
	for _, step := range []func() error{r.copyBlocks, r.copyEntries, r.copyStories, r.findLoss, r.copyLost, r.replay, r.keepEndedRows, r.checkLists, r.giveUpStories, r.refuse, r.append, r.copyStage} {
		if err := errors.Join(step(), r.ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// copyBlocks takes over the files of loads as they are: each block in them has its own CRC.
func (r *repairer) copyBlocks() error {
	from, _, err := resolve(filepath.Join(r.dir, blocksDir))
	if err != nil {
		return err
	}
	return linkTree(from, filepath.Join(r.s.dir, blocksDir))
}

// linkTree makes links to the files of a directory that are never written again, or copies where links cannot be had.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case os.Link(path, target) == nil:
			return nil
		}
		return copyFile(path, target)
	})
}

// copyEntries takes over the journal and the places of blocks with their proofs: all else follows from them.
func (r *repairer) copyEntries() error {
	batch := r.s.db.NewManagedWriteBatch()
	defer batch.Cancel()
	err := r.salvage(badgerDir, sealedEnd, func(e saved) error {
		if e.proven {
			r.highest = max(r.highest, e.version)
		}
		if len(e.key) > 0 && sound(e.key, e.value) {
			r.traces.ofValue(e.key, e.value)
		}
		if !e.isEntry() {
			return nil // it shows as a gap, or as a hole in its list
		}
		return batch.SetEntryAt(badger.NewEntry(slices.Clone(e.key), slices.Clone(e.value)), e.version)
	})
	return errors.Join(err, batch.Flush(), r.traces.ofFiles(r.dir))
}

// isEntry reports whether it is a sound revision, at its own timestamp, or the place or the proof of blocks. Blocks at a
// wrong timestamp show as a hole in their list.
func (e *saved) isEntry() bool {
	if len(e.key) == 0 || !sound(e.key, e.value) {
		return false
	}
	switch e.key[0] {
	case keyJournal:
		return bytes.Equal(e.key, journalKey(e.version))
	case keyBlock, keyCommit:
		return true
	}
	return false
}

// salvage reads a database and the tables that were set aside from it.
func (r *repairer) salvage(name string, end valueEnd, f func(saved) error) error {
	for _, dir := range []string{name, name + unlistedSuffix} {
		err := salvage(filepath.Join(r.dir, dir), end, r.s.log, f)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sound reports whether a sealed value is the one that was written under its key.
func sound(key, value []byte) bool {
	_, err := unseal(key, value)
	return err == nil
}

// soundStory reports whether a story matches the hash in its key.
func soundStory(key, value []byte) bool {
	if len(key) != 8+sha256.Size {
		return false
	}
	e, err := decodeStoryEntry(value)
	return err == nil && e.tells(key[8:])
}

// findLoss walks the chain and finds what is gone.
func (r *repairer) findLoss() error {
	w := newChainWalk(r.mark)
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	err := eachEntry(txn, 1, func(e entry) error {
		rev, err := w.take(e)
		r.time = max(r.time, rev.GetTime())
		return err
	})
	if err != nil {
		return err
	}
	r.tip = w.at
	r.highest = max(r.highest, r.tip.revision, r.mark.tip.revision)
	for id := range r.traces.loads { // their files stay: the journal must not end before them
		r.highest = max(r.highest, id.prepared)
	}
	r.report.Lost, r.report.NoEnd = w.finish(), w.endUnknown
	if w.endUnknown && r.highest > r.tip.revision+1 { // something of these was met; one may have failed
		r.report.Lost = append(r.report.Lost, Gap{r.tip.revision + 1, r.highest})
	}
	r.report.Revision = r.tip.revision
	r.refusal = w.contradiction
	switch {
	case len(r.report.Lost) > 0 || w.contradiction != nil && !w.endUnknown:
		r.refusal = errors.Join(ErrLoss, w.contradiction)
	case w.endUnknown:
		r.refusal = fmt.Errorf("%w: nothing is missing up to revision %d, and what came after it is unknown", ErrNoEnd, r.tip.revision)
	}
	return nil
}

// refuse ends a repair that would go on without acknowledged revisions, unless a person accepted that.
func (r *repairer) refuse() error {
	if r.acceptLoss {
		return nil
	}
	return r.refusal
}

// copyLost takes over what a lost revision left in the state, value by value: the event is gone, but the records and lists
// that it made need not be.
func (r *repairer) copyLost() error {
	if r.refusal == nil {
		return nil
	}
	batch := r.s.db.NewManagedWriteBatch()
	defer batch.Cancel()
	err := r.salvage(badgerDir, sealedEnd, func(e saved) error {
		if !e.proven || len(e.key) == 0 || !bytes.ContainsRune(stateKinds, rune(e.key[0])) || !r.isLost(e.version) || !sound(e.key, e.value) {
			return nil
		}
		r.highest = max(r.highest, e.version)
		value, err := r.withoutLostRows(e.key, e.value)
		if err != nil {
			return err
		}
		if e.key[0] == keyRecords {
			r.lostRecords = append(r.lostRecords, savedRecords{numberOfKey(e.key), e.version})
		}
		return batch.SetEntryAt(badger.NewEntry(slices.Clone(e.key), value), e.version)
	})
	return errors.Join(err, batch.Flush())
}

// stateKinds are the keys of state that stand for themselves. History needs the events that it points to.
var stateKinds = []byte{keyRecords, keyList, keyImport, keyRequest, keyTotals}

func (r *repairer) isLost(revision uint64) bool {
	return r.report.NoEnd && revision > r.tip.revision ||
		slices.ContainsFunc(r.report.Lost, func(g Gap) bool { return g.From <= revision && revision <= g.To })
}

// replay applies the journal anew, onto what was saved of the revisions that are gone.
func (r *repairer) replay() error {
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	return eachEntry(txn, 1, func(e entry) error {
		rev, err := e.decode()
		if err != nil {
			return err
		}
		return r.apply(e.revision, rev)
	})
}

func (r *repairer) apply(revision uint64, rev *storev1.Revision) error {
	txn := r.s.db.NewTransactionAt(revision-1, true)
	defer txn.Discard()
	a := newReplay(txn, revision, rev)
	for i, e := range rev.GetEvents() {
		if d := e.GetListDeleted().GetList(); d != nil {
			r.traces.deleted[policy.EventID{Revision: d.GetRevision(), Index: d.GetIndex()}] = true
		}
		_, err := a.apply(i, e)
		if isRefusal(err) {
			err = r.missed(a, eventID(revision, i), e, err)
		}
		if err != nil {
			return err
		}
	}
	if err := a.finish(); err != nil {
		return err
	}
	return txn.CommitAt(revision, nil)
}

// missed is an event that needs what a lost revision did. It stays in its number's history; a list whose load it was
// does not count as loaded.
func (r *repairer) missed(a *applier, id policy.EventID, e *storev1.Event, why error) error {
	r.report.Missed = append(r.report.Missed, fmt.Sprintf("revision %d event %d: %v", id.Revision, id.Index, why))
	if n := cmp.Or(e.GetOptOut().GetNumber(), e.GetOptOutWithdrawn().GetNumber()); n != 0 {
		key := historyKey(n, id)
		return a.set(key, seal(key, nil))
	}
	for _, ref := range []*storev1.ListId{
		e.GetLoadPrepared().GetList(), e.GetLoadSwitched().GetList(), e.GetLoadAbandoned().GetList(), e.GetLoadConfirmed().GetList(),
	} {
		if ref == nil {
			continue
		}
		if err := a.unloadList(&storev1.ListUnloaded{List: ref}); err != nil && !isRefusal(err) {
			return err
		}
		r.doubted = append(r.doubted, policy.EventID{Revision: ref.GetRevision(), Index: ref.GetIndex()})
	}
	return nil
}

// checkLists marks a list as not loaded when its content is not what its load wrote.
func (r *repairer) checkLists() error {
	txn := r.s.db.NewTransactionAt(r.tip.revision, false)
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
				ListUnloaded: &storev1.ListUnloaded{List: listRef(l.ID)},
			}})
		} else if l.Loaded && r.lostAfter(l.Visible) {
			r.report.Doubtful = append(r.report.Doubtful, l.Name)
		}
	}
	return nil
}

// append commits what repair itself changes as one more revision. After a loss it restarts the chain under a new
// journal id, at a revision that was never used.
func (r *repairer) append() error {
	e := entry{revision: r.tip.revision + 1, prev: r.tip.chain}
	if r.refusal != nil {
		r.mark.journal = newMark().journal
		r.events = append([]*storev1.Event{r.lossEvent()}, r.events...)
		used := max(r.highest, r.mark.last()-1) // one more than the mark says where half of it cannot be read
		e = entry{revision: used + 1, prev: chainStart(r.mark.journal)}
	}
	if len(r.events) == 0 {
		return nil
	}
	rev := &storev1.Revision{Time: max(r.time, r.s.opt.Clock().UnixNano()), Events: r.events}
	var err error
	if e.body, err = proto.Marshal(rev); err != nil {
		return err
	}
	if err := r.apply(e.revision, rev); err != nil {
		return err
	}
	txn := r.s.db.NewTransactionAt(e.revision, true)
	defer txn.Discard()
	key := journalKey(e.revision)
	if err := txn.Set(key, seal(key, e.value())); err != nil {
		return err
	}
	r.tip = position{e.revision, e.hash()}
	return txn.CommitAt(e.revision, nil)
}

func (r *repairer) lossEvent() *storev1.Event {
	loss := &storev1.LossAccepted{JournalId: r.mark.journal[:]}
	for _, g := range r.report.Lost {
		loss.Gaps = append(loss.Gaps, &storev1.Gap{From: g.From, To: g.To})
	}
	return &storev1.Event{Change: &storev1.Event_LossAccepted{LossAccepted: loss}}
}

// copyStage takes over the content of loads that are to be finished.
func (r *repairer) copyStage() error {
	files, err := filepath.Glob(filepath.Join(r.dir, stageDir, "*.numbers"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := copyFile(f, filepath.Join(r.s.dir, stageDir, filepath.Base(f))); err != nil {
			return err
		}
	}
	return syncDir(filepath.Join(r.s.dir, stageDir))
}

func (r *repairer) writeMark() error {
	w, err := openMark(r.s.dir, 0)
	if err != nil {
		return err
	}
	r.report.Revision, r.report.JournalID = r.tip.revision, r.mark.journal.String()
	return errors.Join(w.write(mark{journal: r.mark.journal, tip: r.tip, checkpoint: r.tip}), w.close())
}
