// Package state reads the values of the state in the database, and says what they mean.
package state

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
)

// Get reads one sealed value into m and reports whether the key is there.
func Get(txn *badger.Txn, key []byte, m proto.Message) (bool, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read state: %w", err)
	}
	return true, item.Value(func(v []byte) error { return Decode(key, v, m) })
}

// Decode reads a sealed value into m. Its error is fault.ErrDamaged.
func Decode(key, value []byte, m proto.Message) error {
	payload, err := seal.Open(key, value)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(payload, m); err != nil {
		return fault.DamagedKey(key)
	}
	return nil
}

// StoredList is the state of a list.
type StoredList struct {
	ID    policy.EventID
	State *storev1.ListState
}

// Lists yields every list that the transaction sees, in order of creation.
func Lists(txn *badger.Txn) iter.Seq2[StoredList, error] {
	return func(yield func(StoredList, error) bool) {
		opt := badger.DefaultIteratorOptions
		opt.Prefix = []byte{keys.KindList}
		it := txn.NewIterator(opt)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key, l := it.Item().KeyCopy(nil), new(storev1.ListState)
			err := it.Item().Value(func(v []byte) error { return Decode(key, v, l) })
			if !yield(StoredList{keys.ListID(key), l}, err) || err != nil {
				return
			}
		}
	}
}

// ListsAsOf is Lists of a transaction that reads the past, where newest reads the present and so knows every list. An iterator of
// the past would pass over each later version of a list.
func ListsAsOf(past, newest *badger.Txn) iter.Seq2[StoredList, error] {
	return func(yield func(StoredList, error) bool) {
		for key := range listKeys(newest) {
			l := new(storev1.ListState)
			found, err := Get(past, key, l)
			if err == nil && !found {
				continue
			}
			if !yield(StoredList{keys.ListID(key), l}, err) || err != nil {
				return
			}
		}
	}
}

// listKeys yields the key of every list that there ever was, in order of creation. It seeks from one to the next, past the versions.
func listKeys(txn *badger.Txn) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		opt := badger.DefaultIteratorOptions
		opt.Prefix, opt.PrefetchValues = []byte{keys.KindList}, false
		opt.AllVersions = true // those that were deleted too
		it := txn.NewIterator(opt)
		defer it.Close()
		it.Rewind()
		for it.Valid() {
			key := it.Item().KeyCopy(nil)
			if !yield(key) {
				return
			}
			it.Seek(append(key, 0))
		}
	}
}

// ListID is the id of a list.
func ListID(ref *storev1.ListId) policy.EventID {
	return EventID(ref.GetRevision(), int(ref.GetIndex()))
}

// ListRef is the inverse of ListID.
func ListRef(id policy.EventID) *storev1.ListId {
	return &storev1.ListId{Revision: id.Revision, Index: id.Index}
}

// HeldBy is the record of set, all in force, that already says what c would: an opt-out with its scope and channel, with
// its received_at where c has one, and in force for at least as long. nil: none does.
func HeldBy(set *storev1.RecordSet, c *storev1.OptOut) *storev1.Record {
	for _, r := range set.GetRecords() {
		if SameOptOut(r, c) {
			return r
		}
	}
	return nil
}

// SameOptOut reports whether a record says what an opt-out would, and is in force for at least as long.
func SameOptOut(r *storev1.Record, c *storev1.OptOut) bool {
	return policy.RecordKind(r.GetKind()) == policy.RecordOptOut && r.GetScope() == c.GetScope() && r.GetChannel() == c.GetChannel() &&
		(c.GetReceivedAt() == 0 || c.GetReceivedAt() == r.GetReceivedAt()) && lastsAsLong(r, c)
}

// lastsAsLong reports whether r ends no earlier than c would: a record that expires does not say what a permanent objection
// says.
func lastsAsLong(r *storev1.Record, c *storev1.OptOut) bool {
	return r.GetExpiresAt() == 0 || (c.GetExpiresAt() != 0 && r.GetExpiresAt() >= c.GetExpiresAt())
}

// Record is a stored record as a decision reads it.
func Record(r *storev1.Record) policy.Record {
	return policy.Record{
		ID:         policy.EventID{Revision: r.GetRevision(), Index: r.GetIndex()},
		Kind:       policy.RecordKind(r.GetKind()),
		Scope:      policy.Scope(r.GetScope()),
		Channel:    policy.Channel(r.GetChannel()),
		ReceivedAt: Time(r.GetReceivedAt()),
		RecordedAt: Time(r.GetRecordedAt()),
		ExpiresAt:  Time(r.GetExpiresAt()),
		Consent:    Consent(r.GetConsent()),
	}
}

// Time is the instant of Unix nanoseconds; 0 is no instant.
func Time(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// Nano is the inverse of Time.
func Nano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// ErrTime is a time outside the years that Unix nanoseconds can hold.
var ErrTime = errors.New("a time must be between the years 1970 and 2262")

// CheckTime returns ErrTime for a time that cannot be stored.
func CheckTime(t time.Time) error {
	if !t.IsZero() && (t.Year() < 1970 || t.Year() > 2261) {
		return ErrTime
	}
	return nil
}

// SameGrant reports whether two grants have the name or the secret in common.
func SameGrant(a, b *storev1.TokenCreated) bool {
	return a.GetName() == b.GetName() || len(a.GetSecretSha256()) > 0 && bytes.Equal(a.GetSecretSha256(), b.GetSecretSha256())
}

// Grants yields every grant that the transaction sees, by name, and an error in place of one that cannot be read.
func Grants(txn *badger.Txn) iter.Seq2[*storev1.GrantState, error] {
	return func(yield func(*storev1.GrantState, error) bool) {
		opt := badger.DefaultIteratorOptions
		opt.Prefix = []byte{keys.KindGrant}
		it := txn.NewIterator(opt)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key, g := it.Item().KeyCopy(nil), new(storev1.GrantState)
			err := it.Item().Value(func(v []byte) error { return Decode(key, v, g) })
			if !yield(g, err) {
				return
			}
		}
	}
}

// isGrant reports whether this version can read all of a grant.
func isGrant(c *storev1.TokenCreated) bool {
	known := c.GetRoles() != 0 && c.GetRoles()&^uint32(access.Everything) == 0 && !slices.Contains(c.GetScopes(), "")
	switch c.GetKind() {
	case uint32(access.Token):
		return known && len(c.GetSecretSha256()) == len(access.Secret{})
	case uint32(access.Certificate):
		return known && len(c.GetSecretSha256()) == 0
	}
	return false
}

// Grant returns a stored grant. One that this version cannot read in full is refused: it counts as damaged.
func Grant(st *storev1.GrantState) (*access.Grant, error) {
	c := st.GetGranted()
	g := &access.Grant{
		ID:        policy.EventID{Revision: st.GetRevision(), Index: st.GetIndex()},
		Name:      c.GetName(),
		Kind:      access.Kind(c.GetKind()),
		Roles:     access.Roles(c.GetRoles()),
		ExpiresAt: Time(c.GetExpiresAt()),
		CreatedAt: Time(st.GetCreatedTime()),
	}
	copy(g.Secret[:], c.GetSecretSha256())
	for _, s := range c.GetScopes() {
		g.Scopes = append(g.Scopes, policy.Scope(s))
	}
	if !isGrant(c) {
		return nil, fault.DamagedKey(keys.Grant(c.GetName()))
	}
	return g, nil
}

// EventID is the id of an event.
func EventID(revision uint64, index int) policy.EventID {
	return policy.EventID{Revision: revision, Index: uint32(index)}
}

// RecordID is the id of the event that made a record.
func RecordID(r *storev1.Record) policy.EventID {
	return policy.EventID{Revision: r.GetRevision(), Index: r.GetIndex()}
}
