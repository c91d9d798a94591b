package server

import (
	"slices"
	"sync"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store"
)

// presence knows which subscribers are connected, and what else is known of them since the server started.
type presence struct {
	mu sync.Mutex
	of map[policy.EventID]*present
}

// present is what is known of one subscriber.
type present struct {
	streams int       // that are open
	seen    time.Time // when it last came, went or acknowledged anything; zero: not since the server started
	beyond  []beyondTip
	logged  time.Time // when a line about beyond was logged
}

// beyondTip is a signed acknowledgement of what this journal does not hold.
type beyondTip struct {
	epoch uint64 // of the subscriber when it came: a person who rebases it has dealt with this
	at    feed.Checkpoint
	seen  time.Time
	note  []byte
}

// Limits of what is kept and logged of one subscriber.
const (
	maxBeyond      = 4
	beyondLogEvery = time.Hour
)

func newPresence() *presence { return &presence{of: map[policy.EventID]*present{}} }

// change changes what is known of a subscriber, and notes that it was seen.
func (p *presence) change(id policy.EventID, change func(*present)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.of[id]
	if known == nil {
		known = new(present)
		p.of[id] = known
	}
	known.seen = time.Now()
	change(known)
}

// join notes that a subscriber has opened a stream, until leave is called.
func (p *presence) join(id policy.EventID) (leave func()) {
	p.change(id, func(s *present) { s.streams++ })
	return func() { p.change(id, func(s *present) { s.streams-- }) }
}

// see notes that a subscriber has acknowledged something.
func (p *presence) see(id policy.EventID) { p.change(id, func(*present) {}) }

// keepBeyond keeps an acknowledgement of what the journal does not hold. It reports whether a line should be logged about it.
func (p *presence) keepBeyond(sub *store.Subscriber, at feed.Checkpoint, note []byte) (log bool) {
	p.change(sub.ID, func(s *present) {
		s.beyond = slices.DeleteFunc(s.beyond, func(b beyondTip) bool {
			return b.epoch != sub.Epoch || b.at.Journal == at.Journal && b.at.Revision == at.Revision && b.at.Tag == at.Tag
		})
		s.beyond = append([]beyondTip{{sub.Epoch, at, s.seen, slices.Clone(note)}}, s.beyond...)
		s.beyond = s.beyond[:min(len(s.beyond), maxBeyond)]
		if log = s.seen.Sub(s.logged) >= beyondLogEvery; log {
			s.logged = s.seen
		}
	})
	return log
}

// status is what is known of a subscriber now.
func (p *presence) status(sub *store.Subscriber) present {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.of[sub.ID]
	if known == nil {
		return present{}
	}
	now := *known
	if now.streams > 0 {
		now.seen = time.Now()
	}
	now.beyond = nil
	for _, b := range known.beyond {
		if b.epoch == sub.Epoch {
			now.beyond = append(now.beyond, b)
		}
	}
	return now
}
