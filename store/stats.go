package store

import (
	"time"

	"github.com/dncd/dncd/internal/phone"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// Stats is the store in numbers.
type Stats struct {
	Revision      uint64
	JournalID     string
	Time          time.Time // of the last event
	Numbers       uint64    // with at least one record
	Records       uint64
	RecordsFilter FilterStats
	Lists         []*List
	DiskBytes     uint64
	FreeBytes     int64 // less the holes in the store's own files
	MinFree       int64
	CacheBytes    uint64
	State         State
	Ahead         time.Duration // how far the time that counts may be ahead of the true one
	OpenedIn      time.Duration
}

// ClockJumped reports that the clock is too far ahead for writes, or that it was when the last event was written.
func (st Stats) ClockJumped() bool { return st.Ahead > maxClockJump }

// Stats looks at the disk too: ask it for people and scrapes, not for checks.
func (s *Store) Stats() Stats {
	v := s.View()
	st := Stats{
		Revision: v.revision, JournalID: v.JournalID(), Time: v.time,
		RecordsFilter: filterStats(v.records),
		Lists:         v.lists,
		MinFree:       s.opt.MinFree,
		CacheBytes:    s.blocks.bytes(),
		State:         s.State(),
		Ahead:         s.aheadBy(),
		OpenedIn:      s.openedIn,
	}
	if t, err := s.totals(); err == nil {
		st.Numbers, st.Records = t.GetNumbers(), t.GetRecords()
	}
	if used, _, err := diskUse(s.dir); err == nil {
		st.DiskBytes = uint64(used)
	}
	st.FreeBytes, _ = freeBytes(s.dir)
	return st
}

func (s *Store) totals() (*storev1.Totals, error) {
	txn := s.db.NewTransactionAt(s.View().revision, false)
	defer txn.Discard()
	t := new(storev1.Totals)
	_, err := getMessage(txn, totalsKey(), t)
	return t, err
}

// holdsPrefix reports whether a loaded list holds a number that begins with p.
func (s *Store) holdsPrefix(l *List, p phone.Prefix) (bool, error) {
	txn := s.db.NewTransactionAt(l.Visible, false)
	defer txn.Discard()
	c := s.newBlockCursor(txn, l)
	defer c.close()
	low, high := uint64(p), uint64(p)
	for digits := p.Digits(); digits <= 15; digits++ {
		found, err := c.holds(l, low, high)
		if err != nil || found {
			return found, err
		}
		low, high = low*10, high*10+9
	}
	return false, nil
}

// holds reports whether a number from low to high lies in the blocks.
func (c *blockCursor) holds(l *List, low, high uint64) (bool, error) {
	for c.it.Seek(blockKey(l.ID, low>>blockBits)); ; c.advance() {
		b, ok := c.next()
		if !ok || b.block > high>>blockBits {
			return false, nil
		}
		p, err := c.packed()
		if err != nil {
			return false, err
		}
		var bits bitmap
		p.unpack(&bits)
		for n := range bits.numbers(b.block) {
			if low <= n && n <= high {
				return true, nil
			}
		}
	}
}
