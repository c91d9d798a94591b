package store

import (
	"cmp"
	"errors"
	"runtime/debug"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
)

// findHeld finds the rows that say what their number holds already, in force. It need not find all of them, and finds none
// that repeats a row before it in the batch: the committer judges the rest. A row that it finds is a duplicate as of the
// view, whatever comes after.
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
func (v *View) readHeld(rows []OptOutRow, places []int, held []policy.EventID) (err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	now, ahead := v.Clock()
	f := heldFinder{now: now.UnixNano() - int64(ahead)}
	for k, i := range places {
		f.setOptOut(&rows[i].OptOut)
		if held[k], err = f.read(txn); err != nil {
			return err
		}
	}
	return nil
}

// heldFinder finds what state.HeldBy finds among the records in force, without a message for each.
type heldFinder struct {
	now    int64 // that a record expires by
	optOut storev1.OptOut
	record storev1.Record // the last one that was read
}

func (f *heldFinder) setOptOut(o *OptOut) {
	f.optOut.Number, f.optOut.Scope, f.optOut.Channel = uint64(o.Number), string(o.Scope), uint32(o.Channel)
	f.optOut.ReceivedAt, f.optOut.ExpiresAt = state.Nano(o.ReceivedAt), state.Nano(o.ExpiresAt)
}

func (f *heldFinder) read(txn *badger.Txn) (id policy.EventID, err error) {
	key := keys.Records(f.optOut.GetNumber())
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return id, nil
	}
	if err != nil {
		return id, err
	}
	err = item.Value(func(v []byte) error {
		set, err := seal.Open(key, v)
		if err == nil {
			id, err = f.find(set)
		}
		return err
	})
	return id, err
}

// find is the id of the first record of a storev1.RecordSet that says what the opt-out would.
func (f *heldFinder) find(set []byte) (policy.EventID, error) {
	for len(set) > 0 {
		field, kind, n := protowire.ConsumeTag(set)
		if n < 0 || field != 1 || kind != protowire.BytesType {
			return policy.EventID{}, errNotRecords
		}
		record, m := protowire.ConsumeBytes(set[n:])
		if m < 0 || !f.decode(record) {
			return policy.EventID{}, errNotRecords
		}
		set = set[n+m:]
		if r := &f.record; (r.GetExpiresAt() == 0 || f.now < r.GetExpiresAt()) && state.SameOptOut(r, &f.optOut) {
			return state.RecordID(r), nil
		}
	}
	return policy.EventID{}, nil
}

// errNotRecords leaves a row to the committer.
var errNotRecords = errors.New("the records of a number cannot be read")

// decode reads what state.SameOptOut looks at, and the id.
func (f *heldFinder) decode(b []byte) bool {
	r := &f.record
	r.Revision, r.Index, r.Kind, r.Scope, r.Channel, r.ReceivedAt, r.ExpiresAt = 0, 0, 0, "", 0, 0, 0
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		if kind == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return false
			}
			b = b[n:]
			f.setNumber(field, v)
			continue
		}
		text, n := protowire.ConsumeBytes(b)
		if kind != protowire.BytesType || n < 0 {
			return false
		}
		b = b[n:]
		if field == 4 {
			f.setScope(text)
		}
	}
	return true
}

func (f *heldFinder) setNumber(field protowire.Number, v uint64) {
	switch r := &f.record; field {
	case 1:
		r.Revision = v
	case 2:
		r.Index = uint32(v)
	case 3:
		r.Kind = uint32(v)
	case 5:
		r.Channel = uint32(v)
	case 6:
		r.ReceivedAt = int64(v)
	case 8:
		r.ExpiresAt = int64(v)
	}
}

// setScope takes the opt-out's own text where it is the same.
func (f *heldFinder) setScope(text []byte) {
	if f.record.Scope = f.optOut.GetScope(); f.record.GetScope() != string(text) {
		f.record.Scope = string(text)
	}
}
