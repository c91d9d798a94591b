package store

import (
	"sync"

	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/keys"
)

// The revisions that are kept for the feeds near the tip, which share them.
const (
	recentKept    = 4096      // whose topics are known
	recentChanges = 128 << 10 // changes of revisions that a feed has read: some 30 MiB
)

// recentRevisions are the topics of the last revisions, and what those of them that a feed has read mean. The first feed to read
// one reads it for all.
type recentRevisions struct {
	mu      sync.RWMutex
	last    uint64
	topics  [recentKept][]keys.Topic // of the revisions up to last, each at its remainder
	first   uint64                   // the first that is kept
	read    map[uint64]*recentRevision
	order   []uint64 // of read, oldest first
	changes int      // of read
}

// recentRevision is a revision that was read, or is being read.
type recentRevision struct {
	once sync.Once
	rev  *feedRevision
	err  error
}

func (r *recentRevisions) begin(last uint64) {
	r.first, r.last, r.read = last+1, last, map[uint64]*recentRevision{}
}

func (r *recentRevisions) add(revision uint64, touched []apply.Touched) {
	topics := make([]keys.Topic, len(touched))
	for i, t := range touched {
		topics[i] = t.Topic
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.topics[revision%recentKept] = topics
	r.last = revision
	if r.first+recentKept <= revision {
		r.first = revision - recentKept + 1
	}
}

// after is the first revision after another one that touched any of the topics, up to a last one; 0 when there is none. Known
// is false when the revisions are not kept any more.
func (r *recentRevisions) after(revision, upTo uint64, topics *topicSet) (next uint64, known bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if revision+1 < r.first {
		return 0, false
	}
	for next = revision + 1; next <= upTo; next++ {
		for _, topic := range r.topics[next%recentKept] {
			if topics.has(topic) {
				return next, true
			}
		}
	}
	return 0, true
}

// get is what a revision means, of a recent one read at most once.
func (r *recentRevisions) get(revision uint64, read func(uint64) (*feedRevision, error)) (*feedRevision, error) {
	kept := r.slot(revision)
	if kept == nil {
		return read(revision)
	}
	kept.once.Do(func() {
		kept.rev, kept.err = read(revision)
		r.keep(revision, kept)
	})
	return kept.rev, kept.err
}

// slot is the place of a revision, nil for one that is not kept.
func (r *recentRevisions) slot(revision uint64) *recentRevision {
	r.mu.RLock()
	kept, isRecent := r.read[revision], revision >= r.first
	r.mu.RUnlock()
	if kept != nil || !isRecent {
		return kept
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.read[revision] == nil {
		r.read[revision] = new(recentRevision)
	}
	return r.read[revision]
}

// keep counts a revision that was read, and drops the oldest ones that there is no room for. One that could not be read is tried
// again.
func (r *recentRevisions) keep(revision uint64, read *recentRevision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if read.err != nil {
		delete(r.read, revision)
		return
	}
	r.order = append(r.order, revision)
	r.changes += len(read.rev.changes)
	for len(r.order) > 1 && (r.changes > recentChanges || len(r.order) > recentKept) {
		oldest := r.order[0]
		r.changes -= len(r.read[oldest].rev.changes)
		delete(r.read, oldest)
		r.order = r.order[1:]
	}
}
