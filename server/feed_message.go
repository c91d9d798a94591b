package server

import (
	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// changeRoom is the messages that most changes consist of, so that a batch takes one allocation for all of them.
type changeRoom struct {
	change dncv1.FeedChange
	id     dncv1.EventId
	time   timestamppb.Timestamp
	oneof  dncv1.FeedChange_Set
	set    dncv1.FeedSet
}

func changeMessages(changes []store.FeedChange) []*dncv1.FeedChange {
	out, rooms := make([]*dncv1.FeedChange, len(changes)), make([]changeRoom, len(changes))
	for i := range changes {
		out[i] = rooms[i].message(&changes[i])
	}
	return out
}

// message is one change as the contract has it.
func (r *changeRoom) message(c *store.FeedChange) *dncv1.FeedChange {
	m := &r.change
	m.Id, m.Time = &r.id, &r.time
	r.id.Revision, r.id.Index = c.ID.Revision, c.ID.Index
	r.time.Seconds, r.time.Nanos = c.Time.Unix(), int32(c.Time.Nanosecond())
	if c.Blind != (feed.Hash{}) {
		m.Blind = c.Blind[:]
	}
	list := func() *dncv1.FeedList {
		return &dncv1.FeedList{Id: eventID(c.List), Name: c.Name, Scope: string(c.Scope), Numbers: c.Numbers, ContentSha256: hashBytes(c.SHA256)}
	}
	switch {
	case c.Rows != nil:
		m.Change = &dncv1.FeedChange_ListRows{ListRows: &dncv1.FeedListRows{List: eventID(c.List), Removed: c.Rows.Removed, Ascending: c.Rows.Ascending}}
		return m
	}
	switch c.Kind {
	case feed.Set:
		r.set.Number, r.set.Scope, r.set.Until = uint64(c.Number), string(c.Scope), stamp(c.Until)
		r.oneof.Set = &r.set
		m.Change = &r.oneof
	case feed.Remove:
		m.Change = &dncv1.FeedChange_Remove{Remove: &dncv1.FeedRemove{Number: uint64(c.Number), Scope: string(c.Scope)}}
	case feed.ListSet:
		m.Change = &dncv1.FeedChange_List{List: list()}
	case feed.ListMoved:
		m.Change = &dncv1.FeedChange_Moved{Moved: list()}
	case feed.ListGone:
		m.Change = &dncv1.FeedChange_Gone{Gone: list()}
	case feed.ListDoubt:
		m.Change = &dncv1.FeedChange_Doubt{Doubt: list()}
	}
	return m
}

func hashBytes(h feed.Hash) []byte {
	if h.IsZero() {
		return nil
	}
	return h[:]
}
