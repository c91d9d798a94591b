package client

import (
	"bytes"
	"fmt"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// feedLog is the log of a subscriber as far as a base has it: how many changes, and their hash.
type feedLog struct {
	epoch   uint64
	changes uint64
	hash    feed.Hash
	at      *dncv1.FeedCursor
}

// begin takes the log up at a cursor.
func (l *feedLog) begin(at *dncv1.FeedCursor) error {
	*l = feedLog{epoch: at.GetEpoch(), changes: at.GetChanges(), at: at}
	if at == nil {
		return nil
	}
	if len(at.GetHash()) != len(l.hash) {
		return feedBroken("a cursor without a hash")
	}
	l.hash = feed.Hash(at.GetHash())
	return nil
}

// take adds the changes of a message, and compares what they lead to with what the server states.
func (l *feedLog) take(m *dncv1.WatchResponse) error {
	for _, change := range m.GetChanges() {
		if change.GetListRows() != nil {
			continue
		}
		leaf, err := leafOf(change)
		if err != nil {
			return err
		}
		l.hash, l.changes = feed.Next(l.hash, leaf), l.changes+1
	}
	to := m.GetCursor()
	if to.GetEpoch() != l.epoch || to.GetChanges() != l.changes || !bytes.Equal(to.GetHash(), l.hash[:]) {
		return fmt.Errorf("%w: the changes from position %d to position %d are not those of the server's log: it states change %d with another hash "+
			"or number than change %d here: report it to the server's operator, and keep calling by what the base holds",
			ErrFeedBroken, l.at.GetPosition().GetRevision(), to.GetPosition().GetRevision(), to.GetChanges(), l.changes)
	}
	l.at = to
	return nil
}

func leafOf(m *dncv1.FeedChange) (feed.Hash, error) {
	c, err := toFeedChange(m)
	if err != nil {
		return feed.Hash{}, err
	}
	if len(m.GetBlind()) != len(feed.Hash{}) {
		return feed.Hash{}, feedBroken("a change without its blind")
	}
	return feed.Leaf(c.AppendText(nil), feed.Hash(m.GetBlind())), nil
}

// toFeedChange is a change as the log has it.
func toFeedChange(m *dncv1.FeedChange) (c feed.Change, err error) {
	c.ID = toEventID(m.GetId())
	switch kind := m.GetChange().(type) {
	case *dncv1.FeedChange_Set:
		c.Kind, c.Number, c.Scope = feed.Set, phone.Number(kind.Set.GetNumber()), feed.Scope(kind.Set.GetScope())
		c.Until = fromTime(kind.Set.GetUntil())
	case *dncv1.FeedChange_Remove:
		c.Kind, c.Number, c.Scope = feed.Remove, phone.Number(kind.Remove.GetNumber()), feed.Scope(kind.Remove.GetScope())
	case *dncv1.FeedChange_List:
		err = setList(&c, feed.ListSet, kind.List)
	case *dncv1.FeedChange_Moved:
		err = setList(&c, feed.ListMoved, kind.Moved)
	case *dncv1.FeedChange_Gone:
		err = setList(&c, feed.ListGone, kind.Gone)
	case *dncv1.FeedChange_Doubt:
		err = setList(&c, feed.ListDoubt, kind.Doubt)
	default:
		err = feedBroken("a change of a kind that this version does not know: install a newer one")
	}
	return c, err
}

func setList(c *feed.Change, kind feed.Kind, m *dncv1.FeedList) error {
	c.Kind, c.List, c.Name, c.Scope, c.Numbers = kind, toEventID(m.GetId()), m.GetName(), feed.Scope(m.GetScope()), m.GetNumbers()
	switch sum := m.GetContentSha256(); len(sum) {
	case 0:
	case len(c.SHA256):
		c.SHA256 = feed.Hash(sum)
	default:
		return feedBroken("a hash of a list that is not 32 bytes")
	}
	return nil
}
