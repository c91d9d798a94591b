package store

import (
	"cmp"
	"runtime/debug"
	"slices"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/state"
)

// findHeld finds the rows that say what their number holds already, in force. It need not find all of them, and finds none
// that repeats a row before it in the batch: the committer judges the rest. A row that it finds is a duplicate as of the
// view, whatever comes after.
func (v *View) findHeld(b *batch) {
	if v.records == nil || b.isOfConsents() {
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
	held := make([]policy.EventID, len(perhaps)) // zero: not found
	if v.readHeld(b.rows, perhaps, held) != nil || v.complete() != nil {
		return // the committer meets it too, and reports it
	}
	for k, i := range perhaps {
		if held[k] != (policy.EventID{}) {
			b.outcomes[i] = Outcome{ID: held[k], Duplicate: true}
		}
	}
}

// readHeld reads, for each row at one of the places, what its number holds of it.
func (v *View) readHeld(rows []RecordRow, places []int, held []policy.EventID) (err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	now, ahead := v.Clock()
	f := state.HeldFinder{Now: now.UnixNano() - int64(ahead)}
	for k, i := range places {
		setOptOut(&f, &rows[i].OptOut)
		if held[k], err = f.Read(txn); err != nil {
			return err
		}
	}
	return nil
}

func setOptOut(f *state.HeldFinder, o *OptOut) {
	f.OptOut.Number, f.OptOut.Scope, f.OptOut.Channel = uint64(o.Number), string(o.Scope), uint32(o.Channel)
	f.OptOut.ReceivedAt, f.OptOut.ExpiresAt = state.Nano(o.ReceivedAt), state.Nano(o.ExpiresAt)
}
