package store

import (
	"bytes"
	"cmp"
	"container/heap"
	"errors"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// CountChanges is how many changes that concern a filter the view holds after a revision. It costs two reads for each scope and
// list that concerns it. Those that an earlier version recorded, which knew no feeds, are not counted.
func (v *View) CountChanges(f feed.Filter, after uint64) (n uint64, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn, before := v.s.db.NewTransactionAt(v.revision, false), v.s.db.NewTransactionAt(after, false)
	defer txn.Discard()
	defer before.Discard()
	for c, err := range newTopicSet(f).each(txn) {
		if err != nil {
			return 0, err
		}
		if c.GetRevision() <= after {
			continue
		}
		var then storev1.FeedCount
		if _, err := state.Get(before, keys.Counted(c.topic), &then); err != nil {
			return 0, err
		}
		n += c.GetChanges() - then.GetChanges()
	}
	return n, v.complete()
}

// NextChange is the first revision of the view after another one with a change that concerns a filter; found false: there is
// none. It costs a seek for each scope and list that concerns it. As CountChanges it knows no changes of an earlier version.
func (v *View) NextChange(f feed.Filter, after uint64) (revision uint64, found bool, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	x := v.indexOf(newTopicSet(f))
	defer x.close()
	if err := x.seekAll(after); err != nil {
		return 0, false, err
	}
	revision, found = x.first()
	return revision, found, v.complete()
}

// changeIndex names the revisions with changes that concern a filter, of one view.
type changeIndex struct {
	topics *topicSet
	s      *Store
	upTo   uint64
	since  uint64    // the first revision that is counted; 0: none is
	next   upcomings // the next revision of each topic that has one
	txn    *badger.Txn
	it     *badger.Iterator // nil: not open
}

// upcoming is the next revision that changed a topic.
type upcoming struct {
	revision uint64
	topic    keys.Topic
}

func (v *View) indexOf(t *topicSet) *changeIndex {
	return &changeIndex{topics: t, s: v.s, upTo: v.revision}
}

// open opens what seeks need, until close.
func (x *changeIndex) open() {
	if x.it == nil {
		x.txn = x.s.db.NewTransactionAt(x.upTo, false)
		x.it = x.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keys.KindChange}})
	}
}

func (x *changeIndex) close() {
	if x.it != nil {
		x.it.Close()
		x.txn.Discard()
		x.it, x.txn = nil, nil
	}
}

// begin begins behind a revision.
func (x *changeIndex) begin(after uint64) (err error) {
	x.open()
	if x.since, err = countedSince(x.txn); err != nil || x.topics.all() {
		return err
	}
	return x.seekAll(after)
}

// nextFor is the next revision after another one, which no call before it was beyond, that may concern the filter. What a filter
// of every scope is about, and what an earlier version recorded, is read revision by revision.
func (x *changeIndex) nextFor(after uint64) (uint64, bool, error) {
	x.open()
	if !x.topics.all() && x.since > 0 && after+1 >= x.since {
		next, found := x.after(after)
		return next, found, nil
	}
	return revisionAfter(x.txn, after)
}

// seekAll finds the next revision after one of each topic.
func (x *changeIndex) seekAll(after uint64) error {
	x.open()
	x.next = x.next[:0]
	for c, err := range x.topics.each(x.txn) {
		if err != nil {
			return err
		}
		if c.GetRevision() <= after {
			continue
		}
		if u, found := x.seek(c.topic, after); found {
			x.next = append(x.next, u)
		}
	}
	heap.Init(&x.next)
	return nil
}

// seek finds the next revision after one that changed a topic.
func (x *changeIndex) seek(topic keys.Topic, after uint64) (upcoming, bool) {
	prefix := keys.ChangedPrefix(topic)
	x.it.Seek(keys.Changed(topic, after+1))
	if !x.it.Valid() || !bytes.HasPrefix(x.it.Item().Key(), prefix) {
		return upcoming{}, false
	}
	return upcoming{keys.ChangedRevision(x.it.Item().Key()), topic}, true
}

// first is the first of the next revisions.
func (x *changeIndex) first() (uint64, bool) {
	if len(x.next) == 0 {
		return 0, false
	}
	return x.next[0].revision, true
}

// after is the first revision after another one, which no call before it was beyond.
func (x *changeIndex) after(revision uint64) (uint64, bool) {
	x.open()
	for len(x.next) > 0 && x.next[0].revision <= revision {
		u, found := x.seek(x.next[0].topic, revision)
		if !found {
			heap.Pop(&x.next)
			continue
		}
		x.next[0] = u
		heap.Fix(&x.next, 0)
	}
	return x.first()
}

// upcomings is a heap by revision.
type upcomings []upcoming

func (u upcomings) Len() int           { return len(u) }
func (u upcomings) Less(i, j int) bool { return u[i].revision < u[j].revision }
func (u upcomings) Swap(i, j int)      { u[i], u[j] = u[j], u[i] }
func (u *upcomings) Push(x any)        { *u = append(*u, x.(upcoming)) }
func (u *upcomings) Pop() any {
	last := len(*u) - 1
	x := (*u)[last]
	*u = (*u)[:last]
	return x
}

// countedSince is the first revision whose changes are counted; 0: none is. Those before it are of an earlier version.
func countedSince(txn *badger.Txn) (uint64, error) {
	var c storev1.FeedCount
	_, err := state.Get(txn, keys.CountedSince(), &c)
	return c.GetRevision(), err
}

// revisionAfter is the first revision of the journal after another one: a loss that was accepted and a copy that was put back
// leave numbers out.
func revisionAfter(txn *badger.Txn, revision uint64) (next uint64, found bool, err error) {
	_, err = txn.Get(journal.Key(revision + 1))
	if !errors.Is(err, badger.ErrKeyNotFound) {
		return revision + 1, err == nil, err
	}
	for e, err := range journal.Entries(txn, revision+1) {
		return e.Revision, err == nil, err
	}
	return 0, false, nil
}

// listMoved reports whether a revision gave a list another scope.
func (s *Store) listMoved(id policy.EventID, revision uint64) (bool, error) {
	before, had, err := s.listStateAt(id, revision-1)
	now, has, wrong := s.listStateAt(id, revision)
	moved := had && has && now.GetSettings().GetScope() != before.GetSettings().GetScope()
	return moved, cmp.Or(err, wrong)
}

// listStateAt is the state of a list at a revision, and whether it was there.
func (s *Store) listStateAt(id policy.EventID, revision uint64) (*storev1.ListState, bool, error) {
	txn := s.db.NewTransactionAt(revision, false)
	defer txn.Discard()
	l := new(storev1.ListState)
	found, err := state.Get(txn, keys.List(id), l)
	return l, found, err
}
