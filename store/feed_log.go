package store

import (
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/secret"
)

// feedLog is the log of one subscriber's feed: each change leads from one hash to the next.
type feedLog struct {
	s          *Store
	subscriber policy.EventID  // zero: nobody's, which has no log
	blinds     *secret.Blinder // nil: not needed so far
	text       []byte          // room
}

// add adds a change, and gives it its blind.
func (l *feedLog) add(c *FeedChange, at *FeedCursor) {
	if l.subscriber == (policy.EventID{}) {
		return
	}
	if l.blinds == nil {
		l.blinds = l.s.secret.Blinder(l.subscriber)
	}
	c.Blind = l.blinds.Blind(c.ID)
	l.text = c.AppendText(l.text[:0])
	at.Hash = feed.Next(at.Hash, feed.Leaf(l.text, c.Blind))
	at.Changes++
}
