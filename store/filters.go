package store

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
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

func (s *Store) writeFilter(name string, f *filter.Set, at journal.Position, of JournalID) error {
	if err := s.checkSpace(int64(f.Bytes())); err != nil {
		return err
	}
	h := filter.Header{Set: name, JournalID: of, Revision: at.Revision, Chain: at.Chain}
	return disk.WriteFile(filepath.Join(s.dir, filtersDir, name), func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<20)
		return errors.Join(f.Encode(b, h), b.Flush())
	})
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
