package store

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/dgraph-io/badger/v4"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// changeBook follows the journal, to compare it with the counts of changes that feeds read by.
type changeBook struct {
	since  uint64 // the first revision that is counted; 0: none is
	counts map[keys.Topic]*storev1.FeedCount
	found  int  // keys of revisions
	broken bool // nothing more is compared: what comes after a mismatch follows from it
}

var errMiscounted = fmt.Errorf("%w: the changes that feeds read are not counted as the journal has them", ErrDamaged)

// open finds where counting begins. Where the journal ends with revisions that are not counted yet, the next start counts them.
func (b *changeBook) open(txn *badger.Txn) (err error) {
	b.counts = map[keys.Topic]*storev1.FeedCount{}
	if b.since, err = countedSince(txn); err != nil {
		return err
	}
	last, found, err := journal.Last(txn, math.MaxUint64)
	if err != nil || !found {
		return nil //nolint:nilerr // the walk through the journal reports that
	}
	counted, err := last.IsCounted()
	b.broken = err == nil && !counted
	return nil
}

// follow compares the changes of a revision.
func (b *changeBook) follow(txn *badger.Txn, revision uint64, topics iter.Seq2[keys.Topic, error]) error {
	if b.broken || b.since == 0 || revision < b.since {
		return nil
	}
	var changed []keys.Topic
	for topic, err := range topics {
		if err != nil {
			return err
		}
		c := b.counts[topic]
		if c == nil {
			c = new(storev1.FeedCount)
			b.counts[topic] = c
		}
		if c.GetRevision() != revision {
			changed = append(changed, topic)
		}
		c.Changes, c.Revision = c.GetChanges()+1, revision
	}
	for _, topic := range changed {
		if err := b.compare(txn, keys.Changed(topic, revision), b.counts[topic]); err != nil {
			return err
		}
		b.found++
	}
	return nil
}

// end compares what there is as a whole.
func (b *changeBook) end(txn *badger.Txn) error {
	if b.broken {
		return nil
	}
	for topic, c := range b.counts {
		if err := b.compare(txn, keys.Counted(topic), c); err != nil {
			return err
		}
	}
	topics := len(b.counts)
	if b.since > 0 {
		topics++ // where counting begins
	}
	if countKeys(txn, keys.KindTopic) != topics || countKeys(txn, keys.KindChange) != b.found {
		return errMiscounted
	}
	return nil
}

func (b *changeBook) compare(txn *badger.Txn, key []byte, want *storev1.FeedCount) error {
	var got storev1.FeedCount
	_, err := state.Get(txn, key, &got)
	if err == nil && (got.GetChanges() != want.GetChanges() || got.GetRevision() != want.GetRevision()) {
		err = fmt.Errorf("%w: revision %d", errMiscounted, want.GetRevision())
	}
	b.broken = errors.Is(err, ErrDamaged)
	return err
}

func countKeys(txn *badger.Txn, kind byte) (n int) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		n++
	}
	return n
}

// changes compares the revision with what is counted of it.
func (c *checker) changes(revision uint64, rev *storev1.Revision) {
	if err := c.changeBook.follow(c.txn, revision, c.s.topicsOf(revision, rev)); err != nil {
		c.problem(err)
	}
}

// changesAsCounted compares what is counted as a whole.
func (c *checker) changesAsCounted() error { return c.changeBook.end(c.txn) }
