package policydoc

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dncd/dncd/internal/policy"
)

// Change is one difference between two policies.
type Change struct {
	Country string // its code; empty: of those that a policy does not name
	Scope   policy.Scope
	Section string // as in a document; empty: the country as a whole
	What    string // in words
	Before  string // as it is written in a document; empty: not there
	After   string
}

// Where says what the change is of, such as FR at acme/energy: hours.
func (c *Change) Where() string {
	where := cmp.Or(c.Country, "countries not named")
	if c.Scope != "" {
		where += " at " + string(c.Scope)
	}
	if c.Section != "" {
		where += ": " + c.Section
	}
	return where
}

// Diff says what differs between two documents, by country, scope and section.
func Diff(before, after *Document) (changes []Change) {
	if before.AllowUnnamed != after.AllowUnnamed {
		changes = append(changes, Change{Section: "default", What: "changed",
			Before: pick(defaults, before.AllowUnnamed), After: pick(defaults, after.AllowUnnamed)})
	}
	for _, code := range union(codes(before), codes(after)) {
		old, is := before.Country(code), after.Country(code)
		switch {
		case old == nil:
			changes = append(changes, Change{Country: code, What: "named"})
		case is == nil:
			changes = append(changes, Change{Country: code, What: "no longer named"})
		}
		changes = append(changes, old.diff(is, code)...)
	}
	return changes
}

// diff says what differs between two countries of one code. A country that a policy does not name is nil.
func (c *Country) diff(o *Country, code string) (changes []Change) {
	for _, head := range []string{"as_of", "review", "note", "not_checked"} {
		changes = append(changes, compare(Change{Country: code, Section: head}, c.head(head), o.head(head))...)
	}
	c, o = cmp.Or(c, &Country{}), cmp.Or(o, &Country{})
	changes = append(changes, c.Sections.diff(&o.Sections, Change{Country: code})...)
	for _, scope := range union(c.scopes(), o.scopes()) {
		changes = append(changes, c.scoped(scope).diff(o.scoped(scope), Change{Country: code, Scope: scope})...)
	}
	return changes
}

// head is what a country says beside its sections; nil: it is not there.
func (c *Country) head(name string) *yaml.Node {
	if c == nil {
		return nil
	}
	return child(c.node(), name)
}

func (s *Sections) diff(o *Sections, at Change) (changes []Change) {
	for _, name := range sectionNames {
		at.Section = name
		changes = append(changes, compare(at, s.section(name), o.section(name))...)
	}
	return changes
}

// compare is at, completed, if the two differ.
func compare(at Change, before, after *yaml.Node) []Change {
	at.Before, at.After = flow(before), flow(after)
	switch {
	case at.Before == at.After:
		return nil
	case before == nil:
		at.What = "added"
	case after == nil:
		at.What = "removed"
	default:
		at.What = "changed"
	}
	return []Change{at}
}

// flow is a node in one line; empty for none.
func flow(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	inFlow(n)
	return strings.Join(strings.Fields(string(bytes.TrimSpace(encode(n)))), " ")
}

func inFlow(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
	for _, c := range n.Content {
		inFlow(c)
	}
}

// child is the value of a key; nil: it is not there.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func codes(d *Document) (all []string) {
	for i := range d.Countries {
		all = append(all, d.Countries[i].Code)
	}
	return all
}

func (c *Country) scopes() (all []policy.Scope) {
	for i := range c.Scopes {
		all = append(all, c.Scopes[i].Scope)
	}
	return all
}

// scoped are the sections that the country has for exactly that scope.
func (c *Country) scoped(scope policy.Scope) *Sections {
	for i := range c.Scopes {
		if c.Scopes[i].Scope == scope {
			return &c.Scopes[i].Sections
		}
	}
	return &Sections{}
}

// union is what is in one of two, ascending, each once.
func union[T cmp.Ordered](a, b []T) []T {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
