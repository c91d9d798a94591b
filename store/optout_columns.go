package store

import (
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
	"github.com/dncd/dncd/store/internal/stories"
)

// The journal holds the rows of a file as columns: one storev1.OptOuts for many rows. It is a way of writing, and no event of
// its own: a reader of a revision gets one event a row, see journal.Entry.Decode.

// optOutColumns makes the columns, row by row.
type optOutColumns struct {
	m                 storev1.OptOuts
	kinds             map[optOutKind]uint32
	stories           []*stories.Sealed          // of story_hashes
	hashes            map[*stories.Sealed]uint32 // places in story_hashes, from 1
	received, expires int64                      // of the row before
}

type optOutKind struct {
	scope   policy.Scope
	channel policy.Channel
	desk    policy.EventID
}

func newOptOutColumns(rows int) *optOutColumns {
	c := &optOutColumns{kinds: map[optOutKind]uint32{}, hashes: map[*stories.Sealed]uint32{}}
	c.m.Numbers = make([]uint64, 0, rows)
	c.m.Kind, c.m.StoryHash, c.m.Story = make([]uint32, 0, rows), make([]uint32, 0, rows), make([]uint32, 0, rows)
	c.m.ReceivedAt, c.m.ExpiresAt = make([]int64, 0, rows), make([]int64, 0, rows)
	return c
}

func (c *optOutColumns) add(o *OptOut, story stories.Ref) {
	received, expires := state.Nano(o.ReceivedAt), state.Nano(o.ExpiresAt)
	c.m.Numbers = append(c.m.Numbers, uint64(o.Number))
	c.m.Kind = append(c.m.Kind, c.kindOf(o))
	c.m.ReceivedAt = append(c.m.ReceivedAt, received-c.received)
	c.m.ExpiresAt = append(c.m.ExpiresAt, expires-c.expires)
	c.m.StoryHash = append(c.m.StoryHash, c.hashOf(story.Sealed))
	c.m.Story = append(c.m.Story, story.Place)
	c.received, c.expires = received, expires
}

func (c *optOutColumns) kindOf(o *OptOut) uint32 {
	kind := optOutKind{o.Scope, o.Channel, o.desk}
	at, met := c.kinds[kind]
	if !met {
		at = uint32(len(c.m.Kinds))
		c.kinds[kind] = at
		c.m.Kinds = append(c.m.Kinds, &storev1.OptOutKind{Scope: string(o.Scope), Channel: uint32(o.Channel), Desk: state.Ref(o.desk)})
	}
	return at
}

func (c *optOutColumns) hashOf(t *stories.Sealed) uint32 {
	if t == nil {
		return 0
	}
	at, met := c.hashes[t]
	if !met {
		c.stories = append(c.stories, t)
		at = uint32(len(c.stories))
		c.hashes[t] = at
	}
	return at
}

// event is the columns as one event, once the hashes of their stories are known.
func (c *optOutColumns) event() *storev1.Event {
	for _, t := range c.stories {
		c.m.StoryHashes = append(c.m.StoryHashes, t.Hash())
	}
	c.m.Kind, c.m.StoryHash, c.m.Story = unlessZero(c.m.Kind), unlessZero(c.m.StoryHash), unlessZero(c.m.Story)
	c.m.ReceivedAt, c.m.ExpiresAt = unlessZero(c.m.ReceivedAt), unlessZero(c.m.ExpiresAt)
	return &storev1.Event{Change: &storev1.Event_OptOuts{OptOuts: &c.m}}
}

func unlessZero[T uint32 | int64](column []T) []T {
	for _, v := range column {
		if v != 0 {
			return column
		}
	}
	return nil
}
