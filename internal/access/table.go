package access

import (
	"cmp"
	"slices"
	"time"
)

// Table holds the grants of a store at one revision. It never changes. A nil table holds none.
type Table struct {
	byName       []*Grant
	tokens       map[Secret]*Grant
	certificates map[string]*Grant
}

// NewTable makes a table of grants. No two may have the same name or the same secret.
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

// Token returns the grant of the token with that hash, nil when there is none. It may have expired.
func (t *Table) Token(s Secret) *Grant {
	if t == nil {
		return nil
	}
	return t.tokens[s]
}

// Certificate returns the grant of the client certificate of that name, nil when there is none. It may have expired.
func (t *Table) Certificate(name string) *Grant {
	if t == nil {
		return nil
	}
	return t.certificates[name]
}

// Named returns the grant of that name, nil when there is none. It may have expired.
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

// All returns the grants, by name. The caller must not change the slice.
func (t *Table) All() []*Grant {
	if t == nil {
		return nil
	}
	return t.byName
}

// Current reports whether the table still holds g. It does not when g was revoked, even if its name was granted again.
func (t *Table) Current(g *Grant) bool {
	now := t.Named(g.Name)
	return now != nil && now.ID == g.ID
}

// HasAdmin reports whether an admin without scopes is in force at now.
func (t *Table) HasAdmin(now time.Time) bool {
	return slices.ContainsFunc(t.All(), func(g *Grant) bool { return g.RulesAll(now) })
}

// RulesAll reports whether the grant is in force at now and makes its caller an admin without scopes, who may grant everything.
func (g *Grant) RulesAll(now time.Time) bool {
	return g.Roles.Has(Admin) && g.Everywhere() && !g.Expired(now)
}
