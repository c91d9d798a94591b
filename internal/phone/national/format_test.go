package national

import (
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

func TestFormat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		number, region, want string // "": there is none
	}{
		{"+14155550100", "US", "4155550100"},
		{"+14165550100", "US", "4165550100"}, // Canada, dialled alike
		{"+33199001234", "FR", "0199001234"},
		{"+442079460000", "GB", "02079460000"},
		{"+442079460000", "FR", ""}, // it would be 02 07 94 60 00 in France, another number
		{"+390669800000", "IT", "0669800000"},
		{"+34910000000", "ES", "910000000"},
		{"+74950000000", "RU", "84950000000"},
		{"+5215555550100", "MX", "5555550100"},
	} {
		n, err := phone.Parse(c.number)
		if err != nil {
			t.Fatal(c.number, err)
		}
		region, err := phone.ParseRegion(c.region)
		if err != nil {
			t.Fatal(c.region, err)
		}
		if got, ok := Format(n, region); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s in %s: got %q, %v, want %q", c.number, c.region, got, ok, c.want)
		}
	}
}

// TestFormatIsReadAsTheSameNumber holds that no two numbers have the same form, also of regions whose rules are odd.
func TestFormatIsReadAsTheSameNumber(t *testing.T) {
	t.Parallel()
	for r := range rules() {
		region := phone.Region(r)
		code := rules()[r].code
		if code == "" {
			continue
		}
		for _, rest := range []string{"0100000001", "100000001", "199001234", "2345678", "35550100", "4155550100", "612345678", "9115550100", "91155550100"} {
			n, err := phone.Parse("+" + code + rest)
			if err != nil {
				continue
			}
			text, ok := Format(n, region)
			if !ok {
				continue
			}
			if back, err := Parse(text, region); err != nil || back != n {
				t.Errorf("%s: a form is read as another number: %v", region, err)
			}
		}
	}
}
