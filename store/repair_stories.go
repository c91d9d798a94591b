package store

import (
	"cmp"
	"math"
	"slices"

	"github.com/dgraph-io/badger/v4"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/stories"
)

// copyStories copies every story that still matches its hash. The hash says nothing of the revision in the key: where
// no checksum does, the journal must name the story there, or it would seem to be of a revision that was never made.
func (r *repairer) copyStories() error {
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	named := storiesNamed{n: &newer{txn: txn, tip: math.MaxUint64}}
	batch := r.s.stories.Badger.NewWriteBatch()
	defer batch.Cancel()
	var unnamed [][]byte
	for e, err := range r.salvage(storiesDir, stories.End) {
		if err != nil {
			return err
		}
		if e.Proven && len(e.Value) == 0 {
			r.gone[string(e.Key)] = true
		}
		if !stories.Holds(e.Key, e.Value) {
			continue
		}
		held, err := named.holds(e.Key)
		if err != nil {
			return err
		}
		isNamed := held && !named.gone
		if !isNamed && !e.Proven {
			continue
		}
		if !isNamed {
			unnamed = append(unnamed, slices.Clone(e.Key))
		}
		if err := batch.Set(slices.Clone(e.Key), slices.Clone(e.Value)); err != nil {
			return err
		}
	}
	if err := batch.Flush(); err != nil {
		return err
	}
	return r.placeStories(txn, unnamed)
}

// placeStories puts stories that an event of another revision names in their place. A bit that flips in the memory of a
// running server gets into the tables that it writes then, under their checksums.
func (r *repairer) placeStories(txn *badger.Txn, unnamed [][]byte) error {
	at, err := revisionsThatName(txn, unnamed)
	if err != nil {
		return err
	}
	batch := r.s.stories.Badger.NewWriteBatch()
	defer batch.Cancel()
	for _, key := range unnamed {
		revision := at[string(key[8:])]
		if revision == 0 {
			r.highest = max(r.highest, stories.Revision(key))
			continue
		}
		if err := r.s.stories.Rename(key, stories.Key(revision, key[8:]), batch); err != nil {
			return err
		}
	}
	return batch.Flush()
}

// giveUpStories marks each story that the journal names and that could not be found as gone: it is reported once.
func (r *repairer) giveUpStories() error {
	txn := r.s.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	batch := r.s.stories.Badger.NewWriteBatch()
	defer batch.Cancel()
	r.report.Missing, r.report.Gone = StoryLoss{}, StoryLoss{}
	fates := r.s.stories.Fates()
	for e, err := range journal.Entries(txn, 1) {
		if err := cmp.Or(r.ctx.Err(), err); err != nil {
			return err
		}
		rev, err := e.Decode()
		if err != nil {
			return err
		}
		for _, event := range rev.GetEvents() {
			if err := r.giveUpStory(fates, e.Revision, event, batch.Set); err != nil {
				return err
			}
		}
	}
	return batch.Flush()
}

func (r *repairer) giveUpStory(fates *stories.Fates, revision uint64, event *storev1.Event, set func(key, value []byte) error) error {
	hash := event.GetStoryHash()
	if len(hash) == 0 {
		return nil
	}
	key, lost := stories.Key(revision, hash), fates.Of(revision, hash).Lost
	known := r.gone[string(key)]
	r.report.Missing.note(revision, lost && !known)
	r.report.Gone.note(revision, lost && known)
	if !lost {
		return nil
	}
	return set(key, nil)
}
