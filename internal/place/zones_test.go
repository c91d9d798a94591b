package place

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

func names(p policy.Place) (out []string) {
	for _, z := range p.Zones {
		out = append(out, z.Name())
	}
	return out
}

func TestZonesOfNumbers(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"+33199001234":   "Europe/Paris",
		"+590690001234":  "America/Guadeloupe",
		"+14155550100":   "America/Los_Angeles",
		"+14165550100":   "America/Toronto",
		"+17875550100":   "America/Puerto_Rico",
		"+447700900123":  "Europe/London",
		"+4915112345678": "Europe/Berlin",
		"+34612345678":   "Atlantic/Canary Europe/Madrid",
		"+80012345678":   "",
	} {
		n, err := phone.Parse(number)
		if err != nil {
			t.Fatal(number, err)
		}
		if got := strings.Join(names(Of(n)), " "); got != want {
			t.Errorf("%s: %q, want %q", number, got, want)
		}
	}
	tollFree := Of(phone.Number(1_800_555_0100)).Zones
	for _, clock := range []string{"America/New_York", "America/Los_Angeles", "Pacific/Honolulu", "Pacific/Guam", "America/St_Johns", "America/Puerto_Rico"} {
		z, err := zone(clock)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(tollFree, z.SameClock) {
			t.Errorf("a toll-free number may not be on the clock of %s", clock)
		}
	}
}

// clocksAgree compares the zones of a number with libphonenumber's: its own, or all of its country's if the number is of no fixed
// place. Where some numbers of a prefix are of none, all of its numbers have the zones of the country.
func clocksAgree(t interface{ Fatalf(string, ...any) }, digits string) {
	u, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", digits, err)
	}
	got := Of(phone.Number(u)).Zones
	own, country := theirs(t, digits), theirs(t, callingCode(digits))
	want := own
	if n, err := phonenumbers.Parse("+"+digits, ""); err == nil && phonenumbers.GetNumberType(n) == phonenumbers.MOBILE &&
		!slices.Contains([]int32{52, 54, 55, 62, 86}, n.GetCountryCode()) {
		want = country
	}
	for _, name := range want {
		z, err := zone(name)
		if err != nil || !slices.ContainsFunc(got, z.SameClock) {
			t.Fatalf("%s: %s is missing, %v", digits, name, err)
		}
	}
	for _, z := range got {
		if !slices.Contains(own, z.Name()) && !slices.Contains(country, z.Name()) {
			t.Fatalf("%s: %s is not among %v, nor %v", digits, z.Name(), own, country)
		}
	}
}

// theirs are the zones that libphonenumber has for digits.
func theirs(t interface{ Fatalf(string, ...any) }, digits string) []string {
	found, err := phonenumbers.GetTimezonesForPrefix(digits)
	if err != nil {
		t.Fatalf("%s: %v", digits, err)
	}
	if found[0] == phonenumbers.UNKNOWN_TIMEZONE {
		return nil
	}
	return found
}

func callingCode(digits string) string {
	codes := phonenumbers.GetSupportedCallingCodes()
	for n := 1; n <= 3; n++ {
		if code, _ := strconv.Atoi(digits[:n]); codes[code] {
			return digits[:n]
		}
	}
	return digits
}

func TestZonesAreLibphonenumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clocksAgree(t, rapid.StringMatching("[1-9][0-9]{6,14}").Draw(t, "digits"))
	})
	for _, list := range lines(zonesText) { // around each prefix
		for p := range strings.FieldsSeq(list) {
			for _, rest := range []string{"000000", "999999", "123456"} {
				clocksAgree(t, p+rest)
			}
		}
	}
}

// Each zone is in the time zone database: none is left out in silence.
func TestZonesLoad(t *testing.T) {
	t.Parallel()
	for list := range lines(zonesText) {
		for name := range strings.SplitSeq(list, ",") {
			if _, err := Location(name); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestLookUpAllocatesNothing(t *testing.T) {
	ClocksOf(1)
	if n := testing.AllocsPerRun(100, func() { Of(14155550100); Of(33199001234); Of(447700900123) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkClocks(b *testing.B) {
	for _, n := range []phone.Number{1_415_555_0100, 33_199_001_234, 447_700_900_123, 74_951_234_567} {
		b.Run(fmt.Sprint(uint64(n)/1e6), func(b *testing.B) {
			for b.Loop() {
				ClocksOf(n)
			}
		})
	}
}

func BenchmarkTable(b *testing.B) {
	for b.Loop() {
		newTable(zonesText)
	}
}
