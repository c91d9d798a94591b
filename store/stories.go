package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"unicode/utf8"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// Story is what is told about an event. It is personal data that may have to be erased, so the journal holds its
// salted hash alone, and the story lies beside it without versions.
type Story struct {
	Desk        string // that received the objection
	Evidence    string // where its proof lies
	Note        string
	RecordedBy  string
	Proven      bool   // RecordedBy is the name in a client certificate
	Reason      string // of a withdrawal
	ChannelText string // the channel in the caller's words
}

// check refuses what could not be read again.
func (s *Story) check() error {
	for _, text := range []string{s.Desk, s.Evidence, s.Note, s.RecordedBy, s.Reason, s.ChannelText} {
		if !utf8.ValidString(text) {
			return errors.New("a story must be text in UTF-8")
		}
	}
	return nil
}

// size is the bytes of its texts.
func (s *Story) size() int {
	return len(s.Desk) + len(s.Evidence) + len(s.Note) + len(s.RecordedBy) + len(s.Reason) + len(s.ChannelText)
}

// StoryState says what became of an event's story.
type StoryState uint8

// The states of a story.
const (
	StoryNone    StoryState = iota // none was told
	StoryPresent                   // as told: it matches the hash in the journal
	StoryMissing                   // erased, lost, or not matching its hash
)

const saltBytes = 16

// storiesMemTable is the size of a memtable of stories.
const storiesMemTable = 4 << 20

// stories is the side store: revision and hash -> salt and story.
// A damaged one has no database: then every story is missing, and none is taken.
type stories struct{ db *badger.DB }

func storiesOptions(dir string, log *slog.Logger) badger.Options {
	return badgerOptions(dir, log).
		WithMemTableSize(storiesMemTable).
		WithValueThreshold(256 << 10).
		WithNumMemtables(1)
}

// openStoriesReadOnly opens the stories for fsck.
func openStoriesReadOnly(dir, scratch string, log *slog.Logger) (*stories, error) {
	db, err := openReadOnly(storiesOptions(dir, log), scratch, false)
	if errors.Is(err, fs.ErrNotExist) {
		return &stories{}, nil // each story that an event names is missing
	}
	if err != nil {
		return nil, fmt.Errorf("open stories: %w", err)
	}
	return &stories{db}, nil
}

func openStories(dir string, log *slog.Logger) (*stories, error) {
	db, err := openBadger(storiesOptions(dir, log), false)
	if errors.Is(err, ErrDamaged) {
		return &stories{}, fmt.Errorf("%w: %s", ErrStoriesDamaged, err.Error()) // the verdicts are whole: not ErrDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("open stories: %w", err)
	}
	return &stories{db}, nil
}

// tale is a story on its way to disk.
type tale struct {
	hash  []byte
	entry []byte // a storev1.StoryEntry
}

// newTale salts and hashes a story; nil for an empty one.
func newTale(s Story) *tale {
	if s == (Story{}) {
		return nil
	}
	body := appendStory(nil, s)
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	entry := appendSalted(nil, salt, body)
	return &tale{hash: storyHash(salt, body), entry: entry}
}

// appendSalted appends the fields of a storev1.StoryEntry, or of a storev1.PackedStory.
func appendSalted(b, salt, body []byte) []byte {
	b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), salt)
	return protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), body)
}

func (t *tale) hashBytes() []byte {
	if t == nil {
		return nil
	}
	return t.hash
}

func storyHash(salt, body []byte) []byte { return appendStoryHash(nil, salt, body) }

func appendStoryHash(to, salt, body []byte) []byte {
	var room [256]byte
	hash := sha256.Sum256(append(append(append(room[:0], "dncd story "...), salt...), body...))
	return append(to, hash[:]...)
}

func storyKey(revision uint64, hash []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, revision), hash...)
}

// put makes the tales of one revision durable.
func (s *stories) put(revision uint64, tales []*tale) error {
	if len(tales) == 0 {
		return nil
	}
	batch := s.db.NewWriteBatch()
	defer batch.Cancel()
	for _, t := range tales {
		if err := batch.Set(storyKey(revision, t.hash), t.entry); err != nil {
			return fmt.Errorf("write stories: %w", err)
		}
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("write stories: %w", err)
	}
	return nil
}

// get reads the story of an event of revision, which is in a pack where place is not 0. It never fails: a story that
// cannot be read is missing.
func (s *stories) get(revision uint64, hash []byte, place uint32) (Story, StoryState) {
	if len(hash) == 0 {
		return Story{}, StoryNone
	}
	found, err := s.entry(revision, hash)
	if err != nil || !found.tells(hash) {
		return Story{}, StoryMissing
	}
	var m storev1.Story
	body, there := found.body(place)
	if !there || proto.Unmarshal(body, &m) != nil {
		return Story{}, StoryMissing
	}
	return storyOf(&m), StoryPresent
}

// storyFate says that a story which an event names is not there: known to be gone, or lost.
type storyFate struct{ lost, gone bool }

// fate looks up a story, or the pack that it is in.
func (s *stories) fate(revision uint64, hash []byte) storyFate {
	found, err := s.entry(revision, hash)
	if err != nil {
		return storyFate{lost: true}
	}
	gone := found.isGone()
	return storyFate{lost: !gone && !found.tells(hash), gone: gone}
}

// storyFates looks up the stories that events name, in the order of the journal: what rows of a revision share only once.
type storyFates struct {
	s        *stories
	revision uint64
	known    map[string]storyFate // of that revision
}

func (f *storyFates) of(revision uint64, hash []byte) storyFate {
	if f.known == nil || f.revision != revision {
		f.revision, f.known = revision, map[string]storyFate{}
	}
	fate, met := f.known[string(hash)]
	if !met {
		fate = f.s.fate(revision, hash)
		f.known[string(hash)] = fate
	}
	return fate
}

func (s *stories) entry(revision uint64, hash []byte) (e *storyEntry, err error) {
	if s.db == nil {
		return nil, ErrStoriesDamaged
	}
	defer readEnded(debug.SetPanicOnFault(true), &err)
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(storyKey(revision, hash))
		if err != nil {
			return err
		}
		v, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		e, err = decodeStoryEntry(v)
		return err
	})
	return e, err
}

// sweep deletes the stories of revisions after last: their commit never came.
func (s *stories) sweep(last uint64) error {
	if s.db == nil {
		return nil
	}
	var orphans [][]byte
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Seek(storyKey(last+1, nil)); it.Valid(); it.Next() {
			orphans = append(orphans, it.Item().KeyCopy(nil))
		}
		return nil
	})
	if err != nil || len(orphans) == 0 {
		return err
	}
	batch := s.db.NewWriteBatch()
	defer batch.Cancel()
	for _, k := range orphans {
		err = errors.Join(err, batch.Delete(k))
	}
	if err = errors.Join(err, batch.Flush()); err != nil {
		return fmt.Errorf("sweep stories: %w", err)
	}
	return nil
}

// move puts what a key holds under another.
func (s *stories) move(from, to []byte, batch *badger.WriteBatch) error {
	return s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(from)
		if err != nil {
			return err
		}
		value, err := item.ValueCopy(nil)
		return errors.Join(err, batch.Set(to, value), batch.Delete(from))
	})
}

// storyEnd is where the story of key ends that b begins with.
func storyEnd(key, b []byte) (n int, ok bool) {
	for n < len(b) {
		field, _, m := protowire.ConsumeField(b[n:])
		if m < 0 || field > 3 {
			return 0, false
		}
		if n += m; soundStory(key, b[:n]) {
			return n, true
		}
	}
	return 0, false
}

func (s *stories) close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

func storyMessage(s Story) *storev1.Story {
	return &storev1.Story{
		Desk: s.Desk, Evidence: s.Evidence, Note: s.Note, RecordedBy: s.RecordedBy, Proven: s.Proven,
		Reason: s.Reason, ChannelText: s.ChannelText,
	}
}

func storyOf(m *storev1.Story) Story {
	return Story{
		Desk: m.GetDesk(), Evidence: m.GetEvidence(), Note: m.GetNote(), RecordedBy: m.GetRecordedBy(), Proven: m.GetProven(),
		Reason: m.GetReason(), ChannelText: m.GetChannelText(),
	}
}
