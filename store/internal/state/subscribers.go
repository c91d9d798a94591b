package state

import (
	"iter"
	"strings"
	"unicode"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
)

// SubscriberKind is what a subscriber is, numbered as the contract's dnc.v1.SubscriberKind.
type SubscriberKind uint8

// The kinds of subscribers.
const (
	SubscriberUnspecified SubscriberKind = iota
	Internal                             // a base of the organisation itself
	Subcontractor                        // of another company, which calls for it
)

// Subscribers yields every subscriber that the transaction sees, removed ones too, in order of registration, and an error in
// place of one that cannot be read.
func Subscribers(txn *badger.Txn) iter.Seq2[Stored[*storev1.SubscriberState], error] {
	return stored(txn, keys.KindSubscriber, func() *storev1.SubscriberState { return new(storev1.SubscriberState) })
}

// Desks is Subscribers, of desks.
func Desks(txn *badger.Txn) iter.Seq2[Stored[*storev1.DeskState], error] {
	return stored(txn, keys.KindDesk, func() *storev1.DeskState { return new(storev1.DeskState) })
}

// Stored is a value whose key is the id of an event.
type Stored[M any] struct {
	ID    policy.EventID
	State M
}

func stored[M proto.Message](txn *badger.Txn, kind byte, empty func() M) iter.Seq2[Stored[M], error] {
	return func(yield func(Stored[M], error) bool) {
		opt := badger.DefaultIteratorOptions
		opt.Prefix = []byte{kind}
		it := txn.NewIterator(opt)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key, m := it.Item().KeyCopy(nil), empty()
			err := it.Item().Value(func(v []byte) error { return Decode(key, v, m) })
			if !yield(Stored[M]{keys.ListID(key), m}, err) {
				return
			}
		}
	}
}

// Filter is what concerns a subscriber.
func Filter(m *storev1.SubscriberSettings) feed.Filter {
	var f feed.Filter
	for _, s := range m.GetScopes() {
		f.Scopes = append(f.Scopes, policy.Scope(s))
	}
	for _, ref := range m.GetLists() {
		f.Lists = append(f.Lists, ListID(ref))
	}
	return f
}

// RefID is the id that a reference names; zero for none.
func RefID(ref *storev1.EventRef) policy.EventID {
	return policy.EventID{Revision: ref.GetRevision(), Index: ref.GetIndex()}
}

// Ref is the inverse of RefID.
func Ref(id policy.EventID) *storev1.EventRef {
	if id == (policy.EventID{}) {
		return nil
	}
	return &storev1.EventRef{Revision: id.Revision, Index: id.Index}
}

// FoldDesk is what names of one desk have in common: neither case nor the spaces around it count.
func FoldDesk(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, strings.TrimSpace(name))
}
