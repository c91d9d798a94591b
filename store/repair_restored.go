package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/stories"
)

// revisionsPerSecond is more than any store commits, since each revision is synced. It bounds how far a store came after a
// copy of it was made.
const revisionsPerSecond = 100_000

// Restored says that the directory was put back from a copy. The store may have acknowledged more after the copy was made,
// so the journal continues under a new id, at a revision that it cannot have used; an event says where the copy ended.
// What is newer than the journal is set aside in a directory that the report names. It changes nothing in a store in which
// Fsck found a problem: then the report has it, and no Restored.
func Restored(ctx context.Context, dir string, o Options) (Report, error) {
	if err := requireStore(dir); err != nil {
		return Report{}, fmt.Errorf("restored: %w", err)
	}
	s := newStore(dir, o.withDefaults())
	var err error
	if s.lock, err = lockDir(dir); err != nil {
		return Report{}, fmt.Errorf("restored: %w", err)
	}
	report, err := s.restored(ctx, o)
	if err = errors.Join(err, s.closeFiles()); err != nil {
		return report, fmt.Errorf("restored: %w", err)
	}
	return report, nil
}

func (s *Store) restored(ctx context.Context, o Options) (Report, error) {
	if err := swapOf(s.dir).Finish(); err != nil {
		return Report{}, err
	}
	report, err := inspect(ctx, s.dir, o)
	if err != nil || len(report.Problems) > 0 {
		return report, err
	}
	r := &restorer{s: s, report: &report}
	err = r.run()
	return report, err
}

// restorer restarts the journal of a store that is whole.
type restorer struct {
	s      *Store
	report *Report
	mark   journal.Mark
	tip    journal.Position // where the copy ended
	time   int64            // of its last event
	newer  *newer
}

func (r *restorer) run() error {
	if err := r.openStore(); err != nil {
		return err
	}
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	if err := errors.Join(r.findTip(txn), r.findNewer(txn)); err != nil {
		return err
	}
	from := journal.Mark{Journal: r.mark.Journal, Tip: r.tip}
	if err := r.restart(); err != nil {
		return err
	}
	r.report.Restored = &Copy{JournalID: from.Journal.String(), Revision: from.Tip.Revision}
	r.report.JournalID, r.report.Revision = r.mark.Journal.String(), r.mark.Tip.Revision
	r.report.Newer = nil
	return r.setAside()
}

func (r *restorer) openStore() (err error) {
	var seq uint64
	if r.mark, seq, err = journal.ReadMark(r.s.dir); err != nil {
		return err
	}
	if err := r.s.space.makeRoom(); err != nil {
		return err
	}
	if r.s.mark, err = journal.OpenMark(r.s.dir, seq); err != nil {
		return err
	}
	if r.s.db, err = badgerdir.Open(badgerdir.Options(filepath.Join(r.s.dir, badgerDir), r.s.log), true); err != nil {
		return err
	}
	r.s.db.SetDiscardTs(0) // every version is kept
	r.s.stories, err = stories.Open(filepath.Join(r.s.dir, storiesDir), r.s.log)
	return err
}

func (r *restorer) findTip(txn *badger.Txn) error {
	e, ok, err := journal.Last(txn, math.MaxUint64)
	if err != nil || !ok {
		r.tip.Chain = journal.Start(r.mark.Journal)
		return err
	}
	rev, err := e.Decode()
	r.tip, r.time = e.Position(), rev.GetTime()
	return err
}

func (r *restorer) findNewer(txn *badger.Txn) (err error) {
	if r.newer, err = r.s.findNewer(txn, r.mark.Journal, r.tip.Revision); err != nil {
		return err
	}
	return r.newer.unnamedStories()
}

// next is a revision that the store cannot have used.
func (r *restorer) next(now int64) uint64 {
	return max(r.newer.highest, r.tip.Revision+r.passed(now)*revisionsPerSecond) + 1
}

// passed bounds the seconds since the copy was made. If no event says when that was, or the clock is not past the
// last one, as many as since 1970 may have passed.
func (r *restorer) passed(now int64) uint64 {
	since := r.time
	if now <= r.time {
		since, now = 0, r.time
	}
	return uint64((now-since)/int64(time.Second)) + 1
}

// restart commits the event that begins the journal's new chain, and marks it.
func (r *restorer) restart() error {
	now := r.s.opt.Clock().UnixNano()
	fresh := journal.NewMark().Journal
	counted, err := r.isCounted()
	if err != nil {
		return err
	}
	e := journal.Entry{Revision: r.next(now), Prev: journal.Start(fresh)}
	rev := &storev1.Revision{Time: max(r.time, now), Counted: counted, Events: []*storev1.Event{{Change: &storev1.Event_Restored{
		Restored: &storev1.Restored{
			JournalId:     fresh[:],
			FromJournalId: r.mark.Journal[:],
			FromRevision:  r.tip.Revision,
			FromChain:     r.tip.Chain[:],
		},
	}}}}
	if err := r.commit(&e, rev); err != nil {
		return err
	}
	tip := e.Position()
	r.mark = journal.Mark{Journal: fresh, Tip: tip, Checkpoint: tip}
	return r.s.mark.Write(r.mark)
}

// isCounted reports whether the changes of the copy are counted: those that are not are left to the next start.
func (r *restorer) isCounted() (bool, error) {
	txn := r.s.db.NewTransactionAt(r.tip.Revision, false)
	defer txn.Discard()
	last, found, err := journal.Last(txn, r.tip.Revision)
	if err != nil || !found {
		return true, err
	}
	return last.IsCounted()
}

func (r *restorer) commit(e *journal.Entry, rev *storev1.Revision) (err error) {
	if e.Body, err = proto.Marshal(rev); err != nil {
		return err
	}
	txn := r.s.db.NewTransactionAt(r.tip.Revision, true)
	defer txn.Discard()
	a := apply.Replay(txn, e.Revision, rev)
	for i, event := range rev.GetEvents() {
		if _, err := a.Apply(i, event); err != nil {
			return err
		}
	}
	if err := a.End(); err != nil {
		return err
	}
	if err := txn.Set(journal.Key(e.Revision), e.Sealed()); err != nil {
		return err
	}
	return txn.CommitAt(e.Revision, nil)
}

// setAside takes what the journal could not have led to out of the store: files of loads, and stories, whose copies are
// kept. Filters are built again.
func (r *restorer) setAside() error {
	n := r.newer
	if len(n.blocks) == 0 && len(n.stories) == 0 {
		return nil
	}
	kept := filepath.Join(r.s.dir, "newer-"+time.Now().UTC().Format("20060102T150405.000"))
	if err := os.MkdirAll(filepath.Join(kept, blocksDir), 0o700); err != nil {
		return err
	}
	r.report.Kept = kept
	for _, name := range n.blocks {
		if err := os.Rename(filepath.Join(r.s.dir, blocksDir, name), filepath.Join(kept, blocksDir, name)); err != nil {
			return err
		}
	}
	if err := r.setStoriesAside(kept); err != nil {
		return err
	}
	return errors.Join(disk.SyncTree(kept), disk.SyncDir(filepath.Join(r.s.dir, blocksDir)), disk.SyncDir(r.s.dir))
}

// setStoriesAside moves the stories that no event names to a database of their own.
func (r *restorer) setStoriesAside(kept string) error {
	if len(r.newer.stories) == 0 {
		return nil
	}
	to, err := stories.Open(filepath.Join(kept, storiesDir), r.s.log)
	if err != nil {
		return err
	}
	err = r.s.stories.MoveTo(to, r.newer.stories)
	return errors.Join(err, to.Close())
}
