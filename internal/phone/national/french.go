package national

import (
	"slices"

	"github.com/nyaruka/phonenumbers"
	"google.golang.org/protobuf/proto"
)

// frenchCodes are the calling codes of the French numbering plan. It is one plan inside: 0692 dialled in Paris rings on
// Reunion (+262 692), 01 dialled there rings in Paris (+33 1). libphonenumber takes each code for a plan of its own, and
// would make two numbers of one.
var frenchCodes = []int{33, 262, 508, 590, 594, 596}

const france = "33"

// isOverseas reports the ranges, without the zero, in which numbers of the French plan can belong to a department overseas.
func isOverseas(national []byte) bool {
	return len(national) == 9 && slices.Contains([]string{"26", "59", "63", "69", "70"}, string(national[:2]))
}

// inFrenchPlan returns the number with the calling code under which it is reached from abroad: that of the overseas
// department whose fixed line or mobile it is, else the region's own if it is valid there, else France's.
func (d *dialling) inFrenchPlan(n *phonenumbers.PhoneNumber) *phonenumbers.PhoneNumber {
	national := []byte(phonenumbers.GetNationalSignificantNumber(n))
	if len(national) != 9 {
		return n
	}
	if isOverseas(national) {
		for _, code := range frenchCodes[1:] {
			if m := withCode(n, code); isLine(m) {
				return m
			}
		}
	}
	if m := withCode(n, frenchCodes[0]); !phonenumbers.IsValidNumber(n) && phonenumbers.IsValidNumber(m) {
		return m
	}
	return n
}

func withCode(n *phonenumbers.PhoneNumber, code int) *phonenumbers.PhoneNumber {
	m := proto.CloneOf(n)
	m.CountryCode = proto.Int32(int32(code))
	return m
}

func isLine(n *phonenumbers.PhoneNumber) bool {
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
		return true
	}
	return false
}
