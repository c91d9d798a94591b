package national_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/phone/national"
)

// A form is a way to write a number.
type form struct {
	name, text string
	regions    []string // in which it is read so
	must       bool     // it is read; any other may be refused
}

// formsOf writes an example number in the ways that people and programs do.
func formsOf(n *phonenumbers.PhoneNumber, region string) []form {
	anywhere := []string{"", region, "US", "FR", "JP"}
	here := []string{region}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	inside := phonenumbers.GetNationalSignificantNumber(n)
	code := strings.TrimSuffix(e164, inside)
	abroad := phonenumbers.FormatOutOfCountryCallingNumber(n, region)
	local := phonenumbers.Format(n, phonenumbers.NATIONAL)
	if again, err := phonenumbers.Parse(local, region); err != nil || phonenumbers.Format(again, phonenumbers.E164) != e164 {
		local, abroad = inside, inside // libphonenumber does not read its own, as for mobiles of AR
	}
	return []form{
		{"E.164", e164, anywhere, true},
		{"international", phonenumbers.Format(n, phonenumbers.INTERNATIONAL), anywhere, true},
		{"tel:", phonenumbers.Format(n, phonenumbers.RFC3966), anywhere, true},
		{"whatsapp:", "whatsapp:" + e164, anywhere, true},
		{"sip:", "sip:" + e164 + "@example.com", anywhere, true},
		{"formula", `="` + e164 + `"`, anywhere, true},
		{"marks", "\u202a" + e164 + "\u202c\u00a0", anywhere, true},
		{"fraction", e164 + ".0", anywhere, true},
		{"00", "00" + e164[1:], anywhere[:4], true},
		{"00, spaced", "00 " + phonenumbers.Format(n, phonenumbers.INTERNATIONAL)[1:], anywhere[:4], true},
		{"00 in Japan", "00" + e164[1:], anywhere[4:], false}, // which has numbers that begin so
		{"(0)", code + " (0)" + inside, anywhere, false},
		{"00 and (0)", "00" + code[1:] + " (0) " + inside, anywhere, false},
		{"national", local, here, false},
		{"national without trunk prefix", inside, here, false},
		{"national fraction", inside + ".0", here, false},
		{"from abroad", abroad, here, false},
		{"digits", e164[1:], here, false},
	}
}

// Every example number of libphonenumber is one number however it is written, or is refused: never two.
func TestFormsAreOneNumber(t *testing.T) {
	read, refused := map[string]int{}, map[string]int{}
	for code := range phonenumbers.GetSupportedRegions() {
		for typ := range phonenumbers.UNKNOWN {
			example := phonenumbers.GetExampleNumberForType(code, typ)
			if example == nil {
				continue
			}
			want, err := phone.Parse(phonenumbers.Format(example, phonenumbers.E164))
			if err != nil {
				t.Errorf("%s, type %d: %v", code, typ, err)
			}
			for _, f := range formsOf(example, code) {
				for _, in := range slices.Compact(f.regions) {
					n, err := national.Parse(f.text, region(t, in))
					switch {
					case err == nil && n != want:
						t.Errorf("%s of %s, %q in %q, is read as %s, want %s", f.name, code, f.text, in, n.E164(), want.E164())
					case err != nil && f.must:
						t.Errorf("%s of %s, %q in %q: %v", f.name, code, f.text, in, err)
					case err != nil:
						refused[f.name]++
					default:
						read[f.name]++
					}
				}
			}
		}
	}
	t.Logf("read %v, refused %v", read, refused)
	if read["E.164"] < 4000 || read["national"] < 800 || read["(0)"] < 1000 {
		t.Errorf("too few were read: %v", read)
	}
}
