package store

import (
	"slices"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
)

// A row of a file is in its number's history through its record, see Record.row. Repair keeps that true around revisions
// that are lost, of which it has some of the state and no event.

// withoutLostRows is a value of the state in which no record replaces the event of a lost revision in its number's history.
func (r *repairer) withoutLostRows(key, value []byte) ([]byte, error) {
	value = slices.Clone(value)
	if key[0] != keys.KindRecords {
		return value, nil
	}
	var set storev1.RecordSet
	if err := state.Decode(key, value, &set); err != nil {
		return nil, err
	}
	for _, record := range set.GetRecords() {
		if record.GetRow() && r.isLost(record.GetRevision()) {
			record.Row = false
		}
	}
	b, err := proto.Marshal(&set)
	return seal.Value(key, b), err
}

// savedRecords are the records of a number as a lost revision left them.
type savedRecords struct{ number, revision uint64 }

// keepEndedRows gives the rows that a lost revision ended a place in their number's history, as that revision had done.
func (r *repairer) keepEndedRows() error {
	batch := r.s.db.NewManagedWriteBatch()
	defer batch.Cancel()
	for _, at := range r.lostRecords {
		before, err := r.recordsAt(at.number, at.revision-1)
		if err != nil {
			return err
		}
		after, err := r.recordsAt(at.number, at.revision)
		if err != nil {
			return err
		}
		for _, row := range before {
			isSame := func(held *storev1.Record) bool { return state.RecordID(held) == state.RecordID(row) }
			if !row.GetRow() || slices.ContainsFunc(after, isSame) {
				continue
			}
			key := keys.History(at.number, state.RecordID(row))
			if err := batch.SetEntryAt(badger.NewEntry(key, seal.Value(key, nil)), at.revision); err != nil {
				return err
			}
		}
	}
	return batch.Flush()
}

// recordsAt are the records of a number in the fresh store, as of a revision.
func (r *repairer) recordsAt(number, revision uint64) ([]*storev1.Record, error) {
	txn := r.s.db.NewTransactionAt(revision, false)
	defer txn.Discard()
	var set storev1.RecordSet
	_, err := state.Get(txn, keys.Records(number), &set)
	return set.GetRecords(), err
}
