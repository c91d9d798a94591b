package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/secret"
	"github.com/dncd/dncd/store/internal/state"
	"github.com/dncd/dncd/store/internal/stories"
)

// Gap is a run of revisions that are gone, both ends included.
type Gap = journal.Gap

// Report is what fsck found.
type Report struct {
	Revision            uint64
	JournalID           string
	Events              uint64
	Lists               int
	Stories             uint64
	Missing             StoryLoss // stories that are not there; after a repair, those that it could not find
	Gone                StoryLoss // stories that an earlier repair could not find: known, and no problem any more
	Problems            []string  // empty, as Newer: the store is whole
	Newer               []string  // what is newer than the journal, which an older copy took the place of: see Restored
	Past                []string  // lists and the loads whose content, which only the past shows, cannot be read; no damage to any check
	Secret              error     // ErrDamaged, or fs.ErrNotExist, for the secret that positions are handed out with; no check depends on it
	Lost                []Gap     // acknowledged revisions that are gone
	NoEnd               bool      // no mark says where the journal ends: except for Lost nothing is missing up to Revision; what came after it is unknown
	Repaired            bool
	Missed              []string // events that repair could not apply: they need what a lost revision did
	Unloaded            []string // lists that repair marked as not loaded: load them again
	LostLists           []string // lists that went with the lost revisions: create and load them again
	Doubtful            []string // lists whose content is older than a lost revision, which may have loaded them: load them again
	DoubtfulGrants      []string // tokens and certificates that a lost revision may have revoked: look at each
	DoubtfulSubscribers []string // subscribers that a lost revision may have changed or removed: look at each
	DoubtfulPolicy      bool     // a lost revision may have set another policy than the one in force: look at it
	Kept                string   // where repair left the damaged files, or Restored what is newer than the journal
	Restored            *Copy    // that was put back, as Restored says in the journal
}

// Copy is where a copy of a store ended.
type Copy struct {
	JournalID string
	Revision  uint64
}

// OK reports whether the store is whole.
func (r *Report) OK() bool { return len(r.Problems) == 0 && len(r.Newer) == 0 }

const maxProblems = 100

func (r *Report) problem(err error) {
	if errors.Is(err, ErrOlderJournal) {
		r.Newer = append(r.Newer, err.Error())
		return
	}
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, err.Error())
	}
}

// Fsck verifies all that a directory holds: every value, the whole journal, the state against the journal, each list
// against its load, the blocks that only the past shows, and the filters. No server may have the directory open. Fsck
// opens nothing in it that it could change. An error means that it could not look.
func Fsck(ctx context.Context, dir string, o Options) (Report, error) {
	if err := requireStore(dir); err != nil {
		return Report{}, fmt.Errorf("fsck: %w", err)
	}
	lock, err := disk.LockToRead(filepath.Join(dir, lockFile))
	if err != nil {
		return Report{}, fmt.Errorf("fsck: %w", err)
	}
	defer lock.Close()
	if _, err := os.Lstat(filepath.Join(dir, swapFile)); err == nil {
		return Report{Problems: []string{errSwapBegun.Error()}}, nil
	}
	return inspect(ctx, dir, o)
}

var errSwapBegun = fmt.Errorf("%w: a repair was cut short while it put its files in place: fsck --repair finishes that", ErrDamaged)

// requireStore fails where there is no database, nor one that a repair was about to put in place.
func requireStore(dir string) error {
	if err := Find(dir); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(dir, badgerDir))
	if _, begun := os.Lstat(filepath.Join(dir, swapFile)); err == nil || begun == nil {
		return nil
	}
	return fmt.Errorf("its database is not there: %w", err)
}

// inspect verifies a directory that no server can open at the same time.
func inspect(ctx context.Context, dir string, o Options) (Report, error) {
	if err := disk.RequireOpenFiles(dir, badgerDir, storiesDir); err != nil {
		return Report{}, fmt.Errorf("fsck: %w", orSystem(err))
	}
	scratch, err := makeScratch(dir)
	if err != nil {
		return Report{}, fmt.Errorf("fsck: %w", orSystem(err))
	}
	defer os.RemoveAll(scratch)
	return newStore(dir, o.withDefaults()).fsck(ctx, scratch)
}

// scratchPrefix begins the names of directories that fsck and repair work in.
const scratchPrefix = ".fsck-"

// makeScratch makes a directory for copies of logs: in the data directory, where what holds numbers belongs, or with the
// system's temporary files when nothing can be written there.
func makeScratch(dir string) (string, error) {
	scratch, err := os.MkdirTemp(dir, scratchPrefix)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		scratch, err = os.MkdirTemp("", "dncd-fsck-")
	}
	return scratch, err
}

func (s *Store) fsck(ctx context.Context, scratch string) (r Report, err error) {
	defer func() { err = errors.Join(err, s.closeFiles()) }()
	opt := badgerdir.Options(filepath.Join(s.dir, badgerDir), s.log)
	if s.db, err = badgerdir.OpenReadOnly(opt, filepath.Join(scratch, badgerDir), true); errors.Is(err, ErrDamaged) {
		r.problem(err)
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("fsck: %w", orSystem(err))
	}
	s.stories, err = stories.OpenReadOnly(filepath.Join(s.dir, storiesDir), filepath.Join(scratch, storiesDir), s.log)
	unread := errors.Is(err, ErrDamaged)
	if unread {
		s.stories = new(stories.DB)
		r.problem(err)
	} else if err != nil {
		return r, fmt.Errorf("fsck: %w", orSystem(err))
	}
	m, _, err := journal.ReadMark(s.dir)
	if refused := fault.AsSystem(err); refused != nil {
		return r, fmt.Errorf("fsck: %w", refused)
	}
	if err != nil && !(errors.Is(err, journal.ErrNoMark) && s.isNew()) {
		r.problem(fmt.Errorf("%w: mark: %w", ErrDamaged, err))
	}
	r.JournalID, r.Revision = m.Journal.String(), m.Tip.Revision
	c := &checker{ctx: ctx, s: s, r: &r, mark: m, grants: grantBook{}, subscribers: apply.Subscribers{}, desks: apply.Desks{}, policies: apply.Policies{}, fates: s.stories.Fates(), storiesUnread: unread}
	c.run()
	if c.refused != nil {
		return r, fmt.Errorf("fsck: %w", c.refused)
	}
	return r, ctx.Err()
}

// checker walks one store.
type checker struct {
	ctx   context.Context
	s     *Store
	r     *Report
	mark  journal.Mark
	txn   *badger.Txn
	lists []*List

	grants        grantBook
	changeBook    changeBook
	subscribers   apply.Subscribers // as the journal has them
	desks         apply.Desks
	policies      apply.Policies
	acks          int // of the journal, that the state holds
	fates         *stories.Fates
	storiesUnread bool // their database cannot be opened: how many are missing is not known

	refused error // the system refused something: what was found says nothing about the store
}

// problem notes what is wrong with the store.
func (c *checker) problem(err error) {
	if refused := fault.AsSystem(err); refused != nil {
		c.refused = cmp.Or(c.refused, refused)
		return
	}
	c.r.problem(err)
}

func (c *checker) run() {
	c.txn = c.s.db.NewTransactionAt(math.MaxUint64, false)
	defer c.txn.Discard()
	for _, step := range []func() error{
		c.tables, c.values, c.journal, c.changesAsCounted, c.storiesAreThere, c.grantStates, c.subscriberStates, c.acksAsRecorded, c.deskStates, c.policyStates, c.listStates,
		c.blocks, c.past, c.filters, c.newer, c.secret,
	} {
		if err := step(); err != nil {
			c.problem(err)
		}
	}
}

func (c *checker) tables() error {
	if err := c.s.db.VerifyChecksum(); err != nil {
		return fmt.Errorf("%w: tables: %w", ErrDamaged, err)
	}
	return nil
}

// values checks the CRC of every version of every value.
func (c *checker) values() error {
	it := c.txn.NewIterator(badger.IteratorOptions{AllVersions: true})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if c.ctx.Err() != nil {
			return nil
		}
		item := it.Item()
		if item.IsDeletedOrExpired() {
			continue
		}
		err := item.Value(func(v []byte) error { _, err := seal.Open(item.Key(), v); return err })
		if err != nil {
			c.problem(err)
		}
	}
	return nil
}

// journal walks the whole chain, and compares each event with the state of its revision.
func (c *checker) journal() error {
	w := journal.NewWalk(c.mark)
	err := c.changeBook.open(c.txn)
	err = errors.Join(err, c.follow(w))
	c.r.Revision = max(c.r.Revision, w.At.Revision)
	c.r.Lost = w.End()
	c.r.NoEnd = w.EndUnknown
	for _, g := range c.r.Lost {
		c.problem(fmt.Errorf("%w: revisions %d to %d are gone", ErrDamaged, g.From, g.To))
	}
	return errors.Join(err, w.Contradiction)
}

func (c *checker) follow(w *journal.Walk) error {
	for e, unsound := range journal.Entries(c.txn, 1) {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if unsound != nil {
			c.changeBook.broken = true
			continue // its checksum was reported already: here it is a gap
		}
		rev, err := w.Follow(e)
		if err != nil {
			return err
		}
		for i, event := range rev.GetEvents() {
			c.r.Events++
			c.event(state.EventID(e.Revision, i), rev.GetTime(), event)
			c.grants.follow(state.EventID(e.Revision, i), rev.GetTime(), event)
			c.subscribers.Follow(state.EventID(e.Revision, i), rev.GetTime(), event)
			c.desks.Follow(state.EventID(e.Revision, i), rev.GetTime(), event)
			c.policies.Follow(state.EventID(e.Revision, i), rev.GetTime(), event)
			if err := c.acknowledged(state.EventID(e.Revision, i), rev.GetTime(), event); err != nil {
				c.problem(err)
			}
		}
		c.changes(e.Revision, rev)
	}
	return nil
}

func (c *checker) event(id policy.EventID, time int64, e *storev1.Event) {
	c.story(id, e.GetStoryHash())
	var err error
	switch ch := e.GetChange().(type) {
	case *storev1.Event_OptOut:
		recorded := cmp.Or(state.RefID(ch.OptOut.GetRespelled().GetRecorded()), id)
		err = c.recordOf(id, ch.OptOut.GetNumber(), func(r *storev1.Record) bool { return state.RecordID(r) == recorded }, true)
	case *storev1.Event_ConsentRecorded:
		err = c.recordOf(id, ch.ConsentRecorded.GetNumber(), func(r *storev1.Record) bool { return state.RecordID(r) == id }, true)
	case *storev1.Event_ConsentWithdrawn:
		err = c.consentWithdrawn(id, time, ch.ConsentWithdrawn)
	case *storev1.Event_ConsentUsed:
		err = c.recordOf(id, ch.ConsentUsed.GetNumber(), func(*storev1.Record) bool { return false }, false)
	case *storev1.Event_OptOutWithdrawn:
		err = c.recordOf(id, ch.OptOutWithdrawn.GetNumber(), func(r *storev1.Record) bool {
			return policy.RecordKind(r.GetKind()) == policy.RecordOptOut && r.GetScope() == ch.OptOutWithdrawn.GetScope() && r.GetRevision() < id.Revision
		}, false)
	}
	if err != nil {
		c.problem(err)
	}
}

// recordOf checks that, right after an event, the state holds (or does not hold) a record of its number. What later
// events of the same revision did is seen too: an opt-out that they withdrew is excused.
func (c *checker) recordOf(id policy.EventID, number uint64, match func(*storev1.Record) bool, want bool) error {
	txn := c.s.db.NewTransactionAt(id.Revision, false)
	defer txn.Discard()
	var set storev1.RecordSet
	if _, err := state.Get(txn, keys.Records(number), &set); err != nil {
		return err
	}
	_, err := txn.Get(keys.History(number, id))
	if err != nil && !slices.ContainsFunc(set.GetRecords(), func(r *storev1.Record) bool { return r.GetRow() && state.RecordID(r) == id }) {
		return fmt.Errorf("%w: revision %d event %d is missing in its number's history", ErrDamaged, id.Revision, id.Index)
	}
	for _, r := range set.GetRecords() {
		if match(r) {
			if want {
				return nil
			}
			return fmt.Errorf("%w: revision %d event %d is not in the state", ErrDamaged, id.Revision, id.Index)
		}
	}
	if want && !c.endedInRevision(txn, id, number) && !holdsLater(&set, id) {
		return fmt.Errorf("%w: revision %d event %d is not in the state", ErrDamaged, id.Revision, id.Index)
	}
	return nil
}

// holdsLater reports whether a row of the same revision came after an event.
func holdsLater(set *storev1.RecordSet, id policy.EventID) bool {
	return slices.ContainsFunc(set.GetRecords(), func(r *storev1.Record) bool {
		return r.GetRow() && r.GetRevision() == id.Revision && r.GetIndex() > id.Index
	})
}

// endedInRevision reports whether a later event of the same revision, with a key of history, is about the same number.
func (c *checker) endedInRevision(txn *badger.Txn, id policy.EventID, number uint64) bool {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: keys.History(number, id)[:17]})
	defer it.Close()
	it.Seek(keys.History(number, policy.EventID{Revision: id.Revision, Index: id.Index + 1}))
	return it.Valid()
}

func (c *checker) listStates() error {
	lists, err := readLists(c.txn)
	c.lists, c.r.Lists = lists, len(lists)
	return err
}

func (c *checker) blocks() error {
	for _, l := range c.lists {
		if err := c.s.verifyList(c.ctx, c.txn, l); err != nil {
			c.problem(fmt.Errorf("list %s: %w", l.Name, err))
		}
	}
	return nil
}

// past reads the blocks that no list shows any more, for as-of reads and reverts.
func (c *checker) past() error {
	for _, l := range c.lists {
		if err := c.pastOf(l); err != nil {
			return fmt.Errorf("older content of list %s: %w", l.Name, err)
		}
	}
	return nil
}

func (c *checker) pastOf(l *List) error {
	loads, err := c.switchedLoads(l)
	if err != nil {
		return err
	}
	it := c.txn.NewIterator(badger.IteratorOptions{Prefix: keys.BlockPrefix(l.ID), AllVersions: true})
	defer it.Close()
	buf := make([]byte, 0, block.MaxPacked)
	var shown []byte // the last key whose version that the list shows was met
	for it.Rewind(); it.Valid() && c.ctx.Err() == nil; it.Next() {
		item := it.Item()
		if !loads[item.Version()] || item.Version() > l.ContentRevision {
			continue
		}
		if !bytes.Equal(shown, item.Key()) {
			shown = item.KeyCopy(shown) // verified with its list
			continue
		}
		if _, err := c.s.packedOf(l, item, buf); err != nil {
			if fault.AsSystem(err) != nil {
				return err
			}
			c.r.Past = append(c.r.Past, fmt.Sprintf("list %s, loaded at revision %d: %v", l.Name, item.Version(), err))
			delete(loads, item.Version()) // report it once
		}
	}
	return c.ctx.Err()
}

// switchedLoads are the revisions that prepared the loads that a list switched to.
func (c *checker) switchedLoads(l *List) (map[uint64]bool, error) {
	loads := map[uint64]bool{}
	it := c.txn.NewIterator(badger.IteratorOptions{Prefix: keys.AppendListID([]byte{keys.KindImport}, l.ID)})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		var e storev1.ImportEntry
		key := it.Item().Key()
		if err := it.Item().Value(func(v []byte) error { return state.Decode(key, v, &e) }); err != nil {
			return nil, err
		}
		loads[keys.Prepared(key)] = ImportState(e.GetState()) == ImportSwitched
	}
	return loads, nil
}

// newer looks for what is newer than the journal.
func (c *checker) newer() error {
	if len(c.r.Lost) > 0 {
		return nil // where the journal ends is not known
	}
	txn := c.s.db.NewTransactionAt(c.r.Revision, false)
	defer txn.Discard()
	n, err := c.s.findNewer(txn, c.mark.Journal, c.r.Revision)
	err = errors.Join(err, n.unnamedStories())
	for _, found := range n.found {
		c.r.problem(found)
	}
	return err
}

// secret reads the secret. One that is lost makes no check wrong: the next start makes another.
func (c *checker) secret() error {
	_, err := secret.Read(c.s.dir)
	missing := errors.Is(err, fs.ErrNotExist)
	if !missing && !errors.Is(err, ErrDamaged) {
		return err
	}
	if !missing || c.r.Revision > 0 {
		c.r.Secret = err
	}
	return nil
}

// filters checks that no saved filter says no to what the store holds.
func (c *checker) filters() error {
	v := &View{s: c.s, journal: c.mark.Journal, revision: c.r.Revision}
	if f, err := c.s.loadRecordsFilter(v); err == nil {
		it := c.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keys.KindRecords}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if !f.Test(keys.Number(it.Item().Key())) {
				return fmt.Errorf("%w: the records' filter denies a number", ErrDamaged)
			}
		}
	}
	for _, l := range c.lists {
		f, err := c.s.loadListFilter(v, l)
		if err != nil {
			continue // it will be built again at open
		}
		for b, err := range c.s.listBlocks(l, l.ContentRevision) {
			if err != nil {
				return err
			}
			for n := range b.bits.Numbers(b.number) {
				if !f.Test(n) {
					return fmt.Errorf("%w: the filter of list %s denies a number", ErrDamaged, l.Name)
				}
			}
		}
	}
	return nil
}
