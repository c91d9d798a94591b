package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// openJournal verifies the journal against the mark and makes the first view. Damage gives a view that only blocks.
func (s *Store) openJournal() error {
	m, seq, err := readMark(s.dir)
	missing := errors.Is(err, errNoMark)
	if err != nil && !missing {
		return err
	}
	if missing && s.isNew() {
		m, missing = newMark(), false
	}
	if s.mark, err = openMark(s.dir, seq); err != nil {
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
	if err := s.stories.sweep(v.revision); err != nil {
		return err
	}
	s.tail.checkpoint = m.checkpoint
	s.view.Store(v)
	return s.writeMark(s.tip(), m.checkpoint)
}

// isNew reports whether nothing of a store lies in the directory: not a database that is gone, with what was beside it.
func (s *Store) isNew() bool {
	for _, dir := range []string{filtersDir, blocksDir} {
		if saved, err := os.ReadDir(filepath.Join(s.dir, dir)); err != nil || len(saved) > 0 {
			return false
		}
	}
	return s.db.MaxVersion() == 0 && (s.stories.db == nil || s.stories.db.MaxVersion() == 0)
}

func newMark() mark {
	var m mark
	rand.Read(m.journal[:])
	m.tip.chain = chainStart(m.journal)
	m.checkpoint = m.tip
	return m
}

// openDamaged makes a view in which what is found counts and what is not found is unknown.
func (s *Store) openDamaged(m mark, why error) error {
	s.noteDamage(why)
	v := &View{
		s: s, journal: m.journal, id: m.journal.String(),
		revision: max(m.tip.revision, s.db.MaxVersion()),
		chain:    m.tip.chain,
		next:     make(chan struct{}),
	}
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	v.lists, _ = readLists(txn) // none when one cannot be read: all that is not found is unknown
	s.view.Store(v)
	return nil
}

// verifiedView is the view of the newest revision, when journal, lists and loads are as the mark says.
func (s *Store) verifiedView(m mark) (*View, error) {
	txn := s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	tip, last, err := verifyJournal(txn, m)
	if err != nil {
		return nil, err
	}
	at := s.db.NewTransactionAt(tip.revision, false)
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
	return &View{
		s: s, journal: m.journal, id: m.journal.String(), revision: tip.revision, chain: tip.chain, time: last,
		lists: lists, next: make(chan struct{}),
	}, nil
}

// verifyJournal walks from the checkpoint to the end: no revision missing, each chained to the one before, the marked
// one as marked, and none after the last that may be.
func verifyJournal(txn *badger.Txn, m mark) (tip position, last time.Time, err error) {
	at := m.checkpoint
	if at.revision > 0 {
		if last, err = verifyCheckpoint(txn, at); err != nil {
			return tip, last, err
		}
	}
	if at.revision == m.tip.revision && at.chain != m.tip.chain {
		return tip, last, fmt.Errorf("%w: revision %d is not the one that was marked", ErrDamaged, at.revision)
	}
	err = eachEntry(txn, at.revision+1, func(e entry) error {
		if e.revision != at.revision+1 || e.prev != at.chain {
			return fmt.Errorf("%w: the journal breaks off after revision %d", ErrDamaged, at.revision)
		}
		at = position{e.revision, e.hash()}
		if e.revision == m.tip.revision && at.chain != m.tip.chain {
			return fmt.Errorf("%w: revision %d is not the one that was marked", ErrDamaged, e.revision)
		}
		rev, err := e.decode()
		last = nanoTime(rev.GetTime())
		return err
	})
	if err != nil {
		return tip, last, err
	}
	if at.revision < m.tip.revision {
		return tip, last, fmt.Errorf("%w: revisions %d to %d were acknowledged and are gone", ErrDamaged, at.revision+1, m.tip.revision)
	}
	if at.revision > m.last() {
		return tip, last, fmt.Errorf("%w: the mark is older than the journal", ErrDamaged)
	}
	return at, last, nil
}

func verifyCheckpoint(txn *badger.Txn, at position) (time.Time, error) {
	e, err := readEntry(txn, at.revision)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: checkpoint: %w", ErrDamaged, err)
	}
	if e.hash() != at.chain {
		return time.Time{}, fmt.Errorf("%w: revision %d is not the one that was marked", ErrDamaged, at.revision)
	}
	rev, err := e.decode()
	return nanoTime(rev.GetTime()), err
}

// verifyCommits checks that every block commit of each load that the list's content is made of is there, and the files
// that its blocks lie in: of the load that made it visible, of the one that this was compared with, and so on.
func (s *Store) verifyCommits(txn *badger.Txn, l *List) error {
	return eachLoad(txn, l, func(id loadID, e *storev1.ImportEntry) error {
		shown := id.prepared == l.Visible
		if shown && (e.GetCommits() != l.state.GetCommits() || e.GetCrc() != l.state.GetCrc()) {
			return fmt.Errorf("%w: list %s: its load is not the one that was switched to", ErrDamaged, l.Name)
		}
		if err := s.verifyLoad(txn, id, e); err != nil {
			return fmt.Errorf("list %s, loaded at revision %d: %w", l.Name, id.prepared, err)
		}
		return nil
	})
}

// eachLoad calls f for each load that the list's content is made of, the newest first.
func eachLoad(txn *badger.Txn, l *List, f func(loadID, *storev1.ImportEntry) error) error {
	for at := l.Visible; at != 0; {
		var e storev1.ImportEntry
		found, err := getMessage(txn, importKey(l.ID, at), &e)
		if err != nil {
			return err
		}
		if !found || e.GetBase() >= at {
			return fmt.Errorf("%w: the import of a load of list %s is missing", ErrDamaged, l.Name)
		}
		if err := f(loadID{l.ID, at}, &e); err != nil {
			return err
		}
		at = e.GetBase()
	}
	return nil
}

// verifyLoad checks that every block commit of a load is there, and the file of its blocks as long as the last one says.
func (s *Store) verifyLoad(txn *badger.Txn, id loadID, e *storev1.ImportEntry) error {
	total, fileBytes := uint32(0), uint64(0)
	for n := range e.GetCommits() {
		c, err := readCommit(txn, id.list, id.prepared, n)
		if err != nil {
			return err
		}
		total, fileBytes = chainCRC(total, c.GetCrc()), c.GetFileBytes()
	}
	if total != e.GetCrc() {
		return fmt.Errorf("%w: its parts are not those that were written", ErrDamaged)
	}
	return s.checkBlockFile(id, fileBytes)
}

func readCommit(txn *badger.Txn, list policy.EventID, prepared uint64, n uint32) (*storev1.BlockCommit, error) {
	c := new(storev1.BlockCommit)
	found, err := getMessage(txn, commitKey(list, prepared, n), c)
	if err == nil && !found {
		err = fmt.Errorf("%w: a part of a load is missing", ErrDamaged)
	}
	return c, err
}

// chainCRC adds the CRC of one more block commit to a load's total.
func chainCRC(total, crc uint32) uint32 {
	b := [4]byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)}
	return crc32.Update(total, castagnoli, b[:])
}
