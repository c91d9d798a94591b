package policy

import (
	"errors"
	"strings"
	"testing"
)

func TestParseScope(t *testing.T) {
	long := strings.Repeat("a", MaxScopeBytes)
	for _, c := range []struct {
		in   string
		want Scope
		ok   bool
	}{
		{"", "", true},
		{"acme", "acme", true},
		{"acme/telecom/winter-campaign", "acme/telecom/winter-campaign", true},
		{"ACME/Telecom", "acme/telecom", true},
		{"a.b_c-d/0", "a.b_c-d/0", true},
		{"1/2/3/4/5/6/7/8", "1/2/3/4/5/6/7/8", true},
		{"1/2/3/4/5/6/7/8/9", "", false},
		{long, Scope(long), true},
		{long + "a", "", false},
		{"/", "", false},
		{"/acme", "", false},
		{"acme/", "", false},
		{"acme//telecom", "", false},
		{"acme telecom", "", false},
		{" acme", "", false},
		{"acme\n", "", false},
		{"acmé", "", false},
		{"ａｃｍｅ", "", false},
		{"acme\x00", "", false},
		{"acme*", "", false},
		{"acme\\telecom", "", false},
	} {
		got, err := ParseScope(c.in)
		if got != c.want || (err == nil) != c.ok || (err != nil && !errors.Is(err, ErrScope)) {
			t.Errorf("ParseScope(%q) = %q, %v, want %q, ok %v", c.in, got, err, c.want, c.ok)
		}
	}
}

func TestScopeHoldsAndBlocks(t *testing.T) {
	for _, c := range []struct {
		s, caller     Scope
		holds, blocks bool
	}{
		{"", "", true, true},
		{"", "acme", true, true},
		{"acme", "", false, true}, // a caller that names no scope is blocked by all
		{"acme/telecom", "", false, true},
		{"acme", "acme", true, true},
		{"acme", "acme/telecom", true, true},
		{"acme", "acme/telecom/winter", true, true},
		{"acme/telecom", "acme", false, false},
		{"acme", "acmeco", false, false},
		{"acme", "beta", false, false}, // as long, and another
		{"acme/telecom", "acme/textile", false, false},
		{"acme", "beta/telecom", false, false},
		{"acmeco", "acme", false, false},
		{"acme", "acmeco/telecom", false, false},
		{"acme/telecom", "acme/telecom2", false, false},
		{"acme", "acme-telecom", false, false},
		{"acme", "acme.telecom", false, false},
	} {
		if got := c.s.Holds(c.caller); got != c.holds {
			t.Errorf("%q holds %q: %v, want %v", c.s, c.caller, got, c.holds)
		}
		if got := c.s.Blocks(c.caller); got != c.blocks {
			t.Errorf("%q blocks %q: %v, want %v", c.s, c.caller, got, c.blocks)
		}
	}
}

func TestParseScopeAllocatesOnlyToFold(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ParseScope("acme/telecom/winter-campaign"); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"", "acme", "ACME/telecom", "a//b", "1/2/3/4/5/6/7/8/9", "acmé", "/", strings.Repeat("x", 256)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseScope(in)
		if err != nil {
			if s != "" || !errors.Is(err, ErrScope) {
				t.Fatalf("%q: %q, %v, want no scope and ErrScope", in, s, err)
			}
			return
		}
		if again, err := ParseScope(string(s)); again != s || err != nil {
			t.Fatalf("%q: parsed again: %q, %v", s, again, err)
		}
		if !strings.EqualFold(string(s), in) || strings.ToLower(string(s)) != string(s) {
			t.Fatalf("%q is not %q in lower case", s, in)
		}
		if len(s) > MaxScopeBytes || strings.Count(string(s), "/") >= MaxScopeSegments {
			t.Fatalf("%q is beyond the limits", s)
		}
		if !Scope("").Holds(s) || !s.Holds(s) || !s.Blocks("") {
			t.Fatalf("%q does not hold itself", s)
		}
		if s != "" && (!s.Holds(s+"/x") || s.Holds(s+"x") || (s + "x").Holds(s)) {
			t.Fatalf("%q holds what is not below it", s)
		}
	})
}

// Every byte by itself is in a scope or is not, and capital letters fold to small ones.
func TestParseScopeTakesEachByteOrRefusesIt(t *testing.T) {
	const taken = "abcdefghijklmnopqrstuvwxyz0123456789._-"
	for c := range 256 {
		in := string([]byte{byte(c)})
		got, err := ParseScope(in)
		want := Scope(strings.ToLower(in))
		if c >= 0x80 || !strings.Contains(taken, string(want)) {
			want = ""
		}
		if got != want || (err == nil) != (want != "") {
			t.Errorf("byte %#x: %q, %v, want %q", c, got, err, want)
		}
	}
}
