package access

import (
	"cmp"
	"slices"
	"time"
)

// Table is every grant of a store at one moment. It never changes. A nil table grants nobody anything.
type Table struct {
	byName       []*Grant
	tokens       map[Secret]*Grant
	certificates map[string]*Grant
}

// NewTable makes a table of grants whose names and secrets differ.
func NewTable(grants []*Grant) *Table {
	t := &Table{
		byName:       slices.SortedFunc(slices.Values(grants), func(a, b *Grant) int { return cmp.Compare(a.Name, b.Name) }),
		tokens:       map[Secret]*Grant{},
		certificates: map[string]*Grant{},
	}
	for _, g := range grants {
		switch g.Kind {
		case Token:
			t.tokens[g.Secret] = g
		case Certificate:
			t.certificates[g.Name] = g
		}
	}
	return t
}

// Token is what the token with that hash is granted, nil for nothing. Whoever calls asks whether it has expired.
func (t *Table) Token(s Secret) *Grant {
	if t == nil {
		return nil
	}
	return t.tokens[s]
}

// Certificate is what a client certificate of that name is granted, nil for nothing. Whoever calls asks whether it has
// expired.
func (t *Table) Certificate(name string) *Grant {
	if t == nil {
		return nil
	}
	return t.certificates[name]
}

// Named is the grant of that name, nil when there is none.
func (t *Table) Named(name string) *Grant {
	if t == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(t.byName, name, func(g *Grant, n string) int { return cmp.Compare(g.Name, n) })
	if !found {
		return nil
	}
	return t.byName[i]
}

// All are the grants, by name.
func (t *Table) All() []*Grant {
	if t == nil {
		return nil
	}
	return t.byName
}

// Current reports whether the table still holds what g granted: not revoked, nor granted anew under the same name.
func (t *Table) Current(g *Grant) bool {
	now := t.Named(g.Name)
	return now != nil && now.ID == g.ID
}

// HasAdmin reports whether anybody may grant everything at now.
func (t *Table) HasAdmin(now time.Time) bool {
	return slices.ContainsFunc(t.All(), func(g *Grant) bool { return g.RulesAll(now) })
}

// RulesAll reports whether the grant is in force at now and may grant everything: an admin's that no scope bounds.
func (g *Grant) RulesAll(now time.Time) bool {
	return g.Roles.Has(Admin) && g.Everywhere() && !g.Expired(now)
}
