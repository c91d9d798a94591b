package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/stories"
)

// tickets are rows with a story of their own each, and as many that share one.
func tickets(count int) (rows []RecordRow) {
	for i := range count {
		own, shared := row(fiction(415, i), "acme", policy.ChannelCall, day(1)), row(fiction(818, i), "acme", policy.ChannelCall, day(1))
		own.Story.Evidence = fmt.Sprintf("ticket %d", i)
		rows = append(rows, own, shared)
	}
	return rows
}

// wantStories checks the story of each row, in its record, its history and the export of all records.
func wantStories(t *testing.T, s *Store, rows []RecordRow, state func(i int) StoryState) {
	t.Helper()
	exported := map[uint64]RecordDetail{}
	for n, err := range s.View().Records(context.Background(), s.Now(), true, func(*RecordDetail) bool { return true }) {
		must(t, err)
		exported[uint64(n.Number)] = n.Records[0]
	}
	for i, r := range rows {
		want := r.Story
		if state(i) == StoryMissing {
			want = Story{}
		}
		facts, err := s.View().Number(r.Number, s.Now())
		if err != nil || len(facts.Records) != 1 {
			t.Fatalf("row %d: %+v, %v; want one record", i, facts.Records, err)
		}
		for what, got := range map[string]RecordDetail{"record": facts.Records[0], "export": exported[uint64(r.Number)]} {
			if got.Story != want || got.StoryState != state(i) {
				t.Errorf("row %d, %s: story %+v in state %d, want %+v in %d", i, what, got.Story, got.StoryState, want, state(i))
			}
		}
		events, _, err := s.View().History(r.Number, policy.EventID{}, 10)
		if err != nil || len(events) != 1 || events[0].Story != want || events[0].StoryState != state(i) || events[0].ID != facts.Records[0].ID {
			t.Errorf("row %d: history %+v, %v; want %+v in state %d", i, events, err, want, state(i))
		}
	}
}

func allPresent(int) StoryState { return StoryPresent }

// eachPack calls f with the key and the value of every pack of stories.
func eachPack(t *testing.T, s *stories.DB, f func(key []byte, e *storev1.StoryEntry)) {
	t.Helper()
	must(t, s.Badger.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			var e storev1.StoryEntry
			if err := it.Item().Value(func(v []byte) error { return proto.Unmarshal(v, &e) }); err != nil {
				return err
			}
			if len(e.GetPack()) > 0 {
				f(it.Item().KeyCopy(nil), &e)
			}
		}
		return nil
	}))
}

// changePacks changes every pack of stories of a store that is closed.
func changePacks(t *testing.T, dir string, change func(*storev1.StoryEntry)) {
	t.Helper()
	st, err := stories.Open(filepath.Join(dir, storiesDir), testOptions().withDefaults().Logger)
	must(t, err)
	eachPack(t, st, func(key []byte, e *storev1.StoryEntry) {
		change(e)
		b, err := proto.Marshal(e)
		must(t, err)
		must(t, st.Badger.Update(func(txn *badger.Txn) error { return txn.Set(key, b) }))
	})
	must(t, st.Close())
}

// storyHash is what the journal says of a story with that salt.
func storyHash(salt, story []byte) []byte {
	hash := sha256.Sum256(slices.Concat([]byte("dncd story "), salt, story))
	return hash[:]
}

// eraseStory leaves nothing but its hash of a story of a pack.
func eraseStory(e *storev1.StoryEntry, place int) {
	p := e.GetPack()[place]
	p.Hash, p.Salt, p.Story = storyHash(p.GetSalt(), p.GetStory()), nil, nil
}

// Rows that say the same share a story. Those with words of their own have one each, in a pack, that can be erased alone.
func TestStoryOfARowIsErasedAlone(t *testing.T) {
	t.Parallel()
	const own = 2*stories.PackStories + 3 // stories, in three packs
	dir, rows := t.TempDir(), tickets(own)
	s := open(t, dir)
	recordAll(t, s, rows)
	wantStories(t, s, rows, allPresent)
	packs, all := 0, 0
	eachPack(t, s.stories, func(key []byte, e *storev1.StoryEntry) {
		packs++
		all += len(e.GetPack())
		value, err := proto.Marshal(e)
		must(t, err)
		if n, ok := stories.End(key, append(value, "behind it"...)); !ok || n != len(value) {
			t.Errorf("a pack of %d bytes ends at %d, %v", len(value), n, ok)
		}
	})
	if packs != 3 || all != own {
		t.Errorf("%d packs of %d stories, want 3 of %d", packs, all, own)
	}
	closeStore(t, s)
	const erased = 1 // of each pack
	changePacks(t, dir, func(e *storev1.StoryEntry) { eraseStory(e, erased) })
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck after an erasure: %v", r.Problems)
	}
	wantStories(t, open(t, dir), rows, func(i int) StoryState {
		if i%2 == 0 && i/2%stories.PackStories == erased {
			return StoryMissing
		}
		return StoryPresent
	})
}

// A pack in which a story is not what was told shows none, and fsck says so.
func TestPackThatWasChangedTellsNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*storev1.StoryEntry){
		"another text": func(e *storev1.StoryEntry) { e.Pack[1].Story = e.GetPack()[0].GetStory() },
		"turned round": func(e *storev1.StoryEntry) { e.Pack[0], e.Pack[1] = e.Pack[1], e.Pack[0] },
		"one less":     func(e *storev1.StoryEntry) { e.Pack = e.GetPack()[:1] },
		"two as one": func(e *storev1.StoryEntry) {
			var hash []byte
			for _, p := range e.GetPack()[:2] {
				hash = append(hash, storyHash(p.GetSalt(), p.GetStory())...)
			}
			e.Pack = append([]*storev1.PackedStory{{Hash: hash}}, e.GetPack()[2:]...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, rows := t.TempDir(), tickets(5)
			s := open(t, dir)
			recordAll(t, s, rows)
			closeStore(t, s)
			changePacks(t, dir, change)
			if r := mustFsck(t, dir); r.Missing.Stories != 5 {
				t.Errorf("fsck misses %d stories, want 5: %v", r.Missing.Stories, r.Problems)
			}
			wantStories(t, open(t, dir), rows, func(i int) StoryState {
				if i%2 == 0 {
					return StoryMissing
				}
				return StoryPresent
			})
		})
	}
}
