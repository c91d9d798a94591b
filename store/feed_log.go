package store

import (
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
)

// feedLog is the log of one subscriber's feed: each change leads from one hash to the next.
type feedLog struct {
	s          *Store
	subscriber policy.EventID // zero: nobody's, which has no log
	text       []byte         // room
}

// add adds a change, and gives it its blind.
func (l *feedLog) add(c *FeedChange, at *FeedCursor) {
	if l.subscriber == (policy.EventID{}) {
		return
	}
	c.Blind = l.s.blind(l.subscriber, c.ID)
	l.text = c.AppendText(l.text[:0])
	at.Hash = feed.Next(at.Hash, feed.Leaf(l.text, c.Blind))
	at.Changes++
}

// blind is the key of one change for one subscriber.
func (s *Store) blind(subscriber, event policy.EventID) feed.Hash {
	return s.secret.Blind(subscriber, event)
}
