package store

import (
	"fmt"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// The journal holds the rows of a file as columns: one storev1.OptOuts for many rows. It is a way of writing, and no event of
// its own: whoever reads a revision gets one event a row, see entry.decode.

// optOutColumns makes the columns, row by row.
type optOutColumns struct {
	m                 storev1.OptOuts
	kinds             map[optOutKind]uint32
	tales             []*tale          // of story_hashes
	hashes            map[*tale]uint32 // places in story_hashes, from 1
	received, expires int64            // of the row before
}

type optOutKind struct {
	scope   policy.Scope
	channel policy.Channel
}

func newOptOutColumns(rows int) *optOutColumns {
	c := &optOutColumns{kinds: map[optOutKind]uint32{}, hashes: map[*tale]uint32{}}
	c.m.Numbers = make([]uint64, 0, rows)
	c.m.Kind, c.m.StoryHash, c.m.Story = make([]uint32, 0, rows), make([]uint32, 0, rows), make([]uint32, 0, rows)
	c.m.ReceivedAt, c.m.ExpiresAt = make([]int64, 0, rows), make([]int64, 0, rows)
	return c
}

func (c *optOutColumns) add(o *OptOut, story toldIn) {
	received, expires := timeNano(o.ReceivedAt), timeNano(o.ExpiresAt)
	c.m.Numbers = append(c.m.Numbers, uint64(o.Number))
	c.m.Kind = append(c.m.Kind, c.kindOf(o))
	c.m.ReceivedAt = append(c.m.ReceivedAt, received-c.received)
	c.m.ExpiresAt = append(c.m.ExpiresAt, expires-c.expires)
	c.m.StoryHash = append(c.m.StoryHash, c.hashOf(story.tale))
	c.m.Story = append(c.m.Story, story.place)
	c.received, c.expires = received, expires
}

func (c *optOutColumns) kindOf(o *OptOut) uint32 {
	kind := optOutKind{o.Scope, o.Channel}
	at, met := c.kinds[kind]
	if !met {
		at = uint32(len(c.m.Kinds))
		c.kinds[kind] = at
		c.m.Kinds = append(c.m.Kinds, &storev1.OptOutKind{Scope: string(o.Scope), Channel: uint32(o.Channel)})
	}
	return at
}

func (c *optOutColumns) hashOf(t *tale) uint32 {
	if t == nil {
		return 0
	}
	at, met := c.hashes[t]
	if !met {
		c.tales = append(c.tales, t)
		at = uint32(len(c.tales))
		c.hashes[t] = at
	}
	return at
}

// event is the columns as one event, once the hashes of their stories are known.
func (c *optOutColumns) event() *storev1.Event {
	for _, t := range c.tales {
		c.m.StoryHashes = append(c.m.StoryHashes, t.hash)
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

// withRows puts one event a row in the place of each OptOuts.
func withRows(events []*storev1.Event) ([]*storev1.Event, error) {
	var out []*storev1.Event
	for i, e := range events {
		rows := e.GetOptOuts()
		if rows == nil && out == nil {
			continue
		}
		if out == nil {
			out = append(make([]*storev1.Event, 0, len(events)+len(rows.GetNumbers())), events[:i]...)
		}
		if rows == nil {
			out = append(out, e)
			continue
		}
		var err error
		if out, err = appendEvents(out, rows); err != nil {
			return nil, err
		}
	}
	if out == nil {
		return events, nil
	}
	return out, nil
}

// appendEvents appends the events that columns stand for.
func appendEvents(to []*storev1.Event, m *storev1.OptOuts) ([]*storev1.Event, error) {
	if !areColumns(m) {
		return nil, fmt.Errorf("the columns of many opt-outs do not fit together")
	}
	rows := len(m.GetNumbers())
	events, changes, optOuts := make([]storev1.Event, rows), make([]storev1.Event_OptOut, rows), make([]storev1.OptOut, rows)
	var received, expires int64
	for i, number := range m.GetNumbers() {
		received += at(m.GetReceivedAt(), i)
		expires += at(m.GetExpiresAt(), i)
		kind, o, e := m.GetKinds()[at(m.GetKind(), i)], &optOuts[i], &events[i]
		o.Number, o.Scope, o.Channel, o.Unique = number, kind.GetScope(), kind.GetChannel(), true
		o.ReceivedAt, o.ExpiresAt = received, expires
		if h := at(m.GetStoryHash(), i); h > 0 {
			e.StoryHash, e.Story = m.GetStoryHashes()[h-1], at(m.GetStory(), i)
		}
		changes[i].OptOut, e.Row = o, true
		e.Change = &changes[i]
		to = append(to, e)
	}
	return to, nil
}

// areColumns reports whether each column has a value for every row, or none, and whether each place in a column is one.
func areColumns(m *storev1.OptOuts) bool {
	rows := len(m.GetNumbers())
	for _, n := range []int{len(m.GetKind()), len(m.GetReceivedAt()), len(m.GetExpiresAt()), len(m.GetStoryHash()), len(m.GetStory())} {
		if n != 0 && n != rows {
			return false
		}
	}
	for i := range rows {
		if int(at(m.GetKind(), i)) >= len(m.GetKinds()) || int(at(m.GetStoryHash(), i)) > len(m.GetStoryHashes()) {
			return false
		}
	}
	return true
}

// at is the i-th value of a column; of an empty one it is zero.
func at[T uint32 | int64](column []T, i int) T {
	if len(column) == 0 {
		return 0
	}
	return column[i]
}
