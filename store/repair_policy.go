package store

import (
	"math"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// savedPolicy is a policy that the state holds, and the journal does not.
type savedPolicy = state.Stored[*storev1.PolicyState]

// keepPolicy keeps the newest policy that a lost revision set.
func (r *repairer) keepPolicy(e *badgerdir.Saved) error {
	id := keys.ListID(e.Key)
	if r.lostPolicy != nil && compareIDs(id, r.lostPolicy.ID) <= 0 {
		return nil
	}
	st := new(storev1.PolicyState)
	if err := state.Decode(e.Key, e.Value, st); err != nil {
		return err
	}
	r.lostPolicy = &savedPolicy{ID: id, State: st}
	return nil
}

// checkPolicy sets the policy of a lost revision again: it is in force. The report says if another one may have been.
func (r *repairer) checkPolicy() error {
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	last, err := state.LastPolicy(txn)
	if err != nil {
		return err
	}
	r.report.DoubtfulPolicy = r.report.NoEnd || r.lostAfter(last.ID.Revision)
	lost := r.lostPolicy
	if lost == nil || compareIDs(lost.ID, last.ID) < 0 {
		return nil
	}
	set := lost.State.GetSet()
	r.events = append(r.events, &storev1.Event{Change: &storev1.Event_PolicySet{PolicySet: &storev1.PolicySet{
		Document: set.GetDocument(), Sha256: set.GetSha256(), Reach: set.GetReach(), Base: state.Ref(last.ID),
	}}})
	return nil
}
