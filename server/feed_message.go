package server

import (
	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

func changeMessages(changes []store.FeedChange) []*dncv1.FeedChange {
	out := make([]*dncv1.FeedChange, len(changes))
	for i := range changes {
		out[i] = changeMessage(&changes[i])
	}
	return out
}

// changeMessage is one change as the contract has it.
func changeMessage(c *store.FeedChange) *dncv1.FeedChange {
	m := &dncv1.FeedChange{Id: eventID(c.ID), Time: stamp(c.Time)}
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
		m.Change = &dncv1.FeedChange_Set{Set: &dncv1.FeedSet{Number: uint64(c.Number), Scope: string(c.Scope), Until: stamp(c.Until)}}
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
