package state

import (
	"errors"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
)

// HeldFinder finds what HeldBy finds among the records in force, without a message for each.
type HeldFinder struct {
	Now    int64          // by which a record has expired
	OptOut storev1.OptOut // to look for
	record storev1.Record // the last one that was read
}

// Read reads what the number holds, and returns the record that says what OptOut would; zero: none does.
func (f *HeldFinder) Read(txn *badger.Txn) (id policy.EventID, err error) {
	key := keys.Records(f.OptOut.GetNumber())
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
			id, err = f.Find(set)
		}
		return err
	})
	return id, err
}

// Find is the id of the first record of a storev1.RecordSet that says what the opt-out would.
func (f *HeldFinder) Find(set []byte) (policy.EventID, error) {
	for len(set) > 0 {
		field, kind, n := protowire.ConsumeTag(set)
		if n < 0 || kind != protowire.BytesType {
			return policy.EventID{}, errNotRecords
		}
		record, m := protowire.ConsumeBytes(set[n:])
		if m < 0 || field == 1 && !f.decode(record) {
			return policy.EventID{}, errNotRecords
		}
		set = set[n+m:]
		if field != 1 { // consents that were withdrawn
			continue
		}
		if r := &f.record; (r.GetExpiresAt() == 0 || f.Now < r.GetExpiresAt()) && SameOptOut(r, &f.OptOut) {
			return RecordID(r), nil
		}
	}
	return policy.EventID{}, nil
}

// errNotRecords leaves a row to the committer.
var errNotRecords = errors.New("the records of a number cannot be read")

// decode reads what SameOptOut looks at, and the id.
func (f *HeldFinder) decode(b []byte) bool {
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

func (f *HeldFinder) setNumber(field protowire.Number, v uint64) {
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
func (f *HeldFinder) setScope(text []byte) {
	if f.record.Scope = f.OptOut.GetScope(); f.record.GetScope() != string(text) {
		f.record.Scope = string(text)
	}
}
