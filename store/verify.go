package store

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
)

// openJournal verifies the journal against the mark and makes the first view. Damage gives a view that only blocks.
func (s *Store) openJournal() error {
	m, seq, err := journal.ReadMark(s.dir)
	missing := errors.Is(err, journal.ErrNoMark)
	if err != nil && !missing {
		return err
	}
	if missing && s.isNew() {
		m, missing = journal.NewMark(), false
	}
	if s.mark, err = journal.OpenMark(s.dir, seq); err != nil {
		return err
	}
	if missing {
		return s.openDamaged(m, fmt.Errorf("%w: the mark is missing or unreadable", ErrDamaged))
	}
	v, err := s.verifiedView(m)
	if errors.Is(err, ErrSystem) {
		return err
	}
	if err != nil {
		return s.openDamaged(m, err)
	}
	if err := s.checkNewer(v); err != nil {
		return s.openDamaged(m, fmt.Errorf("%w: %w", ErrDamaged, err))
	}
	if err := s.stories.DropAfter(v.revision); err != nil {
		return err
	}
	if err := s.countRest(v.revision); errors.Is(err, ErrDamaged) {
		return s.openDamaged(m, err)
	} else if err != nil {
		return err
	}
	s.tail.Checkpoint = m.Checkpoint
	s.view.Store(v)
	return s.writeMark(s.tip(), m.Checkpoint)
}

// isNew reports whether the directory holds nothing of a store: not what was beside a database that is gone.
func (s *Store) isNew() bool {
	for _, dir := range []string{filtersDir, blocksDir} {
		if saved, err := os.ReadDir(filepath.Join(s.dir, dir)); err != nil || len(saved) > 0 {
			return false
		}
	}
	return s.db.MaxVersion() == 0 && s.stories.IsEmpty()
}

// openDamaged makes a view in which what is found counts and what is not found is unknown.
func (s *Store) openDamaged(m journal.Mark, why error) error {
	s.noteDamage(why)
	v := &View{
		s: s, journal: m.Journal, id: m.Journal.String(),
		revision: max(m.Tip.Revision, s.db.MaxVersion()),
		chain:    m.Tip.Chain,
		next:     make(chan struct{}),
	}
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	v.lists, _ = readLists(txn) // none when one cannot be read: all that is not found is unknown
	v.access, _ = readAccess(txn)
	v.subscribers, _ = readSubscribers(txn)
	v.desks, _ = readDesks(txn)
	v.policy, _ = s.readPolicy(txn)
	if v.revision == m.Tip.Revision && m.Journal != (JournalID{}) {
		v.tag = s.tagAt(m.Tip)
	}
	s.view.Store(v)
	return nil
}

// verifiedView is the view of the newest revision, when journal, lists and loads are as the mark says.
func (s *Store) verifiedView(m journal.Mark) (*View, error) {
	txn := s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	tip, last, err := verifyJournal(txn, m)
	if err != nil {
		return nil, err
	}
	at := s.db.NewTransactionAt(tip.Revision, false)
	defer at.Discard()
	lists, err := readLists(at)
	if err != nil {
		return nil, err
	}
	for _, l := range lists {
		if err := s.verifyCommits(at, l); err != nil {
			return nil, err
		}
	}
	granted, err := readAccess(at)
	if err != nil {
		return nil, err
	}
	subscribers, err := readSubscribers(at)
	if err != nil {
		return nil, err
	}
	desks, err := readDesks(at)
	if err != nil {
		return nil, err
	}
	inForce, err := s.readPolicy(at)
	if err != nil {
		return nil, err
	}
	return &View{
		s: s, journal: m.Journal, id: m.Journal.String(), revision: tip.Revision, chain: tip.Chain, time: last,
		lists: lists, policy: inForce, access: granted, subscribers: subscribers, desks: desks, tag: s.tagAt(tip), next: make(chan struct{}),
	}, nil
}

// verifyJournal walks from the checkpoint to the end: no revision missing, each chained to the one before, the marked
// one as marked, and none after the last that may be.
func verifyJournal(txn *badger.Txn, m journal.Mark) (tip journal.Position, last time.Time, err error) {
	at := m.Checkpoint
	if at.Revision > 0 {
		if last, err = verifyCheckpoint(txn, at); err != nil {
			return tip, last, err
		}
	}
	if at.Revision == m.Tip.Revision && at.Chain != m.Tip.Chain {
		return tip, last, fmt.Errorf("%w: revision %d is not the one that was marked", ErrDamaged, at.Revision)
	}
	for e, err := range journal.Entries(txn, at.Revision+1) {
		if err != nil {
			return tip, last, err
		}
		if e.Revision != at.Revision+1 || e.Prev != at.Chain {
			return tip, last, fmt.Errorf("%w: the journal breaks off after revision %d", ErrDamaged, at.Revision)
		}
		at = e.Position()
		if e.Revision == m.Tip.Revision && at.Chain != m.Tip.Chain {
			return tip, last, fmt.Errorf("%w: revision %d is not the one that was marked", ErrDamaged, e.Revision)
		}
		rev, err := e.Decode()
		if err != nil {
			return tip, last, err
		}
		last = state.Time(rev.GetTime())
	}
	if at.Revision < m.Tip.Revision {
		return tip, last, fmt.Errorf("%w: revisions %d to %d were acknowledged and are gone", ErrDamaged, at.Revision+1, m.Tip.Revision)
	}
	if at.Revision > m.Last() {
		return tip, last, fmt.Errorf("%w: the mark is older than the journal", ErrDamaged)
	}
	return at, last, nil
}

func verifyCheckpoint(txn *badger.Txn, at journal.Position) (time.Time, error) {
	e, err := journal.Read(txn, at.Revision)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: checkpoint: %w", ErrDamaged, err)
	}
	if e.Hash() != at.Chain {
		return time.Time{}, fmt.Errorf("%w: revision %d is not the one that was marked", ErrDamaged, at.Revision)
	}
	rev, err := e.Decode()
	return state.Time(rev.GetTime()), err
}

// verifyCommits checks that every block commit of each load that the list's content is made of is there, and the files
// that its blocks are in: of the load that it shows, of the one that this was compared with, and so on.
func (s *Store) verifyCommits(txn *badger.Txn, l *List) error {
	for load, err := range contentLoads(txn, l) {
		if err != nil {
			return err
		}
		shown, e := load.id.Prepared == l.ContentRevision, load.entry
		if shown && (e.GetCommits() != l.state.GetCommits() || e.GetCrc() != l.state.GetCrc()) {
			return fmt.Errorf("%w: list %s: its load is not the one that was switched to", ErrDamaged, l.Name)
		}
		if err := s.verifyLoad(txn, load.id, e); err != nil {
			return fmt.Errorf("list %s, loaded at revision %d: %w", l.Name, load.id.Prepared, err)
		}
	}
	return nil
}

// contentLoad is a load that the content of a list is made of.
type contentLoad struct {
	id    block.LoadID
	entry *storev1.ImportEntry
}

// contentLoads yields each load that the list's content is made of, the newest first.
func contentLoads(txn *badger.Txn, l *List) iter.Seq2[contentLoad, error] {
	return func(yield func(contentLoad, error) bool) {
		for at := l.ContentRevision; at != 0; {
			e := new(storev1.ImportEntry)
			found, err := state.Get(txn, keys.Import(l.ID, at), e)
			if err == nil && (!found || e.GetBase() >= at) {
				err = fmt.Errorf("%w: the import of a load of list %s is missing", ErrDamaged, l.Name)
			}
			if !yield(contentLoad{block.LoadID{List: l.ID, Prepared: at}, e}, err) || err != nil {
				return
			}
			at = e.GetBase()
		}
	}
}

// verifyLoad checks that every block commit of a load is there, and the file of its blocks as long as the last one says.
func (s *Store) verifyLoad(txn *badger.Txn, id block.LoadID, e *storev1.ImportEntry) error {
	total, fileBytes := uint32(0), uint64(0)
	for n := range e.GetCommits() {
		c, err := readCommit(txn, id.List, id.Prepared, n)
		if err != nil {
			return err
		}
		total, fileBytes = seal.ChainCRC(total, c.GetCrc()), c.GetFileBytes()
	}
	if total != e.GetCrc() {
		return fmt.Errorf("%w: its parts are not those that were written", ErrDamaged)
	}
	return s.files.Check(id, fileBytes)
}

func readCommit(txn *badger.Txn, list policy.EventID, prepared uint64, n uint32) (*storev1.BlockCommit, error) {
	c := new(storev1.BlockCommit)
	found, err := state.Get(txn, keys.Commit(list, prepared, n), c)
	if err == nil && !found {
		err = fmt.Errorf("%w: a part of a load is missing", ErrDamaged)
	}
	return c, err
}
