package phone_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/nyaruka/phonenumbers"

	"github.com/dncd/dncd/internal/phone"
)

var numberTypes = []phonenumbers.PhoneNumberType{
	phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.TOLL_FREE, phonenumbers.PREMIUM_RATE,
	phonenumbers.SHARED_COST, phonenumbers.VOIP, phonenumbers.PERSONAL_NUMBER, phonenumbers.PAGER,
	phonenumbers.UAN, phonenumbers.VOICEMAIL, phonenumbers.UNKNOWN,
}

// examples returns libphonenumber's example numbers in E.164, one a region and type at most.
func examples(t testing.TB) []string {
	t.Helper()
	var out []string
	for region := range phonenumbers.GetSupportedRegions() {
		for _, typ := range numberTypes {
			if n := phonenumbers.GetExampleNumberForType(region, typ); n != nil {
				out = append(out, phonenumbers.Format(n, phonenumbers.E164))
			}
		}
	}
	for code := range phonenumbers.GetSupportedGlobalNetworkCallingCodes() {
		n := phonenumbers.GetExampleNumberForNonGeoEntity(code)
		if n == nil {
			t.Fatalf("no example of calling code %d", code)
		}
		out = append(out, phonenumbers.Format(n, phonenumbers.E164))
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) < 1000 {
		t.Fatalf("%d example numbers, want more than 1000", len(out))
	}
	return out
}

// checkAgreement compares the regions of s with libphonenumber's.
func checkAgreement(t *testing.T, s string) {
	t.Helper()
	theirs, err := phonenumbers.Parse(s, "ZZ")
	if err != nil {
		t.Fatal(err)
	}
	n, err := phone.Parse(s)
	if errors.Is(err, phone.ErrTrunk) && phonenumbers.Format(theirs, phonenumbers.E164) != s {
		return // they left the prefix out
	}
	if (errors.Is(err, phone.ErrTrunk) || errors.Is(err, phone.ErrNoSuchNumber)) && !phonenumbers.IsValidNumber(theirs) {
		return // a zero that no number has there, or one of Italy without its zero
	}
	if err != nil {
		t.Errorf("Parse(%s): %v", s, err)
		return
	}
	if n.E164() != s {
		checkRespelled(t, s, n, theirs)
		return
	}
	want := phonenumbers.GetRegionCodeForNumber(theirs)
	got := n.Regions()
	switch {
	case want == "":
		if got.IsEmpty() {
			t.Errorf("%s belongs to no region", s)
		}
	case !slices.Contains(got.Strings(), want):
		t.Errorf("%s is of %v, want %s", s, got, want)
	case theirs.GetCountryCode() == 1 && got.Len() > 1 && s[:6] != "+18001":
		t.Errorf("%s is of %v, want %s alone", s, got, want)
	}
	if code := int(theirs.GetCountryCode()); n.CallingCode() != code {
		t.Errorf("%s has calling code %d, want %d", s, n.CallingCode(), code)
	}
}

// checkRespelled asks of a number that is kept under another calling code than it was written with whether that is one
// of the French plan, and no line that its own code has.
func checkRespelled(t *testing.T, s string, n phone.Number, theirs *phonenumbers.PhoneNumber) {
	t.Helper()
	french := []int{33, 262, 508, 590, 594, 596}
	if !slices.Contains(french, n.CallingCode()) || !slices.Contains(french, int(theirs.GetCountryCode())) {
		t.Errorf("%s is read as %s", s, n.E164())
	}
	if kind := phonenumbers.GetNumberType(theirs); theirs.GetCountryCode() != 33 && s[4:6] != "80" &&
		(kind == phonenumbers.FIXED_LINE || kind == phonenumbers.MOBILE) {
		t.Errorf("%s is read as %s, though it is a line of its code", s, n.E164())
	}
	if again, err := phone.Parse(n.E164()); again != n {
		t.Errorf("%s is read as %s, and that as %s, %v", s, n.E164(), again.E164(), err)
	}
}

func TestAgreesWithExampleNumbers(t *testing.T) {
	for _, s := range examples(t) {
		checkAgreement(t, s)
		n, err := phone.Parse(s)
		if err != nil {
			t.Errorf("Parse(%s): %v", s, err)
		}
		if m, err := phone.FromDigits(uint64(n)); err != nil || m != n {
			t.Errorf("FromDigits of %s: %v", s, err)
		}
	}
}

// Numbers near the examples fall into neighbouring blocks, which is where regions of one calling code meet.
func TestAgreesNearExampleNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range examples(t) {
		for range 5 {
			checkAgreement(t, varied(rng, s))
		}
	}
}

// varied replaces the last digits of s, at most as many as leave the calling code and a digit alone.
func varied(rng *rand.Rand, s string) string {
	b := []byte(s)
	for i := len(b) - 1 - rng.IntN(len(b)-5); i < len(b); i++ {
		b[i] = byte('0' + rng.IntN(10))
	}
	return string(b)
}

func TestAgreesOnSharedCallingCodes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	lengths := map[int]int{1: 10, 7: 10, 39: 10, 44: 10, 47: 8, 61: 9, 212: 9, 262: 9, 290: 4, 358: 9, 590: 9, 599: 7}
	for code := range phonenumbers.GetSupportedCallingCodes() {
		if len(phonenumbers.GetRegionCodesForCountryCode(code)) < 2 {
			continue
		}
		if lengths[code] == 0 {
			t.Fatalf("calling code %d is shared and untested: add it", code)
		}
		for lead := 100; lead < 1000; lead++ {
			if code == 1 && lead < 200 {
				continue
			}
			s := fmt.Sprintf("+%d%d%0*d", code, lead, lengths[code]-3, rng.IntN(1e7)%pow(lengths[code]-3))
			checkAgreement(t, s)
		}
	}
}

func pow(n int) int {
	v, _ := strconv.Atoi("1" + "0000000000"[:n])
	return v
}
