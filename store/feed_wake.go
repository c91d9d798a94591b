package store

import (
	"sync"
	"sync/atomic"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/keys"
)

// feeds is what the committer tells the feeds that are open.
type feeds struct {
	view atomic.Pointer[View] // the newest that they were told of

	mu    sync.Mutex
	exact map[keys.Topic]map[*Feed]bool // by the scopes and lists of their filters
	above map[keys.Topic]map[*Feed]bool // by the scopes above these
	woken []*Feed                       // room

	recent recentRevisions
	read   atomic.Uint64 // revisions that were read and decoded
}

// begin is called once, before anything is committed.
func (h *feeds) begin(v *View) {
	h.exact, h.above = map[keys.Topic]map[*Feed]bool{}, map[keys.Topic]map[*Feed]bool{}
	h.recent.begin(v.revision)
	h.view.Store(v)
}

// note tells the feeds of a view that was published, and wakes those whose filter the revision touched. A feed that sees the view
// sees what was touched, so that it may skip the revision without looking. It costs lookups, however many feeds wait.
func (h *feeds) note(v *View, touched []apply.Touched) {
	h.recent.add(v.revision, touched)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.woken = h.woken[:0]
	for _, t := range touched {
		h.touch(h.exact[t.Topic], v.revision)
		h.touch(h.above[t.Topic], v.revision)
		if !t.Topic.IsScope() {
			continue
		}
		for outer := range scopesAbove(policy.Scope(t.Topic)) {
			h.touch(h.exact[keys.ScopeTopic(outer)], v.revision)
		}
	}
	h.view.Store(v)
	for i, f := range h.woken {
		select {
		case f.wake <- struct{}{}:
		default:
		}
		h.woken[i] = nil
	}
}

func (h *feeds) touch(waiting map[*Feed]bool, revision uint64) {
	for f := range waiting {
		if f.touched.Swap(revision) != revision {
			h.woken = append(h.woken, f)
		}
	}
}

// add has a feed woken from now on. What was committed before may have touched it.
func (h *feeds) add(f *Feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.touched.Store(h.view.Load().revision)
	for topic := range f.topics.exact {
		addTo(h.exact, topic, f)
	}
	for topic := range f.topics.above {
		addTo(h.above, topic, f)
	}
}

func (h *feeds) remove(f *Feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for topic := range f.topics.exact {
		removeFrom(h.exact, topic, f)
	}
	for topic := range f.topics.above {
		removeFrom(h.above, topic, f)
	}
}

func addTo(m map[keys.Topic]map[*Feed]bool, topic keys.Topic, f *Feed) {
	if m[topic] == nil {
		m[topic] = map[*Feed]bool{}
	}
	m[topic][f] = true
}

func removeFrom(m map[keys.Topic]map[*Feed]bool, topic keys.Topic, f *Feed) {
	delete(m[topic], f)
	if len(m[topic]) == 0 {
		delete(m, topic)
	}
}
