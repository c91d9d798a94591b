package state

import (
	"iter"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
)

// Policies is Subscribers, of policies: every one that was set, oldest first.
func Policies(txn *badger.Txn) iter.Seq2[Stored[*storev1.PolicyState], error] {
	return stored(txn, keys.KindPolicy, func() *storev1.PolicyState { return new(storev1.PolicyState) })
}

// LastPolicy is the policy that is in force; its id is zero if none was set. It looks for it forward: backward, Badger does not stop
// at the prefix, and passes over all that is written later than the transaction reads.
func LastPolicy(txn *badger.Txn) (last Stored[*storev1.PolicyState], err error) {
	opt := badger.DefaultIteratorOptions
	opt.PrefetchValues, opt.Prefix = false, []byte{keys.KindPolicy}
	it := txn.NewIterator(opt)
	defer it.Close()
	var key []byte
	for it.Rewind(); it.Valid(); it.Next() {
		key = it.Item().KeyCopy(key)
	}
	if key == nil {
		return last, nil
	}
	item, err := txn.Get(key)
	if err != nil {
		return last, err
	}
	last.ID, last.State = keys.ListID(key), new(storev1.PolicyState)
	return last, item.Value(func(v []byte) error { return Decode(key, v, last.State) })
}

// Reached is the filter, as wide as opt-outs reach: what a base must be told that calls for the scopes of f.
func Reached(f feed.Filter, r policy.Reach) feed.Filter {
	switch r {
	case policy.ReachEveryone:
		f.Scopes = nil
	case policy.ReachBrand:
		brands := make([]policy.Scope, len(f.Scopes))
		for i, s := range f.Scopes {
			brands[i] = s.Brand()
		}
		f.Scopes = brands
	}
	return f.Normal()
}
