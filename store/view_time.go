package store

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
)

// RevisionAt is the newest revision whose time is not after t; 0 when there is none.
func (s *Store) RevisionAt(t time.Time) (uint64, error) {
	v := s.View()
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	n, err := s.notAfter(txn, t, 0, v.revision)
	if err != nil {
		return 0, err
	}
	at, _, err := journal.Last(txn, n) // an accepted loss, and a copy that was put back, leave gaps
	if err != nil {
		return 0, fmt.Errorf("find revision by time: %w", err)
	}
	return at.Revision, nil
}

// notAfter is the largest number from first to last up to which no revision is after t. First is such a number; where it is not
// 0, the search is quick for a number that is near it.
func (s *Store) notAfter(txn *badger.Txn, t time.Time, first, last uint64) (uint64, error) {
	for step := uint64(1); first > 0 && first+step <= last; step *= 2 {
		at, err := s.revisionTime(txn, first+step)
		if err != nil {
			return 0, fmt.Errorf("find revision by time: %w", err)
		}
		if at.After(t) {
			last = first + step - 1
			break
		}
		first += step
	}
	for first < last {
		middle := last - (last-first)/2
		at, err := s.revisionTime(txn, middle)
		if err != nil {
			return 0, fmt.Errorf("find revision by time: %w", err)
		}
		if at.After(t) {
			last = middle - 1
		} else {
			first = middle
		}
	}
	return first, nil
}

// revisionTime is the time of the newest revision at or before revision.
func (s *Store) revisionTime(txn *badger.Txn, revision uint64) (time.Time, error) {
	e, found, err := journal.Last(txn, revision)
	if err != nil || !found {
		return time.Time{}, err
	}
	rev, err := e.Decode()
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, rev.GetTime()).UTC(), nil
}

// TimeAt is the time of the newest revision at or before revision, which the view holds. Errors: ErrDamaged.
func (v *View) TimeAt(revision uint64) (at time.Time, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	if revision == v.revision {
		return v.time, nil
	}
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	return v.s.revisionTime(txn, revision)
}
