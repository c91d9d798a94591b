package store

import (
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/filters"
	"github.com/dncd/dncd/store/internal/journal"
)

const (
	minRecordsCapacity = 1 << 16
	filterSaveEvery    = time.Minute
	filterSaveAfter    = 100_000 // revisions: what opening replays after a crash
	filterBatch        = 8192
)

// openFilters loads the saved filters that belong to what the store holds. Other filters are built again
// in the background; until then checks read the store.
func (s *Store) openFilters() {
	v := s.view.Load()
	keep := []string{filters.Records}
	if v.revision == 0 {
		v.records = filter.New(minRecordsCapacity, s.opt.FilterFPR)
	} else if f, err := s.loadRecordsFilter(v); err == nil {
		v.records = f
	} else {
		s.log.Info("the records' filter will be built again", "why", err)
	}
	if v.records != nil {
		s.adding = []*filter.Set{v.records}
	}
	for _, l := range v.lists {
		if l.ContentRevision == 0 {
			continue
		}
		keep = append(keep, l.filterName())
		f, err := s.loadListFilter(v, l)
		if err != nil {
			s.log.Info("a list's filter will be built again", "list", l.Name, "why", err)
			continue
		}
		l.filter = f
	}
	if err := s.filterDir().Keep(keep); err != nil {
		s.log.Warn("old filters stay", "err", err)
	}
}

var errNotThatFilter = errors.New("it belongs to another state of the store")

// chainIs reports whether the journal has that chain hash at that revision.
func (s *Store) chainIs(txn *badger.Txn, of JournalID, revision uint64, chain journal.Hash, id [16]byte) bool {
	if JournalID(id) != of {
		return false
	}
	if revision == 0 {
		return chain == journal.Start(of)
	}
	e, err := journal.Read(txn, revision)
	return err == nil && e.Hash() == chain
}

func (s *Store) writeFilter(name string, f *filter.Set, at journal.Position, of JournalID) error {
	if err := s.checkSpace(int64(f.Bytes())); err != nil {
		return err
	}
	return s.filterDir().Write(f, filter.Header{Set: name, JournalID: of, Revision: at.Revision, Chain: at.Chain})
}

func (s *Store) filterDir() filters.Dir { return filters.Dir(filepath.Join(s.dir, filtersDir)) }

// startFilters builds the filters that are missing, then keeps the records' filter saved and large enough.
func (s *Store) startFilters() {
	s.run(func() {
		v := s.View()
		if v.records == nil {
			s.warnIf("build the records' filter", s.rebuildRecordsFilter())
		}
		for _, l := range v.lists {
			if l.ContentRevision != 0 && l.filter == nil {
				s.warnIf("build a list's filter", s.rebuildListFilter(l))
			}
		}
		s.keepRecordsFilter()
	})
}

func (s *Store) loadListFilter(v *View, l *List) (*filter.Set, error) {
	f, h, err := s.filterDir().Read(l.filterName())
	if err != nil {
		return nil, err
	}
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	if h.Set != l.filterName() || h.Revision != l.ContentRevision || !s.chainIs(txn, v.journal, h.Revision, h.Chain, h.JournalID) {
		return nil, errNotThatFilter
	}
	return f, nil
}

// filterName is the name of the list's filter, as it is saved.
func (l *List) filterName() string {
	return filters.ListName(block.LoadID{List: l.ID, Prepared: l.ContentRevision})
}

// rebuildListFilter builds the filter of a load from its blocks.
func (s *Store) rebuildListFilter(l *List) error {
	b := filter.NewBuilder(l.Numbers, s.opt.FilterFPR)
	batch := make([]uint64, 0, filterBatch+block.Size)
	for held, err := range s.listBlocks(l, l.ContentRevision) {
		if err != nil {
			return err
		}
		if s.isClosing() {
			return ErrClosed
		}
		if batch = held.bits.AppendNumbers(batch, held.number); len(batch) >= filterBatch {
			b.Add(batch)
			batch = batch[:0]
		}
	}
	if err := s.watch.intact(); err != nil { // a filter that lacks a number clears it
		return err
	}
	b.Add(batch)
	f := b.Build()
	s.between(func() { s.setListFilter(l, f) })
	return s.saveListFilter(l, f)
}

// setListFilter publishes the filter of a list that still shows the load it was built for. It runs in the committer.
func (s *Store) setListFilter(l *List, f *filter.Set) {
	v := *s.View()
	v.lists = slices.Clone(v.lists)
	for i, now := range v.lists {
		if now.ID == l.ID && now.ContentRevision == l.ContentRevision {
			with := *now
			with.filter = f
			v.lists[i] = &with
		}
	}
	s.publish(&v)
}

func (s *Store) saveListFilter(l *List, f *filter.Set) error {
	txn := s.db.NewTransactionAt(s.View().revision, false)
	defer txn.Discard()
	e, err := journal.Read(txn, l.ContentRevision)
	if err != nil {
		return err
	}
	return s.writeFilter(l.filterName(), f, e.Position(), s.View().journal)
}
