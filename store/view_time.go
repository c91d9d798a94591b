package store

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sort"
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
	var failed error
	n := sort.Search(int(v.revision), func(i int) bool {
		rev, err := s.revisionTime(txn, uint64(i)+1)
		if err != nil {
			failed = err
		}
		return err != nil || rev.After(t)
	})
	at, _, err := journal.Last(txn, uint64(n)) // an accepted loss, and a copy that was put back, leave gaps
	if err := errors.Join(failed, err); err != nil {
		return 0, fmt.Errorf("find revision by time: %w", err)
	}
	return at.Revision, nil
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
