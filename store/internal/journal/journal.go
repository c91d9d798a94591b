// Package journal codes the revisions of a journal, each chained to the one before it, reads them from the database, and
// keeps the mark of the last acknowledged one.
package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/seal"
)

// ID names one journal. It is made with the store, and again after a loss was accepted or a copy was put back.
type ID [16]byte

// String is 32 hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Hash is the chain hash of a revision. It covers the revision's content and, through the one before it, the whole journal up
// to it.
type Hash [sha256.Size]byte

// Start is what the first revision of a journal is chained to.
func Start(id ID) Hash {
	return sha256.Sum256(append([]byte("dncd journal "), id[:]...))
}

// Position is a revision with its chain hash.
type Position struct {
	Revision uint64
	Chain    Hash
}

// Gap is a run of revisions that are gone, both ends included.
type Gap struct{ From, To uint64 }

// Entry is one revision as it is stored in the journal.
type Entry struct {
	Revision uint64
	Prev     Hash
	Body     []byte // storev1.Revision
}

// Sealed returns what is stored under the revision's Key.
func (e *Entry) Sealed() []byte {
	value := make([]byte, 0, len(e.Prev)+len(e.Body)+seal.Bytes)
	return seal.Value(Key(e.Revision), append(append(value, e.Prev[:]...), e.Body...))
}

// Hash is the revision's chain hash.
func (e *Entry) Hash() Hash {
	h := sha256.New()
	var rev [8]byte
	binary.BigEndian.PutUint64(rev[:], e.Revision)
	h.Write(rev[:])
	h.Write(e.Prev[:])
	h.Write(e.Body)
	return Hash(h.Sum(nil))
}

// Position is the revision with its chain hash.
func (e *Entry) Position() Position { return Position{e.Revision, e.Hash()} }

// NewBody begins the bytes of a storev1.Revision; AppendEvent adds the bytes of its next event, and EndBody ends them.
func NewBody(time, ahead int64) []byte {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(time))
	if ahead == 0 {
		return b
	}
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(ahead))
}

// EndBody ends the bytes of a storev1.Revision: its changes are counted.
func EndBody(body []byte) []byte {
	return protowire.AppendVarint(protowire.AppendTag(body, 4, protowire.VarintType), 1)
}

// IsCounted reports whether the changes that feeds read are counted up to the revision. Its error is fault.ErrDamaged.
func (e *Entry) IsCounted() (counted bool, err error) {
	whole := eachField(e.Body, func(field protowire.Number, kind protowire.Type, value []byte) bool {
		if field == 4 && kind == protowire.VarintType {
			n, _ := protowire.ConsumeVarint(value)
			counted = n != 0
		}
		return true
	})
	if !whole {
		return false, fmt.Errorf("%w: revision %d cannot be decoded", fault.ErrDamaged, e.Revision)
	}
	return counted, nil
}

// AppendEvent adds the bytes of an event to those of a revision.
func AppendEvent(body, event []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(body, 2, protowire.BytesType), event)
}

// Decode reads the events of a revision. The rows of an OptOuts are an event each: the index of an event is its place.
// Its error is fault.ErrDamaged.
func (e *Entry) Decode() (*storev1.Revision, error) {
	rev := new(storev1.Revision)
	err := proto.Unmarshal(e.Body, rev)
	if slices.ContainsFunc(rev.GetEvents(), isUnknown) {
		return nil, fmt.Errorf("%w: revision %d holds an event that this version does not know: start the later version that wrote it", fault.ErrDamaged, e.Revision)
	}
	if err == nil {
		rev.Events, err = withRows(rev.GetEvents())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: revision %d cannot be decoded", fault.ErrDamaged, e.Revision)
	}
	return rev, nil
}

// isUnknown reports that an event is of a kind that a later version added. It may be an objection, so it is never skipped.
func isUnknown(e *storev1.Event) bool { return e.GetChange() == nil }

// KeyKind is the first byte of the key of every revision.
const KeyKind = 'j'

// Key is the key of a revision.
func Key(revision uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{KeyKind}, revision)
}

// decode reads the stored value of a revision. The entry keeps parts of value.
func decode(key, value []byte) (Entry, error) {
	payload, err := seal.Open(key, value)
	if err != nil {
		return Entry{}, err
	}
	if len(key) != 9 || len(payload) < sha256.Size {
		return Entry{}, fault.DamagedKey(key)
	}
	return Entry{
		Revision: binary.BigEndian.Uint64(key[1:]),
		Prev:     Hash(payload),
		Body:     payload[sha256.Size:],
	}, nil
}

// Read reads one revision of the journal. Its error is badger.ErrKeyNotFound when it is not there.
func Read(txn *badger.Txn, revision uint64) (Entry, error) {
	key := Key(revision)
	item, err := txn.Get(key)
	if err != nil {
		return Entry{}, fmt.Errorf("read revision %d: %w", revision, err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return Entry{}, fmt.Errorf("read revision %d: %w", revision, err)
	}
	return decode(key, value)
}

// ReadRevision reads and decodes one revision. One that is not there is damage: the caller knows that it was written.
func ReadRevision(txn *badger.Txn, revision uint64) (*storev1.Revision, error) {
	e, err := Read(txn, revision)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, fmt.Errorf("%w: revision %d is missing", fault.ErrDamaged, revision)
	}
	if err != nil {
		return nil, err
	}
	return e.Decode()
}

// Entries yields every revision from first on, in order, each valid until the next; an error in place of one that cannot be
// read. A caller that continues after an error has skipped that revision.
func Entries(txn *badger.Txn, first uint64) iter.Seq2[Entry, error] {
	opt := badger.DefaultIteratorOptions
	opt.Prefix = []byte{KeyKind}
	return entries(txn, opt, first)
}

// Backward is Entries from last down to the first revision.
func Backward(txn *badger.Txn, last uint64) iter.Seq2[Entry, error] {
	opt := badger.DefaultIteratorOptions
	opt.Reverse, opt.Prefix = true, []byte{KeyKind}
	return entries(txn, opt, last)
}

func entries(txn *badger.Txn, opt badger.IteratorOptions, from uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		it := txn.NewIterator(opt)
		defer it.Close()
		for it.Seek(Key(from)); it.Valid(); it.Next() {
			item, more := it.Item(), true
			err := item.Value(func(v []byte) error {
				more = yield(decode(item.Key(), v))
				return nil
			})
			if err != nil {
				more = yield(Entry{}, err)
			}
			if !more {
				return
			}
		}
	}
}

// Last is the newest revision of the journal at or before revision; false when there is none.
func Last(txn *badger.Txn, revision uint64) (Entry, bool, error) {
	opt := badger.DefaultIteratorOptions
	opt.Reverse, opt.PrefetchValues = true, false
	opt.Prefix = []byte{KeyKind}
	it := txn.NewIterator(opt)
	defer it.Close()
	it.Seek(Key(revision))
	if !it.Valid() {
		return Entry{}, false, nil
	}
	e, err := Read(txn, binary.BigEndian.Uint64(it.Item().Key()[1:]))
	return e, err == nil, err
}
