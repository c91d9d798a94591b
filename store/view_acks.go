package store

import (
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// FirstAcknowledged is the first acknowledgement, by position, with which a subscriber said that it had reached a stage, or one
// that includes it, with every change up to a revision; nil: there is none. It costs a seek for each stage. Errors: ErrDamaged.
func (v *View) FirstAcknowledged(subscriber policy.EventID, stage feed.Stage, revision uint64) (*Acknowledgement, error) {
	return v.nearestAck(subscriber, stage, revision, false)
}

// LastAcknowledged is the last acknowledgement, by position, of a stage, or of one that includes it, at or before a revision; nil:
// there is none. It costs a seek for each stage. Errors: ErrDamaged.
func (v *View) LastAcknowledged(subscriber policy.EventID, stage feed.Stage, revision uint64) (*Acknowledgement, error) {
	return v.nearestAck(subscriber, stage, revision, true)
}

// nearestAck is the nearest acknowledgement at or after a revision, or at or before it, of the stages that include one.
func (v *View) nearestAck(subscriber policy.EventID, stage feed.Stage, revision uint64, before bool) (best *Acknowledgement, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	for s := stage; s.Includes(stage); s++ {
		ack, err := seekAck(txn, subscriber, s, revision, before)
		if err != nil {
			return nil, err
		}
		if ack != nil && (best == nil || ack.Revision != best.Revision && ack.Revision < best.Revision != before) {
			best = ack
		}
	}
	return best, v.complete()
}

func seekAck(txn *badger.Txn, subscriber policy.EventID, stage feed.Stage, revision uint64, before bool) (*Acknowledgement, error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: keys.AckPrefix(subscriber, uint8(stage)), Reverse: before})
	defer it.Close()
	it.Seek(keys.Ack(subscriber, uint8(stage), revision))
	if !it.Valid() {
		return nil, nil
	}
	var m storev1.AckState
	if err := it.Item().Value(func(b []byte) error { return state.Decode(it.Item().Key(), b, &m) }); err != nil {
		return nil, err
	}
	return acknowledgementOf(&m), nil
}
