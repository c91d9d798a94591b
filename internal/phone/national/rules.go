package national

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"

	"github.com/dncd/dncd/internal/phone"
)

// dialling is what of a region's metadata is needed to read its numbers.
type dialling struct {
	region  string
	code    string // calling code
	lengths uint32 // bit i: national numbers may have i digits
	full    int    // the most digits of a fixed line or mobile: no digit is missing
	trunk   string // trunk prefix, "" when the region has none
	abroad  string // prefix of international numbers, "" when there are several
	// simple: the trunk prefix is a zero, and no other rule takes digits away or puts some in.
	simple bool
	lone   bool // the trunk prefix is all that may stand before a national number
}

// rules is indexed by region.
var rules = sync.OnceValue(func() *[256]dialling {
	var all [256]dialling
	metadata, err := phonenumbers.MetadataCollection()
	if err != nil {
		return &all // package phonenumbers does not get past its own start then
	}
	for _, m := range metadata.GetMetadata() {
		if r, err := phone.ParseRegion(m.GetId()); err == nil {
			all[r] = newDialling(m)
		}
	}
	return &all
})

func newDialling(m *phonenumbers.PhoneMetadata) dialling {
	d := dialling{
		region: m.GetId(),
		code:   strconv.Itoa(int(m.GetCountryCode())),
		trunk:  m.GetNationalPrefix(),
	}
	general := m.GetGeneralDesc().GetPossibleLength()
	for _, l := range general {
		d.lengths |= 1 << l
	}
	for _, desc := range []*phonenumbers.PhoneNumberDesc{m.GetFixedLine(), m.GetMobile()} {
		lengths := desc.GetPossibleLength()
		if len(lengths) == 0 {
			lengths = general
		}
		d.full = max(d.full, int(slices.Max(lengths)))
	}
	if prefix := m.GetInternationalPrefix(); strings.Trim(prefix, "0123456789") == "" {
		d.abroad = prefix
	}
	rule := m.GetNationalPrefixForParsing()
	d.simple = d.abroad == "00" && m.GetNationalPrefixTransformRule() == "" && d.trunk == "0" &&
		(rule == "0" || strings.HasPrefix(rule, "0|")) && !strings.Contains(rule, "(")
	d.lone = rule == "0"
	return d
}

// quick reads the plain cases, which are nearly all lines of a file, as slow would.
func (d *dialling) quick(digits []byte) (phone.Number, bool) {
	var national []byte
	switch {
	case d.isAbroad(digits):
		return number("", digits[len(d.abroad):])
	case d.code == "1":
		national = nanp(digits)
	case d.simple:
		national = d.plain(digits)
	}
	if national == nil {
		return 0, false
	}
	return number(d.code, national)
}

func (d *dialling) isAbroad(digits []byte) bool {
	n := len(d.abroad)
	return n > 0 && len(digits) > n && string(digits[:n]) == d.abroad && digits[n] != '0'
}

func number(code string, national []byte) (phone.Number, bool) {
	var u uint64
	for _, c := range []byte(code) {
		u = u*10 + uint64(c-'0')
	}
	if len(code)+len(national) > phone.MaxDigits {
		return 0, false
	}
	for _, c := range national {
		u = u*10 + uint64(c-'0')
	}
	n, err := phone.FromDigits(u)
	return n, err == nil
}

// nanp takes the trunk prefix 1 off ten digits that begin with an area code.
func nanp(digits []byte) []byte {
	if len(digits) == 11 && digits[0] == '1' {
		digits = digits[1:]
	}
	if len(digits) != 10 || digits[0] < '2' {
		return nil
	}
	return digits
}

// plain takes the trunk prefix off, or finds it lost from a number that has all its other digits.
func (d *dialling) plain(digits []byte) []byte {
	if len(digits) < 3 || digits[0] == '0' && digits[1] == '0' {
		return nil
	}
	if digits[0] == '0' {
		if national := digits[1:]; d.lengths>>len(national)&1 == 1 {
			return national
		}
		return nil
	}
	if len(digits) != d.full || digits[0] == d.code[0] || !d.lone && digits[0] == '1' {
		return nil // may begin with the calling code, or with the prefix of a service, such as 180020 in GB
	}
	return digits
}

const mexico = "52"

// withoutOldPrefix takes off what was dialled in Mexico before its ten digits until 2019: 01, 044 and 045, or 1 behind
// the calling code.
func withoutOldPrefix(digits []byte) []byte {
	for _, prefix := range []string{"044", "045", "521", "01", "1"} {
		if len(digits) == len(prefix)+10 && string(digits[:len(prefix)]) == prefix {
			return digits[len(prefix):]
		}
	}
	return digits
}
