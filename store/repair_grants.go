package store

import (
	"math"

	"github.com/dncd/dncd/store/internal/state"
)

// checkGrants names the grants that a lost revision may have revoked. What a lost revision granted is gone: it is not known
// whether it was revoked since.
func (r *repairer) checkGrants() error {
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	for g, err := range state.Grants(txn) {
		if err != nil {
			return err
		}
		if r.report.NoEnd || r.lostAfter(g.GetRevision()) {
			r.report.DoubtfulGrants = append(r.report.DoubtfulGrants, g.GetGranted().GetName())
		}
	}
	return nil
}

// checkSubscribers names the subscribers that a lost revision may have changed or removed. One that it registered is gone,
// unless a later event changed it.
func (r *repairer) checkSubscribers() error {
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	for s, err := range state.Subscribers(txn) {
		if err != nil {
			return err
		}
		if st := s.State; st.GetRemoved() == 0 && (r.report.NoEnd || r.lostAfter(st.GetUpdatedRevision())) {
			r.report.DoubtfulSubscribers = append(r.report.DoubtfulSubscribers, st.GetSettings().GetName())
		}
	}
	return nil
}
