package store

import (
	"fmt"
	"iter"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
)

// A version that knows no feeds can write to a store whose changes are counted, and counts none: a base that is behind would never
// get what it wrote. So each revision says whether its changes are counted, and those at the end of the journal that do not are
// counted when the store is opened, before anything reads feeds. What was counted before is counted again if the process dies meanwhile.

// topicsOf yields the topic of each change that a revision is to feeds.
func (s *Store) topicsOf(revision uint64, rev *storev1.Revision) iter.Seq2[keys.Topic, error] {
	return func(yield func(keys.Topic, error) bool) {
		for _, e := range rev.GetEvents() {
			topic, is := apply.TopicOf(e)
			var err error
			if u := e.GetListUpdated(); u != nil {
				topic = keys.ListTopic(state.ListID(u.GetList()))
				is, err = s.listMoved(state.ListID(u.GetList()), revision)
			}
			if (is || err != nil) && !yield(topic, err) || err != nil {
				return
			}
		}
	}
}

// countRest counts the changes of the revisions at the end of the journal that are not counted.
func (s *Store) countRest(tip uint64) error {
	txn := s.db.NewTransactionAt(tip, false)
	defer txn.Discard()
	since, err := countedSince(txn)
	if err != nil || since == 0 {
		return err
	}
	first, err := firstUncounted(txn, tip)
	if first = max(first, since); err != nil || first > tip {
		return err
	}
	s.log.Info("counting the changes for feeds that an earlier version recorded", "from_revision", first, "to_revision", tip)
	r := &recount{s: s, before: s.db.NewTransactionAt(first-1, false), batch: s.db.NewManagedWriteBatch(), at: tip, counts: map[keys.Topic]*storev1.FeedCount{}}
	defer r.before.Discard()
	defer r.batch.Cancel()
	for e, err := range journal.Entries(txn, first) {
		if err == nil {
			err = r.add(&e)
		}
		if err != nil {
			return fmt.Errorf("count the changes for feeds: %w", err)
		}
	}
	return r.end()
}

// firstUncounted is the first of the revisions up to the tip that are not counted; tip+1: all are.
func firstUncounted(txn *badger.Txn, tip uint64) (uint64, error) {
	first := tip + 1
	for e, err := range journal.Backward(txn, tip) {
		if err != nil {
			return first, err
		}
		if counted, err := e.IsCounted(); err != nil || counted {
			return first, err
		}
		first = e.Revision
	}
	return first, nil
}

// recount counts the changes of revisions as Applier does, and writes the counts at the end of the journal.
type recount struct {
	s      *Store
	before *badger.Txn // what was counted before
	batch  *badger.WriteBatch
	at     uint64
	counts map[keys.Topic]*storev1.FeedCount
}

func (r *recount) add(e *journal.Entry) error {
	rev, err := e.Decode()
	if err != nil {
		return err
	}
	changed := map[keys.Topic]bool{}
	for topic, err := range r.s.topicsOf(e.Revision, rev) {
		if err != nil {
			return err
		}
		c := r.counts[topic]
		if c == nil {
			c = new(storev1.FeedCount)
			if _, err := state.Get(r.before, keys.Counted(topic), c); err != nil {
				return err
			}
			r.counts[topic] = c
		}
		c.Changes, c.Revision = c.GetChanges()+1, e.Revision
		changed[topic] = true
	}
	for topic := range changed {
		if err := r.put(keys.Changed(topic, e.Revision), r.counts[topic]); err != nil {
			return err
		}
	}
	return nil
}

// end writes the counts of topics, last: until then the next start begins again.
func (r *recount) end() error {
	for topic, c := range r.counts {
		if err := r.put(keys.Counted(topic), c); err != nil {
			return err
		}
	}
	return r.batch.Flush()
}

func (r *recount) put(key []byte, c *storev1.FeedCount) error {
	b, err := proto.Marshal(c)
	if err != nil {
		return err
	}
	return r.batch.SetEntryAt(badger.NewEntry(key, seal.Value(key, b)), r.at)
}
