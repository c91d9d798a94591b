package store

import (
	"context"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/store/internal/keys"
)

// feedPlace is the place of a feed within a revision. Its units are the changes that concern the filter, in order, each after
// the parts of the numbers that come and go with it.
type feedPlace struct {
	rev    *feedRevision
	topics *topicSet
	noRows bool      // the numbers that come and go are no units
	next   int       // the change of the next unit
	rows   *openRows // of that change; nil: not open
	part   int       // of rows, that comes next

	topic    keys.Topic // the last one that was met
	concerns bool       // the filter
}

func newFeedPlace(rev *feedRevision, topics *topicSet) *feedPlace {
	p := &feedPlace{rev: rev, topics: topics}
	p.seek()
	return p
}

// seek goes to the first change from here on that concerns the filter.
func (p *feedPlace) seek() {
	for ; p.next < len(p.rev.changes); p.next++ {
		if t := p.rev.changes[p.next].topic; p.next == 0 || t != p.topic {
			p.topic, p.concerns = t, p.topics.has(t)
		}
		if p.concerns {
			return
		}
	}
}

// isEnd reports whether the revision has no more units.
func (p *feedPlace) isEnd() bool { return p.next == len(p.rev.changes) }

// advance passes a unit: a change, or a part of the numbers before it.
func (p *feedPlace) advance(ctx context.Context, s *Store) (c *topicChange, part *rowPart, err error) {
	c = &p.rev.changes[p.next]
	if p.rows == nil && len(c.rows) > 0 && !p.noRows {
		if p.rows, err = s.openRows(ctx, c.rows); err != nil {
			return nil, nil, err
		}
	}
	if p.rows != nil && p.part < len(p.rows.parts) {
		part = &p.rows.parts[p.part]
		p.part++
		return c, part, nil
	}
	p.close()
	p.next++
	p.seek()
	return c, nil, nil
}

// unit reads a unit, and passes it.
func (p *feedPlace) unit(ctx context.Context, s *Store) (FeedChange, error) {
	c, part, err := p.advance(ctx, s)
	switch {
	case err != nil:
		return FeedChange{}, err
	case part == nil:
		return FeedChange{Change: c.Change, Time: p.rev.time}, nil
	}
	rows, err := part.read()
	return FeedChange{Change: feed.Change{ID: c.ID, List: c.List}, Time: p.rev.time, Rows: rows}, err
}

// skip passes the units that a cursor says were read. There is one more.
func (p *feedPlace) skip(ctx context.Context, s *Store, units uint32) error {
	for ; units > 0 && !p.isEnd(); units-- {
		if _, _, err := p.advance(ctx, s); err != nil {
			return err
		}
	}
	if units > 0 || p.isEnd() {
		return ErrFeedCursor
	}
	return nil
}

// close releases the numbers that are open.
func (p *feedPlace) close() {
	if p.rows != nil {
		p.rows.close()
		p.rows, p.part = nil, 0
	}
}
