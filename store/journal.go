package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// JournalID names one journal: made at first open, new after a loss was accepted or a copy was put back.
type JournalID [16]byte

// String is 32 hex digits.
func (id JournalID) String() string { return hex.EncodeToString(id[:]) }

// chainHash of a revision covers its content and, through the one before it, the whole journal up to it.
type chainHash [sha256.Size]byte

// chainStart is what the first revision of a journal is chained to.
func chainStart(id JournalID) chainHash {
	return sha256.Sum256(append([]byte("dncd journal "), id[:]...))
}

// entry is one revision as it lies in the journal.
type entry struct {
	revision uint64
	prev     chainHash
	body     []byte // storev1.Revision
}

// value is what is stored under the revision's key, before sealing.
func (e *entry) value() []byte {
	return append(append(make([]byte, 0, len(e.prev)+len(e.body)+crcBytes), e.prev[:]...), e.body...)
}

func (e *entry) hash() chainHash {
	h := sha256.New()
	var rev [8]byte
	binary.BigEndian.PutUint64(rev[:], e.revision)
	h.Write(rev[:])
	h.Write(e.prev[:])
	h.Write(e.body)
	return chainHash(h.Sum(nil))
}

// startRevision begins the bytes of a storev1.Revision; appendEvent adds the bytes of its next event.
func startRevision(time, ahead int64) []byte {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(time))
	if ahead == 0 {
		return b
	}
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(ahead))
}

func appendEvent(revision, event []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(revision, 2, protowire.BytesType), event)
}

// decode reads the events of a revision. The rows of an OptOuts are an event each: the index of an event is its place.
func (e *entry) decode() (*storev1.Revision, error) {
	rev := new(storev1.Revision)
	err := proto.Unmarshal(e.body, rev)
	if slices.ContainsFunc(rev.GetEvents(), isUnknown) {
		return nil, fmt.Errorf("%w: revision %d holds an event that this version does not know: start the later version that wrote it", ErrDamaged, e.revision)
	}
	if err == nil {
		rev.Events, err = withRows(rev.GetEvents())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: revision %d cannot be decoded", ErrDamaged, e.revision)
	}
	return rev, nil
}

// isUnknown reports that an event is of a kind that a later version added. It may be an objection: it is not passed over.
func isUnknown(e *storev1.Event) bool { return e.GetChange() == nil }

// decodeEntry reads the stored value of a revision. The entry keeps parts of value.
func decodeEntry(key, value []byte) (entry, error) {
	payload, err := unseal(key, value)
	if err != nil {
		return entry{}, err
	}
	if len(key) != 9 || len(payload) < sha256.Size {
		return entry{}, damagedKey(key)
	}
	return entry{
		revision: binary.BigEndian.Uint64(key[1:]),
		prev:     chainHash(payload),
		body:     payload[sha256.Size:],
	}, nil
}

// readEntry reads one revision of the journal.
func readEntry(txn *badger.Txn, revision uint64) (entry, error) {
	key := journalKey(revision)
	item, err := txn.Get(key)
	if err != nil {
		return entry{}, fmt.Errorf("read revision %d: %w", revision, err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return entry{}, fmt.Errorf("read revision %d: %w", revision, err)
	}
	return decodeEntry(key, value)
}

// readRevision reads and decodes one revision. One that is not there is damage: the caller knows that it was written.
func readRevision(txn *badger.Txn, revision uint64) (*storev1.Revision, error) {
	e, err := readEntry(txn, revision)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, fmt.Errorf("%w: revision %d is missing", ErrDamaged, revision)
	}
	if err != nil {
		return nil, err
	}
	return e.decode()
}

// eachEntry calls f for every revision from first on, in order, until f returns an error or one cannot be read.
func eachEntry(txn *badger.Txn, first uint64, f func(entry) error) error {
	return eachStoredEntry(txn, first, func(e entry, err error) error {
		if err != nil {
			return err
		}
		return f(e)
	})
}

// eachStoredEntry is eachEntry that tells f of entries that cannot be read, too.
func eachStoredEntry(txn *badger.Txn, first uint64, f func(entry, error) error) error {
	opt := badger.DefaultIteratorOptions
	opt.Prefix = []byte{keyJournal}
	it := txn.NewIterator(opt)
	defer it.Close()
	for it.Seek(journalKey(first)); it.Valid(); it.Next() {
		item := it.Item()
		err := item.Value(func(v []byte) error {
			return f(decodeEntry(item.Key(), v))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lastEntry is the newest revision of the journal at or before revision; false when there is none.
func lastEntry(txn *badger.Txn, revision uint64) (entry, bool, error) {
	opt := badger.DefaultIteratorOptions
	opt.Reverse, opt.PrefetchValues = true, false
	opt.Prefix = []byte{keyJournal}
	it := txn.NewIterator(opt)
	defer it.Close()
	it.Seek(journalKey(revision))
	if !it.Valid() {
		return entry{}, false, nil
	}
	e, err := readEntry(txn, binary.BigEndian.Uint64(it.Item().Key()[1:]))
	return e, err == nil, err
}

// eachEntryBack calls f for every revision from last down to the first, until f returns an error or one cannot be read.
func eachEntryBack(txn *badger.Txn, last uint64, f func(entry) error) error {
	opt := badger.DefaultIteratorOptions
	opt.Reverse, opt.Prefix = true, []byte{keyJournal}
	it := txn.NewIterator(opt)
	defer it.Close()
	for it.Seek(journalKey(last)); it.Valid(); it.Next() {
		item := it.Item()
		err := item.Value(func(v []byte) error {
			e, err := decodeEntry(item.Key(), v)
			if err != nil {
				return err
			}
			return f(e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// RevisionAt is the newest revision whose time is not after t; 0 when there is none.
func (s *Store) RevisionAt(t time.Time) (uint64, error) {
	v := s.View()
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	var failed error
	n := sort.Search(int(v.revision), func(i int) bool {
		rev, err := s.revisionTime(txn, uint64(i)+1)
		if err != nil {
			failed = err
		}
		return err != nil || rev.After(t)
	})
	at, _, err := lastEntry(txn, uint64(n)) // an accepted loss, and a copy that was put back, leave gaps
	if err := errors.Join(failed, err); err != nil {
		return 0, fmt.Errorf("find revision by time: %w", err)
	}
	return at.revision, nil
}

// revisionTime is the time of the newest revision at or before revision.
func (s *Store) revisionTime(txn *badger.Txn, revision uint64) (time.Time, error) {
	e, found, err := lastEntry(txn, revision)
	if err != nil || !found {
		return time.Time{}, err
	}
	rev, err := e.decode()
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, rev.GetTime()).UTC(), nil
}

func eventID(revision uint64, index int) policy.EventID {
	return policy.EventID{Revision: revision, Index: uint32(index)}
}
