package store

import (
	"context"
	"errors"
	"iter"
	"runtime/debug"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/phone"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// NumberRecords are the records of one number, oldest first.
type NumberRecords struct {
	Number  phone.Number
	Records []RecordDetail
}

// Records yields all records of the view by ascending number, each with its story: only those in force at now where
// inForce is set, and of the rest those that keep accepts. Errors: ErrDamaged, and the context's.
func (v *View) Records(ctx context.Context, now time.Time, inForce bool, keep func(*RecordDetail) bool) iter.Seq2[NumberRecords, error] {
	return func(yield func(NumberRecords, error) bool) {
		if err := v.eachNumber(ctx, now, inForce, keep, yield); err != nil {
			yield(NumberRecords{}, err)
		}
	}
}

func (v *View) eachNumber(ctx context.Context, now time.Time, inForce bool, keep func(*RecordDetail) bool, yield func(NumberRecords, error) bool) (err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keys.KindRecords}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := errors.Join(v.whole(), ctx.Err()); err != nil {
			return err
		}
		n, err := v.numberRecords(it.Item(), now, inForce, keep)
		if err != nil {
			return err
		}
		if len(n.Records) > 0 && !yield(n, nil) {
			return nil
		}
	}
	return v.complete()
}

func (v *View) numberRecords(item *badger.Item, now time.Time, inForce bool, keep func(*RecordDetail) bool) (NumberRecords, error) {
	n := NumberRecords{Number: phone.Number(keys.Number(item.Key()))}
	set := new(storev1.RecordSet)
	if err := item.Value(func(b []byte) error { return state.Decode(item.Key(), b, set) }); err != nil {
		v.s.noteDamage(err)
		return n, err
	}
	for _, r := range set.GetRecords() {
		d := RecordDetail{Record: state.Record(r)}
		if inForce && !d.InForce(now) || !keep(&d) {
			continue
		}
		d.Story, d.StoryState = v.s.stories.Get(r.GetRevision(), r.GetStoryHash(), r.GetStory())
		n.Records = append(n.Records, d)
	}
	return n, nil
}
