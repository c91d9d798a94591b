package national_test

import (
	"regexp"
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/phone/national"
)

var digit = regexp.MustCompile(`\d`)

func FuzzParse(f *testing.F) {
	for _, s := range []string{"415-555-0123", "0033199001234", "+44 (0)20 7946 0958", "0692123456", "3.3E+10", "(0)", "0(0)", "00(0)", "x"} {
		for _, code := range []string{"", "US", "FR", "GB", "IT", "AR", "BR", "JP"} {
			f.Add(s, uint8(region(f, code)))
		}
	}
	f.Fuzz(func(t *testing.T, s string, r uint8) {
		if phone.Region(r) > phone.World {
			return
		}
		n, err := national.Parse(s, phone.Region(r))
		if err != nil {
			if digit.MatchString(err.Error()) || n != 0 {
				t.Errorf("Parse(%q, %s) = %s, %v", s, phone.Region(r), n.E164(), err)
			}
			return
		}
		again, err := phone.Parse(n.E164())
		if err != nil || again != n {
			t.Errorf("Parse(%q, %s) = %s, which reads as %s, %v", s, phone.Region(r), n.E164(), again.E164(), err)
		}
	})
}
