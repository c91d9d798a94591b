package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// revisionsPerSecond is more than any store commits, since each revision is synced. It bounds how far a store came after a
// copy of it was made.
const revisionsPerSecond = 100_000

// Restored says that the directory was put back from a copy. The store may have acknowledged more after the copy was made,
// so the journal goes on under a new id, at a revision that it cannot have used; an event tells where the copy ended.
// What is newer than the journal is set aside in a directory that the report names. It changes nothing in a store in which
// Fsck found a problem: then the report has it, and no Restored.
func Restored(ctx context.Context, dir string, o Options) (Report, error) {
	if err := requireStore(dir); err != nil {
		return Report{}, fmt.Errorf("restored: %w", err)
	}
	s := &Store{dir: dir, opt: o.withDefaults(), closing: make(chan struct{})}
	s.log = s.opt.Logger
	s.space = space{dir: dir, minFree: s.opt.MinFree, ballast: s.opt.Ballast}
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
	if err := finishSwap(s.dir); err != nil {
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
	mark   mark
	tip    position // where the copy ended
	time   int64    // of its last event
	newer  *newer
}

func (r *restorer) run() error {
	if err := r.open(); err != nil {
		return err
	}
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	if err := errors.Join(r.findTip(txn), r.findNewer(txn)); err != nil {
		return err
	}
	from := mark{journal: r.mark.journal, tip: r.tip}
	if err := r.restart(); err != nil {
		return err
	}
	r.report.Restored = &Copy{JournalID: from.journal.String(), Revision: from.tip.revision}
	r.report.JournalID, r.report.Revision = r.mark.journal.String(), r.mark.tip.revision
	r.report.Newer = nil
	return r.setAside()
}

func (r *restorer) open() (err error) {
	var seq uint64
	if r.mark, seq, err = readMark(r.s.dir); err != nil {
		return err
	}
	if err := r.s.space.prepare(); err != nil {
		return err
	}
	if r.s.mark, err = openMark(r.s.dir, seq); err != nil {
		return err
	}
	if r.s.db, err = openBadger(badgerOptions(filepath.Join(r.s.dir, badgerDir), r.s.log), true); err != nil {
		return err
	}
	r.s.db.SetDiscardTs(0) // every version is kept
	r.s.stories, err = openStories(filepath.Join(r.s.dir, storiesDir), r.s.log)
	return err
}

func (r *restorer) findTip(txn *badger.Txn) error {
	e, ok, err := lastEntry(txn, math.MaxUint64)
	if err != nil || !ok {
		r.tip.chain = chainStart(r.mark.journal)
		return err
	}
	rev, err := e.decode()
	r.tip, r.time = position{e.revision, e.hash()}, rev.GetTime()
	return err
}

func (r *restorer) findNewer(txn *badger.Txn) (err error) {
	if r.newer, err = r.s.findNewer(txn, r.mark.journal, r.tip.revision); err != nil {
		return err
	}
	return r.newer.unnamedStories()
}

// next is a revision that the store cannot have used.
func (r *restorer) next(now int64) uint64 {
	return max(r.newer.highest, r.tip.revision+r.passed(now)*revisionsPerSecond) + 1
}

// passed bounds the seconds since the copy was made. Where no event tells when that was, or the clock is not past the
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
	journal := newMark().journal
	e := entry{revision: r.next(now), prev: chainStart(journal)}
	rev := &storev1.Revision{Time: max(r.time, now), Events: []*storev1.Event{{Change: &storev1.Event_Restored{
		Restored: &storev1.Restored{
			JournalId:     journal[:],
			FromJournalId: r.mark.journal[:],
			FromRevision:  r.tip.revision,
			FromChain:     r.tip.chain[:],
		},
	}}}}
	if err := r.commit(&e, rev); err != nil {
		return err
	}
	tip := position{e.revision, e.hash()}
	r.mark = mark{journal: journal, tip: tip, checkpoint: tip}
	return r.s.mark.write(r.mark)
}

func (r *restorer) commit(e *entry, rev *storev1.Revision) (err error) {
	if e.body, err = proto.Marshal(rev); err != nil {
		return err
	}
	txn := r.s.db.NewTransactionAt(r.tip.revision, true)
	defer txn.Discard()
	key := journalKey(e.revision)
	if err := txn.Set(key, seal(key, e.value())); err != nil {
		return err
	}
	return txn.CommitAt(e.revision, nil)
}

// setAside takes what the journal could not have led to out of the store: files of loads, and stories, of which a copy is
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
	return errors.Join(syncTree(kept), syncDir(filepath.Join(r.s.dir, blocksDir)), syncDir(r.s.dir))
}

// setStoriesAside moves the stories that no event names to a database of their own.
func (r *restorer) setStoriesAside(kept string) error {
	if len(r.newer.stories) == 0 {
		return nil
	}
	to, err := openStories(filepath.Join(kept, storiesDir), r.s.log)
	if err != nil {
		return err
	}
	err = moveStories(r.s.stories.db, to.db, r.newer.stories)
	return errors.Join(err, to.close())
}

func moveStories(from, to *badger.DB, keys [][]byte) error {
	copies, deletions := to.NewWriteBatch(), from.NewWriteBatch()
	defer copies.Cancel()
	defer deletions.Cancel()
	err := from.View(func(txn *badger.Txn) error {
		for _, k := range keys {
			item, err := txn.Get(k)
			if err != nil {
				return err
			}
			if err := item.Value(func(v []byte) error { return copies.Set(k, slices.Clone(v)) }); err != nil {
				return err
			}
			if err := deletions.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set stories aside: %w", err)
	}
	if err := copies.Flush(); err != nil {
		return fmt.Errorf("set stories aside: %w", err)
	}
	if err := deletions.Flush(); err != nil {
		return fmt.Errorf("set stories aside: %w", err)
	}
	return nil
}
