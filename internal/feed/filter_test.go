package feed

import (
	"errors"
	"fmt"
	"testing"
)

func TestFilterConcernsWhatIsAtAboveAndBelow(t *testing.T) {
	t.Parallel()
	f := Filter{Scopes: []Scope{"acme/telecom", "beta"}, Lists: []EventID{{Revision: 7}}}
	for scope, want := range map[Scope]bool{
		"": true, "acme": true, "acme/telecom": true, "acme/telecom/winter": true, "beta": true, "beta/x": true,
		"acme/textile": false, "acme/telecom2": false, "acmeco": false, "gamma": false, "bet": false,
	} {
		if got := f.Concerns(scope); got != want {
			t.Errorf("%q: %v, want %v", scope, got, want)
		}
		if !(Filter{}).Concerns(scope) {
			t.Errorf("%q does not concern the filter of every scope", scope)
		}
	}
	if !f.ConcernsList(EventID{Revision: 7}) || f.ConcernsList(EventID{Revision: 7, Index: 1}) || (Filter{}).ConcernsList(EventID{Revision: 7}) {
		t.Error("a list concerns a filter exactly if it is named")
	}
}

func TestFilterIsWithinAnother(t *testing.T) {
	t.Parallel()
	seven, eight := EventID{Revision: 7}, EventID{Revision: 8}
	for _, tt := range []struct {
		f, outer Filter
		want     bool
	}{
		{Filter{}, Filter{}, true},
		{Filter{Scopes: []Scope{"a"}}, Filter{}, true},
		{Filter{}, Filter{Scopes: []Scope{"a"}}, false},
		{Filter{Scopes: []Scope{"a", "b/c"}}, Filter{Scopes: []Scope{"b", "a"}}, true},
		{Filter{Scopes: []Scope{"a", "b"}}, Filter{Scopes: []Scope{"b/c", "a"}}, false},
		{Filter{Scopes: []Scope{"ab"}}, Filter{Scopes: []Scope{"a"}}, false},
		{Filter{Lists: []EventID{seven}}, Filter{Lists: []EventID{eight, seven}}, true},
		{Filter{Lists: []EventID{seven, eight}}, Filter{Lists: []EventID{seven}}, false},
		{Filter{Scopes: []Scope{"a"}, Lists: []EventID{seven}}, Filter{}, false},
	} {
		if got := tt.f.Within(tt.outer); got != tt.want {
			t.Errorf("%+v within %+v: got %v, want %v", tt.f, tt.outer, got, tt.want)
		}
	}
}

func TestFilterHasOneText(t *testing.T) {
	t.Parallel()
	messy := Filter{Scopes: []Scope{"b", "a/c", "a", "b"}, Lists: []EventID{{Revision: 12}, {Revision: 7, Index: 1}, {Revision: 7}, {Revision: 12}}}
	const want = "scope\ta\nscope\ta/c\nscope\tb\nlist\t7.0\nlist\t7.1\nlist\t12.0\n"
	if got := messy.Text(); got != want || messy.Hash() != messy.Normal().Hash() || messy.Scopes[0] != "b" {
		t.Errorf("got %q, want %q, and the filter unchanged", got, want)
	}
	if got := (Filter{Lists: []EventID{{Revision: 7}}}).Text(); got != "all\nlist\t7.0\n" {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{"all\n", "all\nlist\t7.0\n", want} {
		if f, err := ParseFilter(text); err != nil || f.Text() != text {
			t.Errorf("%q: read as %q, %v", text, f.Text(), err)
		}
	}
}

func TestTextThatIsNoFilterIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "\n", "all", "all\n\n", "all\r\n", "all \n", "all\tx\n", "all\nall\n", "all\nscope\ta\n", "list\t7.0\n", "list\t7.0\nall\n",
		"scope\tb\nscope\ta\n", "scope\ta\nscope\ta\n", "scope\tA\n", "scope\t\n", "scope a\n", "scope\ta\nlist\t12.0\nlist\t7.0\n",
		"scope\ta\nlist\t7.0\nlist\t7.0\n", "scope\ta\nlist\t07.0\n", "scope\ta\nlist\t0.0\n", "scope\ta\nkind\tx\n",
	} {
		if f, err := ParseFilter(text); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrFilter) {
			t.Errorf("%q: read as %v, %v", text, f, err)
		}
	}
}

func TestFilterHasLimits(t *testing.T) {
	t.Parallel()
	var scopes []Scope
	var lists []EventID
	for i := range MaxScopes + 1 {
		scopes, lists = append(scopes, Scope(fmt.Sprintf("s%d", i))), append(lists, EventID{Revision: uint64(i + 1)})
	}
	for name, c := range map[string]struct {
		f    Filter
		want error
	}{
		"none":           {Filter{}, nil},
		"the most":       {Filter{scopes[1:], lists[1:]}, nil},
		"many scopes":    {Filter{scopes, nil}, ErrFilter},
		"many lists":     {Filter{nil, lists}, ErrFilter},
		"empty scope":    {Filter{[]Scope{""}, nil}, ErrFilter},
		"capital letter": {Filter{[]Scope{"Acme"}, nil}, ErrFilter},
		"no list":        {Filter{nil, []EventID{{}}}, ErrFilter},
	} {
		if err := c.f.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("all\n")
	f.Add("scope\ta\nscope\ta/b\nlist\t7.0\n")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := ParseFilter(text); err == nil && got.Text() != text {
			t.Fatalf("%q is written as %q", text, got.Text())
		}
	})
}
