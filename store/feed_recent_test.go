package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/keys"
)

// What is kept of the last revisions is bounded, and is never taken for more than it is.
func TestRecentRevisionsAreBounded(t *testing.T) {
	t.Parallel()
	var r recentRevisions
	r.begin(10)
	acme, other := newTopicSet(inScopes("acme")), newTopicSet(inScopes("other"))
	add := func(revision uint64, scope policy.Scope) {
		r.add(revision, []apply.Touched{{Topic: keys.ScopeTopic(scope), Changes: 1}})
	}
	add(11, "acme")
	add(12, "other")
	for _, c := range []struct {
		topics      *topicSet
		after, want uint64
		known       bool
	}{{acme, 9, 0, false}, {acme, 10, 11, true}, {acme, 11, 0, true}, {other, 10, 12, true}, {other, 12, 0, true}} {
		if next, known := r.after(c.after, 12, c.topics); next != c.want || known != c.known {
			t.Errorf("after %d: %d, %v; want %d, %v", c.after, next, known, c.want, c.known)
		}
	}
	const last = 12 + 2*recentKept
	for revision := uint64(13); revision <= last; revision++ {
		add(revision, "acme")
	}
	if _, known := r.after(last-recentKept-1, last, other); known {
		t.Error("a revision whose topics were overwritten is said to be known")
	}
	if next, known := r.after(last-recentKept, last, acme); !known || next != last-recentKept+1 {
		t.Errorf("the oldest that is kept: %d, %v", next, known)
	}
	reads := 0
	read := func(revision uint64) (*feedRevision, error) {
		reads++
		return &feedRevision{revision: revision, changes: make([]topicChange, recentChanges/4)}, nil
	}
	for range 2 {
		for revision := uint64(last - 9); revision <= last; revision++ {
			if rev, err := r.get(revision, read); err != nil || rev.revision != revision {
				t.Fatal(rev, err)
			}
		}
		_, _ = r.get(last, read)
	}
	if reads != 20 || len(r.read) > 4 || r.changes > recentChanges {
		t.Errorf("%d reads; %d revisions with %d changes are kept, want at most 4", reads, len(r.read), r.changes)
	}
}

// A revision that could not be read is tried again.
func TestRecentRevisionIsReadAgainAfterAnError(t *testing.T) {
	t.Parallel()
	var r recentRevisions
	r.begin(0)
	r.add(1, nil)
	failed := errors.New("no")
	for i, want := range []error{failed, nil, nil} {
		_, err := r.get(1, func(uint64) (*feedRevision, error) {
			if i == 2 {
				return nil, fmt.Errorf("read once more than needed")
			}
			return &feedRevision{}, want
		})
		if !errors.Is(err, want) {
			t.Errorf("reading %d: %v, want %v", i, err, want)
		}
	}
}
