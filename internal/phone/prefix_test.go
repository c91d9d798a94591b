package phone_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
)

func TestParsePrefix(t *testing.T) {
	tests := []struct {
		in   string
		want phone.Prefix
		err  error
	}{
		{in: "1415", want: 1415},
		{in: "+1415", want: 1415},
		{in: "1", want: 1},
		{in: "35", want: 35},
		{in: "3906", want: 3906},
		{in: "123456789012345", err: nil, want: 123456789012345},
		{in: "", err: phone.ErrPrefix},
		{in: "+", err: phone.ErrPrefix},
		{in: "1 415", err: phone.ErrPrefix},
		{in: "1234567890123456", err: phone.ErrPrefix},
		{in: "１４", err: phone.ErrPrefix},
		{in: "0", err: phone.ErrCallingCode},
		{in: "041", err: phone.ErrCallingCode},
		{in: "999", err: phone.ErrCallingCode},
		{in: "21", want: 21},
		{in: "210", err: phone.ErrCallingCode},
		{in: "4402", err: phone.ErrTrunk},
	}
	for _, tt := range tests {
		got, err := phone.ParsePrefix(tt.in)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("ParsePrefix(%q) = %s, %v, want %s, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func prefixes(t testing.TB, list string) []phone.Prefix {
	t.Helper()
	var out []phone.Prefix
	for s := range strings.FieldsSeq(list) {
		p, err := phone.ParsePrefix(s)
		if err != nil {
			t.Fatalf("ParsePrefix(%s): %v", s, err)
		}
		out = append(out, p)
	}
	return out
}

func TestPrefixSet(t *testing.T) {
	set := phone.NewPrefixSet(prefixes(t, "44 1818 1415 33 1415 14155 3 49"))
	want := []string{"1415", "14155", "1818", "3", "33", "44", "49"}
	if diff := cmp.Diff(want, set.Strings()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	tests := []struct{ number, want string }{
		{"+14155550123", "14155"},
		{"+14154550123", "1415"},
		{"+18184550123", "1818"},
		{"+33199001234", "33"},
		{"+390612345678", "3"},
		{"+12125550123", ""},
		{"+4721234567", ""},
	}
	for _, tt := range tests {
		got, ok := set.Match(mustParse(t, tt.number))
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("Match(%s) = %s, %v, want %q", tt.number, got, ok, tt.want)
		}
	}
	for _, p := range set.All() {
		if _, ok := set.Match(phone.Number(p)); !set.Has(p) || !ok {
			t.Errorf("%s is not in the set that holds it", p)
		}
	}
	if !set.Has(33) || set.Has(34) || set.Has(0) {
		t.Error("Has is wrong")
	}
	if !set.Equal(phone.NewPrefixSet(prefixes(t, "3 33 1415 14155 1818 49 44"))) || set.Equal(phone.PrefixSet{}) {
		t.Error("Equal is wrong")
	}
}

func TestEmptyPrefixSet(t *testing.T) {
	for _, set := range []phone.PrefixSet{{}, phone.NewPrefixSet(nil), phone.NewPrefixSet([]phone.Prefix{0})} {
		if _, ok := set.Match(14155550123); ok || set.Len() != 0 || set.Index(14155550123) != -1 || set.Has(1) {
			t.Errorf("the empty set matches, or has %d prefixes", set.Len())
		}
	}
}

// Match must find what trying every prefix finds.
func TestPrefixSetAgainstScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		var ps []phone.Prefix
		for range 1 + rng.IntN(60) {
			ps = append(ps, phone.Prefix(1+rng.Uint64N(5000)))
		}
		set := phone.NewPrefixSet(ps)
		for range 200 {
			n := phone.Number(1e9 + rng.Uint64N(99e9))
			var want phone.Prefix
			for _, p := range ps {
				if p.Contains(n) {
					want = max(want, p)
				}
			}
			got, ok := set.Match(n)
			if got != want || ok != (want != 0) {
				t.Fatalf("Match(%d) = %s, %v, want %s of %v", uint64(n), got, ok, want, set.Strings())
			}
			if i := set.Index(n); ok && set.Strings()[i] != want.String() {
				t.Fatalf("Index(%d) = %d, want that of %s", uint64(n), i, want)
			}
		}
	}
}
