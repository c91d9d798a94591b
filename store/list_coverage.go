package store

import (
	"context"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/keys"
)

// effectiveCoverage is what a loaded list would cover if declared were its coverage.
func (s *Store) effectiveCoverage(ctx context.Context, l *List, declared []string) (held []string, all bool, err error) {
	if !l.Loaded {
		return nil, false, nil
	}
	if len(declared) == 0 {
		declared = l.state.GetLoad().GetFileCoverage()
	}
	for _, p := range phonePrefixes(declared) {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		found, err := s.holdsPrefix(l, p)
		if err != nil {
			return nil, false, err
		}
		if found {
			held = append(held, p.String())
		}
	}
	return held, len(declared) == 0, nil
}

// holdsPrefix reports whether a loaded list holds a number that begins with p.
func (s *Store) holdsPrefix(l *List, p phone.Prefix) (bool, error) {
	c := s.newBlockCursor(l, l.ContentRevision)
	defer c.close()
	low, high := uint64(p), uint64(p)
	for digits := p.Digits(); digits <= 15; digits++ {
		found, err := c.holds(l, low, high)
		if err != nil || found {
			return found, err
		}
		low, high = low*10, high*10+9
	}
	return false, nil
}

// holds reports whether the blocks hold a number from low to high.
func (c *blockCursor) holds(l *List, low, high uint64) (bool, error) {
	for c.it.Seek(keys.Block(l.ID, low>>block.Bits)); ; c.advance() {
		b, ok := c.peek()
		if !ok || b.number > high>>block.Bits {
			return false, nil
		}
		p, err := c.packed()
		if err != nil {
			return false, err
		}
		var bits block.Bitmap
		p.AddTo(&bits)
		for n := range bits.Numbers(b.number) {
			if low <= n && n <= high {
				return true, nil
			}
		}
	}
}
