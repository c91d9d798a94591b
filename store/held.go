package store

import (
	"cmp"
	"runtime/debug"
	"slices"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// findHeld finds the rows that say what their number holds already, in force. It need not find all of them, and none of
// those that repeat a row before them: the committer judges the rest. A row that it finds is a duplicate as of the view,
// whatever comes after.
func (v *View) findHeld(b *batch) {
	if v.records == nil {
		return
	}
	var perhaps []int
	for i := range b.rows {
		if b.outcomes[i].isOpen() && v.records.TestKey(filter.KeyOf(uint64(b.rows[i].Number))) {
			perhaps = append(perhaps, i)
		}
	}
	// In the order of the keys what was read for one is near what the next needs.
	slices.SortFunc(perhaps, func(i, j int) int { return cmp.Compare(b.rows[i].Number, b.rows[j].Number) })
	v.findHeldOf(b, perhaps)
}

// findHeldOf leaves a row that it cannot read to the committer, which tells of damage.
func (v *View) findHeldOf(b *batch, perhaps []int) {
	var err error
	defer readEnded(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	now, ahead := v.Clock()
	a := newApplier(txn, v.revision, now.UnixNano(), int64(ahead))
	for _, i := range perhaps {
		set, err := a.records(uint64(b.rows[i].Number))
		if err != nil {
			return
		}
		if held := heldBy(set.RecordSet, b.rows[i].message()); held != nil {
			b.outcomes[i] = Outcome{ID: recordID(held), Duplicate: true}
		}
	}
}

func recordID(r *storev1.Record) policy.EventID {
	return policy.EventID{Revision: r.GetRevision(), Index: r.GetIndex()}
}
