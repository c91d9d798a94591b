package phone_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

var digit = regexp.MustCompile(`\d`)

func checkError(t *testing.T, err error) {
	t.Helper()
	if digit.MatchString(err.Error()) {
		t.Errorf("error holds a digit: %v", err)
	}
}

// checkNumber asks of a number that was accepted what holds of each.
func checkNumber(t *testing.T, n phone.Number) {
	t.Helper()
	again, err := phone.Parse(n.E164())
	if err != nil || again != n {
		t.Errorf("Parse(%s) = %s, %v", n.E164(), again.E164(), err)
	}
	if n.Regions().IsEmpty() || n.CallingCode() == 0 || n.Digits() > phone.MaxDigits {
		t.Errorf("%s: regions %v, calling code %d, %d digits", n.E164(), n.Regions(), n.CallingCode(), n.Digits())
	}
}

// digitsIn counts the digits of a number that was accepted, without its wrapper.
func digitsIn(t *testing.T, s string) int {
	t.Helper()
	bare, err := phone.Bare(s)
	if err != nil {
		t.Errorf("Bare(%q): %v", s, err)
	}
	return len(digit.FindAllString(bare, -1))
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"+14155550123", "tel:+1-415-555-0123", "+33 1 99 00 12 34", "3.36E+10", "+１４", "+1x2", "", "\xff", "+49(0)30", "+49(0)4903", "1.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := phone.Parse(s)
		if err != nil {
			checkError(t, err)
			if n != 0 {
				t.Errorf("an error comes with %s", n.E164())
			}
			return
		}
		checkNumber(t, n)
		if got := digitsIn(t, s); got != n.Digits() && (got-1 != n.Digits() || !strings.Contains(s, "(0)")) {
			t.Errorf("%q has %d digits, the number %s", s, got, n.E164())
		}
	})
}

func FuzzFromDigits(f *testing.F) {
	for _, u := range []uint64{0, 1, 310, 14155550123, 13101234, 999999999999999, 1<<64 - 1} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, u uint64) {
		_ = phone.Number(u).String()
		_ = phone.Number(u).Regions()
		n, err := phone.FromDigits(u)
		if err != nil {
			checkError(t, err)
			return
		}
		if uint64(n) != u {
			t.Errorf("FromDigits(%d) = %s", u, n.E164())
		}
		checkNumber(t, n)
	})
}

func FuzzParsePrefix(f *testing.F) {
	f.Add("1415", uint64(14155550123))
	f.Add("+0", uint64(0))
	f.Fuzz(func(t *testing.T, s string, u uint64) {
		p, err := phone.ParsePrefix(s)
		if err != nil {
			checkError(t, err)
			return
		}
		set := phone.NewPrefixSet([]phone.Prefix{p})
		want := len(p.String()) <= len(strconv.FormatUint(u, 10)) && strconv.FormatUint(u, 10)[:len(p.String())] == p.String()
		if _, got := set.Match(phone.Number(u)); got != want || p.Contains(phone.Number(u)) != want {
			t.Errorf("prefix %s and %d: match %v, contains %v, want %v", p, u, got, p.Contains(phone.Number(u)), want)
		}
	})
}
