package store

import (
	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// countedSince is the first revision whose changes are counted; 0: none is. Those before it are of an earlier version.
func countedSince(txn *badger.Txn) (uint64, error) {
	var c storev1.FeedCount
	_, err := state.Get(txn, keys.CountedSince(), &c)
	return c.GetRevision(), err
}

// listMoved reports whether a revision gave a list another scope.
func (s *Store) listMoved(id policy.EventID, revision uint64) (bool, error) {
	before, had, err := s.listStateAt(id, revision-1)
	if err != nil || !had {
		return false, err
	}
	now, has, err := s.listStateAt(id, revision)
	return has && now.GetSettings().GetScope() != before.GetSettings().GetScope(), err
}

// listStateAt is the state of a list at a revision, and whether it was there.
func (s *Store) listStateAt(id policy.EventID, revision uint64) (*storev1.ListState, bool, error) {
	txn := s.db.NewTransactionAt(revision, false)
	defer txn.Discard()
	l := new(storev1.ListState)
	found, err := state.Get(txn, keys.List(id), l)
	return l, found, err
}
