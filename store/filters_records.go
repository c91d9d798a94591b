package store

import (
	"cmp"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/filter"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/filters"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
)

// loadRecordsFilter reads the saved filter and adds what the journal holds since.
func (s *Store) loadRecordsFilter(v *View) (*filter.Set, error) {
	f, h, err := s.filterDir().Read(filters.Records)
	if err != nil {
		return nil, err
	}
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	if h.Set != filters.Records || h.Revision > v.revision || !s.chainIs(txn, v.journal, h.Revision, h.Chain, h.JournalID) {
		return nil, errNotThatFilter
	}
	s.saved.Store(h.Revision)
	batch := make([]uint64, 0, filterBatch+maxGroupEvents)
	for e, err := range journal.Entries(txn, h.Revision+1) {
		if err != nil {
			return nil, err
		}
		rev, err := e.Decode()
		if err != nil {
			return nil, err
		}
		for _, event := range rev.GetEvents() {
			if n := recordedNumber(event); n != 0 {
				batch = append(batch, n)
			}
		}
		if len(batch) >= filterBatch {
			f.AddAll(batch)
			batch = batch[:0]
		}
	}
	f.AddAll(batch)
	return f, nil
}

// recordedNumber is the number that an event gives a record; 0: none.
func recordedNumber(e *storev1.Event) uint64 {
	return cmp.Or(e.GetOptOut().GetNumber(), e.GetConsentRecorded().GetNumber())
}

// aboutNumber is the number that an event is about; 0: none.
func aboutNumber(e *storev1.Event) uint64 {
	return cmp.Or(recordedNumber(e), e.GetOptOutWithdrawn().GetNumber(), e.GetConsentWithdrawn().GetNumber(), e.GetConsentUsed().GetNumber())
}

func (s *Store) keepRecordsFilter() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	due := time.Now().Add(filterSaveEvery)
	for {
		select {
		case <-s.closing:
			return
		case now := <-tick.C:
			if s.View().records.NeedsRebuild() {
				s.warnIf("build the records' filter", s.rebuildRecordsFilter())
			}
			if now.After(due) || s.View().revision-s.saved.Load() > filterSaveAfter {
				s.saveRecordsFilter()
				due = now.Add(filterSaveEvery)
			}
		}
	}
}

// saveRecordsFilter saves the filter under a revision taken before its bits: it holds at least what that one says.
func (s *Store) saveRecordsFilter() {
	v := s.View()
	if v.records == nil || v.revision == s.saved.Load() {
		return
	}
	if err := s.writeFilter(filters.Records, v.records, v.position(), v.journal); err != nil {
		s.warnIf("save the records' filter", err)
		return
	}
	s.saved.Store(v.revision)
}

// rebuildRecordsFilter builds a filter of the right size beside the one in use: new numbers go into both from a moment
// between two groups on, and the scan reads a revision taken after that.
func (s *Store) rebuildRecordsFilter() error {
	var held uint64 // more than the totals say: numbers that have no record any more stay in the filter
	if err := s.eachRecorded(s.View(), func(numbers []uint64) { held += uint64(len(numbers)) }); err != nil {
		return err
	}
	target := filter.New(max(minRecordsCapacity, 2*held), s.opt.FilterFPR)
	var at *View
	if !s.between(func() { s.adding = append(s.adding, target); at = s.View() }) {
		return ErrClosed
	}
	if err := s.eachRecorded(at, target.AddAll); err != nil {
		s.between(func() { s.adding = slices.DeleteFunc(s.adding, func(f *filter.Set) bool { return f == target }) })
		return err
	}
	s.between(func() {
		v := *s.View()
		v.records = target
		s.adding = []*filter.Set{target}
		s.publish(&v)
	})
	s.saveRecordsFilter()
	return nil
}

// eachRecorded calls f with every number that has had a record, in batches.
func (s *Store) eachRecorded(v *View, f func(numbers []uint64)) (err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keys.KindRecords}})
	defer it.Close()
	batch := make([]uint64, 0, filterBatch)
	for it.Rewind(); it.Valid(); it.Next() {
		batch = append(batch, keys.Number(it.Item().Key()))
		if len(batch) < cap(batch) {
			continue
		}
		f(batch)
		batch = batch[:0]
		if s.isClosing() {
			return ErrClosed
		}
	}
	f(batch)
	return s.watch.intact()
}
