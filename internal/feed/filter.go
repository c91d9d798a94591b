package feed

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// Limits of a filter.
const (
	MaxScopes = 256
	MaxLists  = 256
)

// Filter says which entries and lists concern a subscriber. The zero Filter is that of all opt-outs and of no list.
type Filter struct {
	Scopes []Scope   // entries at, above and below one of them; none: at every scope
	Lists  []EventID // the ids of lists: a list that was deleted and made again is another
}

// Concerns reports whether an opt-out at a scope concerns the subscriber: one above blocks all of a scope of the filter,
// one below a part of it.
func (f Filter) Concerns(scope Scope) bool {
	return len(f.Scopes) == 0 || slices.ContainsFunc(f.Scopes, func(s Scope) bool { return s.Holds(scope) || scope.Holds(s) })
}

// ConcernsList reports whether the entries of a list concern the subscriber.
func (f Filter) ConcernsList(id EventID) bool { return slices.Contains(f.Lists, id) }

// Within reports whether all that concerns a subscriber with f concerns one with outer.
func (f Filter) Within(outer Filter) bool {
	isOutside := func(s Scope) bool {
		return !slices.ContainsFunc(outer.Scopes, func(o Scope) bool { return o.Holds(s) })
	}
	if len(outer.Scopes) > 0 && (len(f.Scopes) == 0 || slices.ContainsFunc(f.Scopes, isOutside)) {
		return false
	}
	return !slices.ContainsFunc(f.Lists, func(id EventID) bool { return !outer.ConcernsList(id) })
}

// Check returns ErrFilter for a filter beyond the limits, or with a scope or list that is none. The empty scope is not
// named: a filter of every scope names none.
func (f Filter) Check() error {
	if len(f.Scopes) > MaxScopes || len(f.Lists) > MaxLists {
		return fmt.Errorf("%w: at most %d scopes and %d lists", ErrFilter, MaxScopes, MaxLists)
	}
	for _, s := range f.Scopes {
		if s == "" {
			return fmt.Errorf("%w: an empty scope: name no scope to have every scope", ErrFilter)
		}
		if _, err := parseScope(string(s)); err != nil {
			return fmt.Errorf("%w: %w", ErrFilter, err)
		}
	}
	if slices.ContainsFunc(f.Lists, func(id EventID) bool { return id.Revision == 0 }) {
		return fmt.Errorf("%w: a list without an id", ErrFilter)
	}
	return nil
}

// Normal returns a copy in the order of its text, without duplicates. A scope below another one stays.
func (f Filter) Normal() Filter {
	scopes, lists := slices.Clone(f.Scopes), slices.Clone(f.Lists)
	slices.Sort(scopes)
	slices.SortFunc(lists, func(a, b EventID) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Index, b.Index))
	})
	return Filter{slices.Compact(scopes), slices.Compact(lists)}
}

// Text is a line for each scope, in order, or one line "all"; then a line for each list, by id. It is the same whatever the order
// in which the filter names them.
func (f Filter) Text() string {
	var b []byte
	f = f.Normal()
	if len(f.Scopes) == 0 {
		b = append(b, "all\n"...)
	}
	for _, s := range f.Scopes {
		b = append(append(append(b, "scope\t"...), s...), '\n')
	}
	for _, id := range f.Lists {
		b = append(appendID(append(b, "list\t"...), id), '\n')
	}
	return string(b)
}

// Hash is the SHA-256 of the text.
func (f Filter) Hash() Hash { return sha256.Sum256([]byte(f.Text())) }

// ParseFilter reads what Text writes.
func ParseFilter(text string) (Filter, error) {
	var f Filter
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		switch word {
		case "all":
		case "scope":
			f.Scopes = append(f.Scopes, Scope(rest))
		case "list":
			id, err := ParseEventID(rest)
			if err != nil {
				return Filter{}, err
			}
			f.Lists = append(f.Lists, id)
		default:
			return Filter{}, malformed("a line of a filter begins with all, scope or list")
		}
	}
	if err := f.Check(); err != nil {
		return Filter{}, err
	}
	if err := again([]byte(f.Text()), text); err != nil {
		return Filter{}, err
	}
	return f, nil
}
