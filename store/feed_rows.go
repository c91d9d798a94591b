package store

import (
	"context"
	"errors"

	"github.com/dncd/dncd/store/internal/delta"
)

// FeedRows is some numbers of a list that came or went.
type FeedRows struct {
	Removed   bool
	Numbers   int
	Ascending []byte // see package ascending; each is a run of its own
}

// openRows is the numbers that come and go before a change of a list, in parts, while a feed reads them.
type openRows struct {
	parts   []rowPart
	release []func()
}

// rowPart is a part of a difference.
type rowPart struct {
	of *delta.Delta
	at int
}

// openRows opens the numbers of a change, those that come first. What went from a content that is damaged is not known: then
// nothing goes, and subscribers hold too much until the list is loaded once more.
func (s *Store) openRows(ctx context.Context, steps []rowStep) (*openRows, error) {
	o := new(openRows)
	for _, step := range steps {
		d, release, err := s.sharedDelta(ctx, step.contentStep)
		if errors.Is(err, ErrDamaged) && !step.comes {
			s.log.Warn("what a list held before a repair unloaded it cannot be read: subscribers keep its numbers", "err", err)
			continue
		}
		if err != nil {
			o.close()
			return nil, err
		}
		o.release = append(o.release, release)
		o.add(d, step)
	}
	return o, nil
}

func (o *openRows) add(d *delta.Delta, step rowStep) {
	came := int((d.Added + delta.PartNumbers - 1) / delta.PartNumbers)
	for i := range d.Parts() {
		if i < came && step.comes || i >= came && step.goes {
			o.parts = append(o.parts, rowPart{d, i})
		}
	}
}

func (p *rowPart) read() (*FeedRows, error) {
	part, err := p.of.Part(p.at)
	if err != nil {
		return nil, err
	}
	return &FeedRows{part.Removed, part.Numbers, part.Ascending}, nil
}

func (o *openRows) close() {
	for _, release := range o.release {
		release()
	}
}
