package store

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/dncd/dncd/store/internal/compare"
	"github.com/dncd/dncd/store/internal/fault"
)

// matchLastLoad ends an import whose content the list holds already, as its chunks show: nothing is sorted and
// compared, but every guard is evaluated, and a new date is applied. Not done: the numbers have to be compared.
func (i *Import) matchLastLoad(owned context.Context, c *Commit) (prepared, error) {
	l := i.s.View().listByID(i.list)
	if l == nil {
		return prepared{}, ErrListNotFound
	}
	if !i.matchesLastLoad(l, c) {
		return prepared{}, nil
	}
	plan, err := i.plan(l, c)
	if err != nil {
		return prepared{}, err
	}
	plan.covers = false // the same numbers and files cover the same
	now := l.state.GetLoad()
	staged := content{numbers: now.GetCounts().GetAccepted(), duplicates: now.GetCounts().GetDuplicates()}
	p, err := i.judge(owned, l, c, plan, staged, &compare.Comparison{
		Unchanged: l.Numbers, Outside: now.GetOutside(), Result: now.GetResult(),
	})
	if errors.Is(err, fault.ErrMoved) {
		return prepared{}, nil
	}
	return p, err
}

// matchesLastLoad reports that the chunks of a replace are those of the last load of the list, and nothing else was said of
// them: the same entries were rejected, the files cover the same, and no guard had to be overridden. Where the server itself
// rejected an entry it may think otherwise today, and the numbers outside a jurisdiction that changed are to be counted.
func (i *Import) matchesLastLoad(l *List, c *Commit) bool {
	now := l.state.GetLoad()
	return i.header.Mode == Replace && l.Loaded && Mode(now.GetMode()) == Replace &&
		len(c.Digest) > 0 && bytes.Equal(c.Digest, now.GetDigest()) &&
		i.log.Rejected == 0 && c.Read == now.GetCounts().GetRead() && c.Rejected == now.GetCounts().GetRejected() &&
		c.Empty == now.GetCounts().GetEmpty() &&
		len(now.GetOverridden()) == 0 && now.Outside != nil &&
		slices.Equal(prefixStrings(phonePrefixes(c.FileCoverage)), now.GetFileCoverage())
}
