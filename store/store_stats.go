package store

import (
	"sync"
	"time"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/clock"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// Stats is the store in numbers.
type Stats struct {
	Revision      uint64
	JournalID     string
	Tag           []byte    // of the position
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
	PolicyVersion string // in force; empty: none was set
}

// ClockJumped reports that the clock is too far ahead for writes, or that it was when the last event was written.
func (st Stats) ClockJumped() bool { return st.Ahead > clock.MaxJump }

// Stats looks at the disk too: call it for people and scrapes, not for checks.
func (s *Store) Stats() Stats {
	v := s.View()
	st := Stats{
		Revision: v.revision, JournalID: v.JournalID(), Tag: v.Tag(), Time: v.time,
		RecordsFilter: filterStats(v.records),
		Lists:         v.lists,
		MinFree:       s.opt.MinFree,
		CacheBytes:    s.blocks.bytes(),
		State:         s.State(),
		Ahead:         s.aheadBy(),
		OpenedIn:      s.openedIn,
		PolicyVersion: v.PolicyVersion(),
	}
	if t, err := s.totals(); err == nil {
		st.Numbers, st.Records = t.GetNumbers(), t.GetRecords()
	}
	st.DiskBytes, st.FreeBytes = s.disk.use(s.dir)
	return st
}

// diskAge is how old the answer about the disk may be: it takes a walk through the directory.
const diskAge = time.Second

// diskStats keeps what was found out about the disk.
type diskStats struct {
	mu   sync.Mutex
	at   time.Time // zero: never
	used uint64
	free int64
}

// use is what the directory takes and what is free, as of a second ago or later.
func (d *diskStats) use(dir string) (used uint64, free int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.IsZero() || time.Since(d.at) >= diskAge {
		if bytes, _, err := disk.Use(dir); err == nil {
			d.used = uint64(bytes)
		}
		d.free, _ = disk.FreeBytes(dir)
		d.at = time.Now()
	}
	return d.used, d.free
}

func (s *Store) totals() (*storev1.Totals, error) {
	txn := s.db.NewTransactionAt(s.View().revision, false)
	defer txn.Discard()
	t := new(storev1.Totals)
	_, err := state.Get(txn, keys.Totals(), t)
	return t, err
}
