package policydoc

import (
	"cmp"
	"slices"

	"github.com/dncd/dncd/internal/policy"
)

// Loosens says which changes between two policies permit calls that were not permitted before; nil is no policy. Where two
// rules cannot be compared it names the change: without a change that it names, no answer goes from not callable to ALLOW.
//
// A decision is the most severe of the answers of all rules that apply. So it is enough that each rule that applied before has
// one in its place that is at least as strict, for every region and every scope.
func Loosens(before, after *policy.Policy) []Change {
	l := loosening{}
	for _, pair := range pairs(before, after) {
		l.country(pair[0], pair[1])
	}
	return l.changes
}

// group is the rules for some regions: a country, or what is not named.
type group struct {
	policy.Country
	unnamed, allows bool
}

func unnamedIn(p *policy.Policy) group {
	return group{Country: policy.Country{Rule: &policy.Rule{}}, unnamed: true, allows: p == nil || p.AllowUnnamed}
}

func groups(p *policy.Policy) (all []group) {
	if p != nil {
		for i := range p.Countries {
			all = append(all, group{Country: p.Countries[i]})
		}
	}
	return all
}

// pairs are the groups before and after that speak for the same numbers.
func pairs(before, after *policy.Policy) (all [][2]group) {
	old, now := groups(before), groups(after)
	all = append(all, [2]group{unnamedIn(before), unnamedIn(after)})
	for _, o := range old {
		left := o.Regions
		for _, n := range now {
			if n.Regions.Intersects(o.Regions) {
				all, left = append(all, [2]group{o, n}), left.Without(n.Regions)
			}
		}
		if !left.IsEmpty() {
			all = append(all, [2]group{o, unnamedIn(after)})
		}
	}
	for _, n := range now {
		left := n.Regions
		for _, o := range old {
			left = left.Without(o.Regions)
		}
		if !left.IsEmpty() {
			all = append(all, [2]group{unnamedIn(before), n})
		}
	}
	return all
}

// rules are the country's, for every scope that it names.
func rulesOf(c *policy.Country) []*policy.Rule { return append([]*policy.Rule{c.Rule}, c.Scoped...) }

// at is the rule for callers at a scope.
func (g *group) at(scope policy.Scope) *policy.Rule {
	found := g.Rule
	for _, r := range g.Scoped {
		if r.Scope.Holds(scope) && len(r.Scope) >= len(found.Scope) {
			found = r
		}
	}
	return found
}

func (g *group) scopes() (all []policy.Scope) {
	for _, r := range rulesOf(&g.Country) {
		all = append(all, r.Scope)
	}
	return all
}

// loosening collects changes while two rules are compared.
type loosening struct {
	at       Change // what the next one is of
	same     bool   // the two rules are for the same regions
	old, now *policy.Rule
	changes  []Change
}

func (l *loosening) add(section, what string) {
	c := l.at
	c.Section, c.What = section, what
	if !slices.Contains(l.changes, c) {
		l.changes = append(l.changes, c)
	}
}

func (l *loosening) country(old, now group) {
	l.at = Change{Country: cmp.Or(now.Code, old.Code)}
	switch {
	case now.unnamed && !now.allows:
		return // nothing is permitted
	case old.unnamed && !old.allows && now.unnamed:
		l.add("default", "calls to countries that are not named are permitted")
		return
	case old.unnamed && !old.allows:
		l.add("", "named: calls are permitted within its rules")
		return
	case !old.unnamed && now.unnamed:
		l.add("", "no longer named: none of its rules holds")
	}
	l.same = old.Regions == now.Regions
	for _, scope := range union(old.scopes(), now.scopes()) {
		l.at.Scope = scope
		l.old, l.now = old.at(scope), now.at(scope)
		l.rule()
	}
}

func (l *loosening) rule() {
	l.consent()
	l.optOuts()
	l.lists()
	l.hours()
	l.bans()
	l.service()
}
