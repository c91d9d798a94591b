// Package stories keeps what was said about events, in a database beside the journal. It is personal data that may have to
// be erased, so the journal has its salted hash only, and the database keeps no versions.
package stories

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"runtime/debug"
	"slices"
	"unicode/utf8"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/fault"
)

// Story is what was said about an event.
type Story struct {
	Desk        string // that received the objection
	Evidence    string // where its proof is
	Note        string
	RecordedBy  string
	Proven      bool   // RecordedBy is the name in a client certificate
	Reason      string // of a withdrawal
	ChannelText string // the channel in the caller's words
}

// Check refuses a story that could not be read again.
func Check(s Story) error {
	for _, text := range []string{s.Desk, s.Evidence, s.Note, s.RecordedBy, s.Reason, s.ChannelText} {
		if !utf8.ValidString(text) {
			return errors.New("a story must be text in UTF-8")
		}
	}
	return nil
}

// Size is the bytes of a story's texts.
func Size(s Story) int {
	return len(s.Desk) + len(s.Evidence) + len(s.Note) + len(s.RecordedBy) + len(s.Reason) + len(s.ChannelText)
}

// State says what became of an event's story.
type State uint8

// The states of a story.
const (
	None    State = iota // the event has none
	Present              // as it was written: it matches the hash in the journal
	Missing              // erased, lost, or not matching its hash
)

const saltBytes = 16

// MemTableBytes is the size of a memtable of stories.
const MemTableBytes = 4 << 20

// DB is the database of stories: revision and hash -> salt and story. A damaged one has no Badger: then every story is
// missing, and none is accepted.
type DB struct{ Badger *badger.DB }

func options(dir string, log *slog.Logger) badger.Options {
	return badgerdir.Options(dir, log).
		WithMemTableSize(MemTableBytes).
		WithValueThreshold(256 << 10).
		WithNumMemtables(1)
}

// OpenReadOnly opens the stories for fsck. If there are none, each story that an event names is missing.
func OpenReadOnly(dir, scratch string, log *slog.Logger) (*DB, error) {
	db, err := badgerdir.OpenReadOnly(options(dir, log), scratch, false)
	if errors.Is(err, fs.ErrNotExist) {
		return &DB{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open stories: %w", err)
	}
	return &DB{db}, nil
}

// Open opens the stories. It returns a DB without Badger, and fault.ErrStoriesDamaged, when they are damaged.
func Open(dir string, log *slog.Logger) (*DB, error) {
	db, err := badgerdir.Open(options(dir, log), false)
	if errors.Is(err, fault.ErrDamaged) {
		return &DB{}, fmt.Errorf("%w: %s", fault.ErrStoriesDamaged, err.Error()) // the verdicts are complete: not ErrDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("open stories: %w", err)
	}
	return &DB{db}, nil
}

// IsEmpty reports whether nothing was ever written.
func (s *DB) IsEmpty() bool { return s.Badger == nil || s.Badger.MaxVersion() == 0 }

// Close closes the database.
func (s *DB) Close() error {
	if s.Badger == nil {
		return nil
	}
	return s.Badger.Close()
}

// Sealed is a story, or a pack of them, salted and hashed for the journal. A nil one is no story.
type Sealed struct {
	hash  []byte
	entry []byte // a storev1.StoryEntry
}

// Seal salts and hashes a story; nil for an empty one.
func Seal(s Story) *Sealed {
	if s == (Story{}) {
		return nil
	}
	body := Append(nil, s)
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	return &Sealed{hash: appendHash(nil, salt, body), entry: appendSalted(nil, salt, body)}
}

// Hash is what the journal says of the story.
func (t *Sealed) Hash() []byte {
	if t == nil {
		return nil
	}
	return t.hash
}

// Size is how many bytes the database gets.
func (t *Sealed) Size() int {
	if t == nil {
		return 0
	}
	return len(t.entry)
}

// appendSalted appends the fields of a storev1.StoryEntry, or of a storev1.PackedStory.
func appendSalted(b, salt, body []byte) []byte {
	b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), salt)
	return protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), body)
}

func appendHash(to, salt, body []byte) []byte {
	var room [256]byte
	hash := sha256.Sum256(append(append(append(room[:0], "dncd story "...), salt...), body...))
	return append(to, hash[:]...)
}

// Key is the key of a story of a revision.
func Key(revision uint64, hash []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, revision), hash...)
}

// Revision is the revision in a key; 0 for what is no key.
func Revision(key []byte) uint64 {
	if len(key) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

// Put makes the stories of one revision durable.
func (s *DB) Put(revision uint64, stories []*Sealed) error {
	if len(stories) == 0 {
		return nil
	}
	batch := s.Badger.NewWriteBatch()
	defer batch.Cancel()
	for _, t := range stories {
		if err := batch.Set(Key(revision, t.hash), t.entry); err != nil {
			return fmt.Errorf("write stories: %w", err)
		}
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("write stories: %w", err)
	}
	return nil
}

// Get reads the story of an event of revision, which is in a pack where place is not 0. It never fails: a story that
// cannot be read is missing.
func (s *DB) Get(revision uint64, hash []byte, place uint32) (Story, State) {
	if len(hash) == 0 {
		return Story{}, None
	}
	found, err := s.read(revision, hash)
	if err != nil || !found.matches(hash) {
		return Story{}, Missing
	}
	var m storev1.Story
	body, there := found.body(place)
	if !there || proto.Unmarshal(body, &m) != nil {
		return Story{}, Missing
	}
	return Of(&m), Present
}

func (s *DB) read(revision uint64, hash []byte) (e *entry, err error) {
	if s.Badger == nil {
		return nil, fault.ErrStoriesDamaged
	}
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	err = s.Badger.View(func(txn *badger.Txn) error {
		item, err := txn.Get(Key(revision, hash))
		if err != nil {
			return err
		}
		v, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		e, err = decodeEntry(v)
		return err
	})
	return e, err
}

// Fate says that a story which an event names is not there: known to be gone, or lost.
type Fate struct{ Lost, Gone bool }

// Fates looks up the stories that events name, in the order of the journal. It looks up only once what rows of a revision
// share.
type Fates struct {
	Stories int // that were looked up

	db       *DB
	revision uint64
	known    map[string]Fate // of that revision
}

// Fates begins to look up stories.
func (s *DB) Fates() *Fates { return &Fates{db: s} }

// Of looks up a story, or the pack that it is in.
func (f *Fates) Of(revision uint64, hash []byte) Fate {
	if f.known == nil || f.revision != revision {
		f.revision, f.known = revision, map[string]Fate{}
	}
	fate, met := f.known[string(hash)]
	if !met {
		f.Stories++
		fate = f.db.fate(revision, hash)
		f.known[string(hash)] = fate
	}
	return fate
}

func (s *DB) fate(revision uint64, hash []byte) Fate {
	found, err := s.read(revision, hash)
	if err != nil {
		return Fate{Lost: true}
	}
	gone := found.isGone()
	return Fate{Lost: !gone && !found.matches(hash), Gone: gone}
}

// Keys yields the keys of all stories of a revision and those after it, ascending. Each is valid until the next.
func (s *DB) Keys(revision uint64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if s.Badger == nil {
			return
		}
		txn := s.Badger.NewTransaction(false)
		defer txn.Discard()
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Seek(Key(revision, nil)); it.Valid() && yield(it.Item().Key()); it.Next() {
		}
	}
}

// DropAfter deletes the stories of revisions after last: their commit never came.
func (s *DB) DropAfter(last uint64) error {
	var orphans [][]byte
	for key := range s.Keys(last + 1) {
		orphans = append(orphans, slices.Clone(key))
	}
	if len(orphans) == 0 {
		return nil
	}
	batch := s.Badger.NewWriteBatch()
	defer batch.Cancel()
	var err error
	for _, k := range orphans {
		err = errors.Join(err, batch.Delete(k))
	}
	if err = errors.Join(err, batch.Flush()); err != nil {
		return fmt.Errorf("sweep stories: %w", err)
	}
	return nil
}

// Rename puts what a key holds under another.
func (s *DB) Rename(from, to []byte, batch *badger.WriteBatch) error {
	return s.Badger.View(func(txn *badger.Txn) error {
		item, err := txn.Get(from)
		if err != nil {
			return err
		}
		value, err := item.ValueCopy(nil)
		return errors.Join(err, batch.Set(to, value), batch.Delete(from))
	})
}

// MoveTo moves the stories of some keys to another database.
func (s *DB) MoveTo(other *DB, keys [][]byte) error {
	copies, deletions := other.Badger.NewWriteBatch(), s.Badger.NewWriteBatch()
	defer copies.Cancel()
	defer deletions.Cancel()
	err := s.Badger.View(func(txn *badger.Txn) error {
		for _, k := range keys {
			item, err := txn.Get(k)
			if err != nil {
				return err
			}
			if err := item.Value(func(v []byte) error { return copies.Set(k, slices.Clone(v)) }); err != nil {
				return err
			}
			if err := deletions.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set stories aside: %w", err)
	}
	if err := copies.Flush(); err != nil {
		return fmt.Errorf("set stories aside: %w", err)
	}
	if err := deletions.Flush(); err != nil {
		return fmt.Errorf("set stories aside: %w", err)
	}
	return nil
}

// Holds reports whether a value matches the hash in its key.
func Holds(key, value []byte) bool {
	if len(key) != 8+sha256.Size {
		return false
	}
	e, err := decodeEntry(value)
	return err == nil && e.matches(key[8:])
}

// End finds where the story of key ends that b begins with.
func End(key, b []byte) (n int, ok bool) {
	for n < len(b) {
		field, _, m := protowire.ConsumeField(b[n:])
		if m < 0 || field > 3 {
			return 0, false
		}
		if n += m; Holds(key, b[:n]) {
			return n, true
		}
	}
	return 0, false
}

// Of is the story of a message.
func Of(m *storev1.Story) Story {
	return Story{
		Desk: m.GetDesk(), Evidence: m.GetEvidence(), Note: m.GetNote(), RecordedBy: m.GetRecordedBy(), Proven: m.GetProven(),
		Reason: m.GetReason(), ChannelText: m.GetChannelText(),
	}
}
