package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/journal"
)

func (s *Store) loadListFilter(v *View, l *List) (*filter.Set, error) {
	f, h, err := s.readFilter(listFilterName(l))
	if err != nil {
		return nil, err
	}
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	if h.Set != listFilterName(l) || h.Revision != l.Visible || !s.chainIs(txn, v.journal, h.Revision, h.Chain, h.JournalID) {
		return nil, errNotThatFilter
	}
	return f, nil
}

const listFilterForm = "list-%d-%d-%d" // list id, prepared

func listFilterName(l *List) string {
	return fmt.Sprintf(listFilterForm, l.ID.Revision, l.ID.Index, l.Visible)
}

// parseListFilterName is the load whose filter has that name.
func parseListFilterName(name string) (id block.LoadID, ok bool) {
	n, _ := fmt.Sscanf(name, listFilterForm, &id.List.Revision, &id.List.Index, &id.Prepared) // n tells
	return id, n == 3
}

// rebuildListFilter builds the filter of a load from its blocks.
func (s *Store) rebuildListFilter(l *List) error {
	b := filter.NewBuilder(l.Numbers, s.opt.FilterFPR)
	batch := make([]uint64, 0, filterBatch+block.Size)
	for held, err := range s.listBlocks(l, l.Visible) {
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

// setListFilter publishes the filter of a list that still shows the load it was built for. In the committer alone.
func (s *Store) setListFilter(l *List, f *filter.Set) {
	v := *s.View()
	v.lists = slices.Clone(v.lists)
	for i, now := range v.lists {
		if now.ID == l.ID && now.Visible == l.Visible {
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
	e, err := journal.Read(txn, l.Visible)
	if err != nil {
		return err
	}
	return s.writeFilter(listFilterName(l), f, e.Position(), s.View().journal)
}

// dropListFilters removes the saved filters of a list's earlier loads.
func (s *Store) dropListFilters(id policy.EventID, keep string) {
	old, err := filepath.Glob(filepath.Join(s.dir, filtersDir, fmt.Sprintf("list-%d-%d-*", id.Revision, id.Index)))
	if err != nil {
		return
	}
	for _, path := range old {
		if filepath.Base(path) != keep {
			os.Remove(path)
		}
	}
}
