package policydoc

import (
	"slices"

	"github.com/dncd/dncd/internal/policy"
)

// sample is a list that a rule may be for: any of its name and kind.
type sample struct {
	name string
	kind policy.ListKind
}

// lists compares what holds for every list that there may be.
func (l *loosening) lists() {
	for _, s := range l.samples() {
		// Whether a rule by kind is for a list depends on its jurisdiction.
		for _, speaks := range []bool{true, false} {
			olds := []*policy.ListRule{s.rule(l.old, speaks)}
			if !l.same {
				olds = append(olds, s.rule(l.old, !speaks))
			}
			for _, old := range olds {
				l.list(s, old, s.rule(l.now, speaks))
			}
		}
	}
	l.requiredLists()
}

// samples are the lists that rules name, and one that none names, of each kind.
func (l *loosening) samples() (all []sample) {
	names := []string{""}
	for _, r := range slices.Concat(l.old.Lists, l.now.Lists) {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		for kind := policy.ListUnspecified; kind <= policy.ListLitigator; kind++ {
			all = append(all, sample{name, kind})
		}
	}
	return all
}

// rule is the one for the list; nil: the list speaks for itself.
func (s sample) rule(r *policy.Rule, speaks bool) *policy.ListRule {
	byKind := (*policy.ListRule)(nil)
	for i := range r.Lists {
		rule := &r.Lists[i]
		switch {
		case rule.Name != "" && rule.Name == s.name:
			return rule
		case rule.Name == "" && rule.Kind == s.kind && speaks && byKind == nil:
			byKind = rule
		}
	}
	return byKind
}

func (l *loosening) list(s sample, old, now *policy.ListRule) {
	var none policy.ListRule
	o, n := old, now
	if o == nil {
		o = &none
	}
	if n == nil {
		n = &none
	}
	of := s.text(o, n)
	switch {
	case !allWithin(n.Overridden, o.Overridden):
		l.add("lists", of+": more consents override an entry, or for longer")
	case old != nil && now == nil:
		l.add("lists", of+": the rule for it ends")
	}
	if o.Required && !n.Required {
		l.add("lists", of+": not required any more")
	}
	if o.MaxAgeDays > 0 && (n.MaxAgeDays == 0 || n.MaxAgeDays > o.MaxAgeDays) {
		l.add("lists", of+": may be older")
	}
}

// text says which list a change is of: those of a kind, unless a rule names it.
func (s sample) text(rules ...*policy.ListRule) string {
	for _, r := range rules {
		if r.Name != "" {
			return "list " + r.Name
		}
	}
	return "lists of kind " + kindText(s.kind)
}

func kindText(k policy.ListKind) string {
	if int(k) < len(listKinds) && listKinds[k] != "" {
		return listKinds[k]
	}
	return "unspecified"
}

// requiredLists compares which lists must be there. A list that a rule names does not count as one of a kind.
func (l *loosening) requiredLists() {
	for i := range l.old.Lists {
		old := &l.old.Lists[i]
		if !old.Required {
			continue
		}
		stays := func(now policy.ListRule) bool { return now.Required && now.Name == old.Name && now.Kind == old.Kind }
		switch {
		case !slices.ContainsFunc(l.now.Lists, stays):
			l.add("lists", sample{old.Name, old.Kind}.text(old)+": not required any more")
		case old.Name == "" && (!l.same || !namesWithin(l.old, l.now)):
			l.add("lists", sample{old.Name, old.Kind}.text(old)+": other lists are enough")
		}
	}
}

// namesWithin reports whether the lists that one rule names another names too.
func namesWithin(a, b *policy.Rule) bool {
	for i := range a.Lists {
		if n := a.Lists[i].Name; n != "" && !slices.ContainsFunc(b.Lists, func(r policy.ListRule) bool { return r.Name == n }) {
			return false
		}
	}
	return true
}
