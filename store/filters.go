package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
)

const (
	recordsSet         = "records"
	minRecordsCapacity = 1 << 16
	filterSaveEvery    = time.Minute
	filterSaveAfter    = 100_000 // revisions: what opening replays after a crash
	filterBatch        = 8192
)

// openFilters loads the filters that lie on disk and belong to what the store holds. Those that do not are built again
// in the background; until then checks read the store.
func (s *Store) openFilters() {
	v := s.view.Load()
	keep := []string{recordsSet}
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
		if l.Visible == 0 {
			continue
		}
		keep = append(keep, listFilterName(l))
		f, err := s.loadListFilter(v, l)
		if err != nil {
			s.log.Info("a list's filter will be built again", "list", l.Name, "why", err)
			continue
		}
		l.filter = f
	}
	s.sweepFilters(keep)
}

func (s *Store) sweepFilters(keep []string) {
	files, err := os.ReadDir(filepath.Join(s.dir, filtersDir))
	if err != nil {
		s.log.Warn("old filters stay", "err", err)
		return
	}
	for _, f := range files {
		if !slices.Contains(keep, f.Name()) {
			os.Remove(filepath.Join(s.dir, filtersDir, f.Name()))
		}
	}
}

var errNotThatFilter = errors.New("it belongs to another state of the store")

// loadRecordsFilter reads the saved filter and adds what the journal holds since.
func (s *Store) loadRecordsFilter(v *View) (*filter.Set, error) {
	f, h, err := s.readFilter(recordsSet)
	if err != nil {
		return nil, err
	}
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	if h.Set != recordsSet || h.Revision > v.revision || !s.chainIs(txn, v.journal, h.Revision, h.Chain, h.JournalID) {
		return nil, errNotThatFilter
	}
	s.saved.Store(h.Revision)
	batch := make([]uint64, 0, filterBatch+maxGroupEvents)
	err = eachEntry(txn, h.Revision+1, func(e entry) error {
		rev, err := e.decode()
		if err != nil {
			return err
		}
		for _, event := range rev.GetEvents() {
			if o := event.GetOptOut(); o != nil {
				batch = append(batch, o.GetNumber())
			}
		}
		if len(batch) >= filterBatch {
			f.AddAll(batch)
			batch = batch[:0]
		}
		return nil
	})
	f.AddAll(batch)
	return f, err
}

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

// chainIs reports whether the journal has that chain hash at that revision.
func (s *Store) chainIs(txn *badger.Txn, journal JournalID, revision uint64, chain chainHash, id [16]byte) bool {
	if JournalID(id) != journal {
		return false
	}
	if revision == 0 {
		return chain == chainStart(journal)
	}
	e, err := readEntry(txn, revision)
	return err == nil && e.hash() == chain
}

func (s *Store) readFilter(name string) (*filter.Set, filter.Header, error) {
	f, err := os.Open(filepath.Join(s.dir, filtersDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, filter.Header{}, errors.New("none is saved")
	}
	if err != nil {
		return nil, filter.Header{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, filter.Header{}, err
	}
	return filter.Decode(f, info.Size())
}

func (s *Store) writeFilter(name string, f *filter.Set, at position, journal JournalID) error {
	if err := s.checkSpace(int64(f.Bytes())); err != nil {
		return err
	}
	h := filter.Header{Set: name, JournalID: journal, Revision: at.revision, Chain: at.chain}
	return writeFile(filepath.Join(s.dir, filtersDir, name), func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<20)
		return errors.Join(f.Encode(b, h), b.Flush())
	})
}

const listFilterForm = "list-%d-%d-%d" // list id, prepared

func listFilterName(l *List) string {
	return fmt.Sprintf(listFilterForm, l.ID.Revision, l.ID.Index, l.Visible)
}

// startFilters builds the filters that are missing, then keeps the records' filter saved and large enough.
func (s *Store) startFilters() {
	s.run(func() {
		v := s.View()
		if v.records == nil {
			s.warnIf("build the records' filter", s.rebuildRecordsFilter())
		}
		for _, l := range v.lists {
			if l.Visible != 0 && l.filter == nil {
				s.warnIf("build a list's filter", s.rebuildListFilter(l))
			}
		}
		s.tendRecordsFilter()
	})
}

func (s *Store) warnIf(what string, err error) {
	if err != nil && !errors.Is(err, ErrClosed) {
		s.log.Warn("could not "+what, "err", err)
	}
}

func (s *Store) tendRecordsFilter() {
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
	if err := s.writeFilter(recordsSet, v.records, position{v.revision, v.chain}, v.journal); err != nil {
		s.warnIf("save the records' filter", err)
		return
	}
	s.saved.Store(v.revision)
}

// rebuildRecordsFilter builds a filter of the right size beside the one in use: new numbers go into both from a moment
// between two groups on, and the scan reads a revision taken after that.
func (s *Store) rebuildRecordsFilter() error {
	var held uint64 // more than the totals tell: numbers without a record any more stay in the filter
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
	defer readEnded(debug.SetPanicOnFault(true), &err)
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyRecords}})
	defer it.Close()
	batch := make([]uint64, 0, filterBatch)
	for it.Rewind(); it.Valid(); it.Next() {
		batch = append(batch, numberOfKey(it.Item().Key()))
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

func (s *Store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// rebuildListFilter builds the filter of a load from its blocks.
func (s *Store) rebuildListFilter(l *List) error {
	b := filter.NewBuilder(l.Numbers, s.opt.FilterFPR)
	batch := make([]uint64, 0, filterBatch+blockSize)
	err := s.eachBlock(l, l.Visible, func(block uint64, bits *bitmap) error {
		if batch = bits.appendNumbers(batch, block); len(batch) >= filterBatch {
			b.Add(batch)
			batch = batch[:0]
		}
		if s.isClosing() {
			return ErrClosed
		}
		return nil
	})
	if err != nil {
		return err
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
	e, err := readEntry(txn, l.Visible)
	if err != nil {
		return err
	}
	return s.writeFilter(listFilterName(l), f, position{l.Visible, e.hash()}, s.View().journal)
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
