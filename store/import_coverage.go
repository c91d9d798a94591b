package store

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/dncd/dncd/internal/phone"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/compare"
)

// keepCoverage leaves the coverage as it is where files hold the same numbers and their names do not say what they cover, as
// an export of the list does not.
func (p *plan) keepCoverage(l *List, c *Commit, cmp *compare.Comparison) {
	if p.past == nil && l.Loaded && cmp.IsUnchanged() && len(c.Inferred) >= len(c.FileCoverage) {
		p.covers = false
	}
}

// cover sets the effective coverage: the candidates in which the load holds a number.
func (p *plan) cover(load *storev1.Load, cmp *compare.Comparison, l *List) {
	if !p.covers {
		now := l.state.GetLoad()
		load.FileCoverage = now.GetFileCoverage()
		load.EffectiveCoverage, load.CoversAll = now.GetEffectiveCoverage(), now.GetCoversAll()
		return
	}
	load.CoversAll = p.all
	candidates := phone.NewPrefixSet(phonePrefixes(p.coverage))
	for _, h := range cmp.Held() {
		if prefix := phonePrefixes([]string{h}); candidates.Has(prefix[0]) {
			load.EffectiveCoverage = append(load.EffectiveCoverage, h)
		}
	}
}

func sameCoverage(a, b *storev1.Load) bool {
	return a.GetCoversAll() == b.GetCoversAll() && slices.Equal(a.GetEffectiveCoverage(), b.GetEffectiveCoverage()) &&
		slices.Equal(a.GetFileCoverage(), b.GetFileCoverage())
}

// outside counts the numbers outside the coverage: those that the list has now, and those that it would have. A list whose
// coverage nothing limits has none, nor has a load whose numbers were not looked at: they are those that the list has. A
// revert has no files that could be the wrong ones.
func (p *plan) outside(l *List, cmp *compare.Comparison) (before, after uint64) {
	if len(cmp.Prefixes) == 0 || p.past != nil {
		return 0, 0
	}
	if l.Loaded && !l.CoversAll {
		before = cmp.Before() - numbersWithin(cmp, l.Coverage, func(c *compare.PrefixCount) uint64 { return c.Before })
	}
	if len(p.coverage) > 0 {
		after = cmp.Numbers() - numbersWithin(cmp, p.coverage, func(c *compare.PrefixCount) uint64 { return c.After })
	}
	return before, after
}

// widens reports that the list is limited to some prefixes and would not be any more, because files do not say what they
// cover.
func (p *plan) widens(l *List) bool {
	return p.covers && p.all && p.past == nil && l.state.GetLoad() != nil && !l.CoversAll
}

// newlyInferred are the prefixes that the list would cover, and does not cover now, only because it has numbers in them:
// those with the fewest first.
func (p *plan) newlyInferred(l *List, found *compare.Comparison) []compare.PrefixCount {
	if !p.covers || l.CoversAll {
		return nil
	}
	inferred, now := phone.NewPrefixSet(phonePrefixes(p.inferred)), phone.NewPrefixSet(phonePrefixes(l.Coverage))
	thin := slices.DeleteFunc(slices.Clone(found.Prefixes), func(c compare.PrefixCount) bool {
		prefix := phonePrefixes([]string{c.Prefix})[0]
		return c.After == 0 || !inferred.Has(prefix) || now.Index(phone.Number(prefix)) >= 0
	})
	slices.SortStableFunc(thin, func(a, b compare.PrefixCount) int { return cmp.Compare(a.After, b.After) })
	return thin
}

func inferredFailure(thin []compare.PrefixCount) GuardFailure {
	f := GuardFailure{Guard: GuardInferred, Before: uint64(len(thin)), After: thin[0].After}
	for _, c := range thin[:min(shownOutside, len(thin))] {
		f.Outside = append(f.Outside, c.Prefix)
	}
	return f
}

// numbersWithin adds up the numbers in any of these prefixes, which were all compared.
func numbersWithin(c *compare.Comparison, prefixes []string, count func(*compare.PrefixCount) uint64) (n uint64) {
	set := phone.NewPrefixSet(phonePrefixes(prefixes))
	for i := range c.Prefixes {
		p := phonePrefixes([]string{c.Prefixes[i].Prefix})[0]
		if set.Has(p) && set.Index(phone.Number(p/10)) < 0 {
			n += count(&c.Prefixes[i])
		}
	}
	return n
}

const (
	shownOutside  = 3 // how many examples of numbers a GuardCoverage has
	outsideDigits = 4 // how many of each: an area code of +1
)

// showOutside finds where some of the numbers are for which GuardCoverage will fail.
func (i *Import) showOutside(ctx context.Context, in loadInput, p *plan, cmp *compare.Comparison) error {
	if before, after := p.outside(in.list, cmp); after <= before {
		return nil
	}
	p.shown = nil
	set := phone.NewPrefixSet(phonePrefixes(p.coverage))
	for c, err := range i.s.changes(ctx, in) {
		if err != nil {
			return err
		}
		if p.shown = appendOutside(p.shown, c, set); len(p.shown) == shownOutside {
			return nil
		}
	}
	return nil
}

// appendOutside appends the first digits of the numbers of a block that no prefix of the set covers.
func appendOutside(shown []string, c *compare.Change, set phone.PrefixSet) []string {
	first, last := set.Index(phone.Number(c.Number<<block.Bits)), set.Index(phone.Number(c.Number<<block.Bits+block.Mask))
	if first == last && first >= 0 {
		return shown
	}
	for n := range c.New.Numbers(c.Number) {
		lead := strconv.FormatUint(n, 10)
		lead = lead[:min(outsideDigits, len(lead))]
		if len(shown) < shownOutside && set.Index(phone.Number(n)) < 0 && !slices.Contains(shown, lead) {
			shown = append(shown, lead)
		}
	}
	return shown
}
