package store

import (
	"iter"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// topicSet is the topics that concern a filter: its lists, and the scopes at, above and below its own.
type topicSet struct {
	exact  map[keys.Topic]bool // the filter's scopes and lists; everyone's scope for all
	above  map[keys.Topic]bool // scopes above one of them
	scopes []policy.Scope      // the filter's, without those that are below another
	lists  []keys.Topic
}

func newTopicSet(f feed.Filter) *topicSet {
	t := &topicSet{exact: map[keys.Topic]bool{}, above: map[keys.Topic]bool{}, scopes: outermost(f.Scopes)}
	for _, s := range t.scopes {
		t.exact[keys.ScopeTopic(s)] = true
		for outer := range scopesAbove(s) {
			t.above[keys.ScopeTopic(outer)] = true
		}
	}
	for _, id := range f.Lists {
		topic := keys.ListTopic(id)
		t.lists = append(t.lists, topic)
		t.exact[topic] = true
	}
	return t
}

// outermost are scopes without those that are below another; everyone's for none.
func outermost(scopes []policy.Scope) []policy.Scope {
	if len(scopes) == 0 {
		return []policy.Scope{""}
	}
	var out []policy.Scope
	for _, s := range slices.Sorted(slices.Values(scopes)) { // one above comes before those below it
		if !slices.ContainsFunc(out, func(o policy.Scope) bool { return o.Holds(s) }) {
			out = append(out, s)
		}
	}
	return out
}

// scopesAbove yields the scopes above s, the nearest first and everyone's last.
func scopesAbove(s policy.Scope) iter.Seq[policy.Scope] {
	return func(yield func(policy.Scope) bool) {
		for s != "" {
			s = s[:max(0, strings.LastIndexByte(string(s), '/'))]
			if !yield(s) {
				return
			}
		}
	}
}

// has reports whether a topic concerns the filter.
func (t *topicSet) has(topic keys.Topic) bool {
	if t.exact[topic] || t.above[topic] {
		return true
	}
	if !topic.IsScope() {
		return false
	}
	for outer := range scopesAbove(policy.Scope(topic)) {
		if t.exact[keys.ScopeTopic(outer)] {
			return true
		}
	}
	return false
}

// all reports whether every scope concerns the filter.
func (t *topicSet) all() bool { return t.exact[keys.ScopeTopic("")] }

// counted is a topic with its changes up to a view.
type counted struct {
	topic keys.Topic
	*storev1.FeedCount
}

// each yields the topics that concern the filter and have had a change, as the transaction sees them.
func (t *topicSet) each(txn *badger.Txn) iter.Seq2[counted, error] {
	return func(yield func(counted, error) bool) {
		for topic := range t.above {
			if !yieldCounted(txn, topic, yield) {
				return
			}
		}
		for _, topic := range t.lists {
			if !yieldCounted(txn, topic, yield) {
				return
			}
		}
		for _, s := range t.scopes {
			if !yieldCounted(txn, keys.ScopeTopic(s), yield) || !yieldBelow(txn, s, yield) {
				return
			}
		}
	}
}

func yieldCounted(txn *badger.Txn, topic keys.Topic, yield func(counted, error) bool) bool {
	c := counted{topic, new(storev1.FeedCount)}
	found, err := state.Get(txn, keys.Counted(topic), c.FeedCount)
	return err == nil && !found || yield(c, err)
}

// yieldBelow yields the scopes below s.
func yieldBelow(txn *badger.Txn, s policy.Scope, yield func(counted, error) bool) bool {
	opt := badger.DefaultIteratorOptions
	opt.Prefix = keys.Counted(keys.ScopeTopic(s))
	if s != "" {
		opt.Prefix = append(opt.Prefix, '/')
	}
	it := txn.NewIterator(opt)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		c := counted{keys.CountedTopic(item.Key()), new(storev1.FeedCount)}
		if !c.topic.IsScope() || c.topic == keys.ScopeTopic(s) {
			continue
		}
		err := item.Value(func(v []byte) error { return state.Decode(item.Key(), v, c.FeedCount) })
		if !yield(c, err) || err != nil {
			return false
		}
	}
	return true
}
