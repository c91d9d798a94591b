package server

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store"
)

// standing is how far a subscriber got, with what is known of it since the server started.
type standing struct {
	sub     *store.Subscriber
	lag     store.Lag
	present present
	worst   *standing // of its children and theirs; nil: none is behind
	now     time.Time
}

// standings are those of subscribers of a view, in their order.
func (p *presence) standings(v *store.View, subs []*store.Subscriber) ([]*standing, error) {
	lags, err := v.Lags(subs)
	if err != nil {
		return nil, err
	}
	all, now := make([]*standing, len(subs)), v.Now()
	for i, sub := range subs {
		all[i] = &standing{sub: sub, lag: lags[i], present: p.status(sub), now: now}
	}
	raise(v, all)
	return all, nil
}

// raise gives each parent the worst of its tree.
func raise(v *store.View, all []*standing) {
	byID := make(map[policy.EventID]*standing, len(all))
	for _, s := range all {
		byID[s.sub.ID] = s
	}
	for _, s := range all {
		if s.applied().Pending == 0 {
			continue
		}
		for above := range v.Above(s.sub) {
			parent := byID[above.ID]
			if parent != nil && (parent.worst == nil || s.compare(parent.worst) < 0) {
				parent.worst = s
			}
		}
	}
}

// treeOf is a subscriber, first, and all that are below it.
func treeOf(v *store.View, root *store.Subscriber) []*store.Subscriber {
	tree := []*store.Subscriber{root}
	for _, sub := range v.Subscribers().All() {
		for above := range v.Above(sub) {
			if above == root {
				tree = append(tree, sub)
			}
		}
	}
	return tree
}

func (s *standing) applied() *store.StageLag { return s.lag.Of(feed.Applied) }

// isLate reports whether it, or one below it, has not applied a change in time.
func (s *standing) isLate() bool { return s.isLateItself() || s.worst != nil && s.worst.isLateItself() }

func (s *standing) isLateItself() bool { return s.applied().Late(s.now, s.sub.Deadline) }

// compare orders by who needs attention first, without names: what is late, then what is older.
func (s *standing) compare(o *standing) int {
	late := func(s *standing) int {
		if s.isLateItself() {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(late(s), late(o)), s.place().compare(o.place()))
}

// place is where a subscriber stands among others: pages of a list continue after it.
type place struct {
	Whole  bool  // it acknowledged nothing beyond the journal
	Oldest int64 // Unix nanoseconds of its oldest pending change; the greatest: none
	Name   string
}

func (s *standing) place() place {
	p := place{Whole: len(s.present.beyond) == 0, Oldest: 1<<63 - 1, Name: s.sub.Name}
	if oldest := s.applied().Oldest; !oldest.IsZero() {
		p.Oldest = oldest.UnixNano()
	}
	return p
}

func (p place) compare(o place) int {
	switch {
	case p.Whole != o.Whole && o.Whole:
		return -1
	case p.Whole != o.Whole:
		return 1
	}
	return cmp.Or(cmp.Compare(p.Oldest, o.Oldest), strings.Compare(p.Name, o.Name))
}

// slowestFirst sorts as ListSubscribers answers.
func slowestFirst(all []*standing) {
	slices.SortFunc(all, func(a, b *standing) int { return a.place().compare(b.place()) })
}
