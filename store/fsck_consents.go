package store

import (
	"fmt"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// consentWithdrawn checks that, right after a withdrawal, no consent is left that it ended, and that the state knows of it: else a
// file could bring one back. A withdrawal of what was recorded by mistake keeps nothing off.
func (c *checker) consentWithdrawn(id policy.EventID, time int64, w *storev1.ConsentWithdrawn) error {
	err := c.recordOf(id, w.GetNumber(), func(r *storev1.Record) bool {
		return r.GetConsent() != nil && r.GetScope() == w.GetScope() && r.GetRevision() < id.Revision &&
			(w.GetKind() == 0 || w.GetKind() == r.GetConsent().GetKind())
	}, false)
	if err != nil || w.GetReason() == state.ReasonMistake {
		return err
	}
	txn := c.s.db.NewTransactionAt(id.Revision, false)
	defer txn.Discard()
	var set storev1.RecordSet
	if _, err := state.Get(txn, keys.Records(w.GetNumber()), &set); err != nil {
		return err
	}
	if !state.IsEnded(&set, w.GetScope(), w.GetKind(), time) {
		return fmt.Errorf("%w: revision %d event %d is not in the state", ErrDamaged, id.Revision, id.Index)
	}
	return nil
}
