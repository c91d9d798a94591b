package place

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// easter is Easter Sunday, as the tables of the Church have it.
var easter = map[int]string{2024: "0331", 2025: "0420", 2026: "0405", 2027: "0328", 2028: "0416", 2029: "0401", 2030: "0421"}

func day(t *testing.T, s string) policy.Date {
	t.Helper()
	d, err := policy.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// off reports whether a day is one without calls for a person at a place: calls at noon are then not permitted.
func off(t *testing.T, country, place string, d policy.Date) bool {
	t.Helper()
	h, ok := Holidays(country)
	if !ok {
		t.Fatalf("no holidays of %s", country)
	}
	regional, known := h.Regional[place]
	if !known {
		regional = h.AnyRegion
	}
	_, is := slices.BinarySearch(h.National, d)
	_, there := slices.BinarySearch(regional, d)
	return is || there
}

// Days that follow from laws, against the tables: of each year, days from Easter and days of the year.
func TestHolidaysByRule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		country, place string
		fixed          string
		fromEaster     []policy.Date
		others         string // that are none
		notFromEaster  []policy.Date
	}{
		{"FR", "FR-IDF", "0101 0501 0508 0714 0815 1101 1111 1225", []policy.Date{1, 39, 50}, "1226 0522 1220", []policy.Date{-2}},
		{"FR", "FR-57", "0101 0501 0508 0714 0815 1101 1111 1225 1226", []policy.Date{-2, 1, 39, 50}, "0522 1220", nil},
		{"FR", "FR-67", "1226", []policy.Date{-2}, "1220", nil},
		{"FR", "FR-68", "1226", []policy.Date{-2}, "1220", nil},
		{"FR", "FR-6AE", "1226", []policy.Date{-2}, "1220", nil},
		{"FR", "FR-GES", "1226", []policy.Date{-2}, "1220", nil},
		{"FR", "FR-54", "1225", []policy.Date{1}, "1226", []policy.Date{-2}},
		{"FR", "FR-974", "1220 1225", []policy.Date{1}, "1226 0522", []policy.Date{-2}},
		{"FR", "", "1226 1220", []policy.Date{-2}, "0102", nil},
		{"DE", "DE-BE", "0101 0308 0501 1003 1225 1226", []policy.Date{-2, 1, 39, 50}, "0106 1031 1101", []policy.Date{60}},
		{"DE", "DE-BY", "0101 0106 0501 0815 1003 1101 1225 1226", []policy.Date{-2, 1, 39, 50, 60}, "0308 1031", nil},
		{"DE", "DE-BW", "0106 1101", []policy.Date{60}, "0815 1031", nil},
		{"DE", "DE-HH", "1031", []policy.Date{-2, 1, 39, 50}, "0106 1101", []policy.Date{60}},
		{"DE", "DE-NW", "1101", []policy.Date{60}, "1031 0106", nil},
		{"DE", "DE-SL", "0815 1101", []policy.Date{60}, "1031", nil},
		{"GB", "GB-ENG", "", []policy.Date{-2, 1}, "0317 0712 1130", nil},
		{"GB", "GB-SCT", "", []policy.Date{-2}, "0317 0712", []policy.Date{1}},
		{"GB", "GB-NIR", "", []policy.Date{-2, 1}, "1130", nil},
		{"US", "US-NY", "0101 0619 0704 1111 1225", nil, "0501 1226", []policy.Date{1}},
		{"CA", "CA-ON", "0101 0701 1225 1226", []policy.Date{-2}, "0624 1111", nil},
		{"CA", "CA-QC", "0101 0624 1225", nil, "1111 1226", nil},
		{"ES", "ES-MD", "0101 0106 0501 0815 1012 1101 1206 1208 1225", []policy.Date{-2}, "1226", nil},
		{"IT", "IT-62", "0101 0106 0425 0501 0602 0815 1101 1208 1225 1226", []policy.Date{1}, "0714", nil},
	} {
		for year, sunday := range easter {
			in := func(mmdd string) policy.Date {
				return date(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006"), mmdd)
			}
			for mmdd := range strings.FieldsSeq(tt.fixed) {
				if !off(t, tt.country, tt.place, in(mmdd)) {
					t.Errorf("%s %q: %v is no holiday", tt.country, tt.place, in(mmdd))
				}
			}
			for _, after := range tt.fromEaster {
				if d := in(sunday) + after; !off(t, tt.country, tt.place, d) {
					t.Errorf("%s %q: %v, %d days from Easter, is no holiday", tt.country, tt.place, d, after)
				}
			}
			for mmdd := range strings.FieldsSeq(tt.others) {
				if off(t, tt.country, tt.place, in(mmdd)) && in(mmdd).Weekday() != time.Sunday && !nearEaster(in(mmdd)-in(sunday)) {
					t.Errorf("%s %q: %v is a holiday", tt.country, tt.place, in(mmdd))
				}
			}
			for _, after := range tt.notFromEaster {
				if d := in(sunday) + after; off(t, tt.country, tt.place, d) && !slices.Contains(strings.Fields(tt.fixed), d.Time().Format("0102")) {
					t.Errorf("%s %q: %v, %d days from Easter, is a holiday", tt.country, tt.place, d, after)
				}
			}
		}
	}
}

// nearEaster reports whether so many days from Easter is a holiday in some country.
func nearEaster(days policy.Date) bool {
	return slices.Contains([]policy.Date{-3, -2, 0, 1, 39, 49, 50, 60}, days)
}

// Days that move, or are given instead of one at a weekend, as governments published them.
func TestHolidaysByCalendar(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ country, place, are, are_not string }{
		{"GB", "GB-ENG", "2024-05-06 2024-05-27 2024-08-26 2026-12-28 2027-12-27 2027-12-28 2028-01-03", "2024-08-05 2026-12-29"},
		{"GB", "GB-SCT", "2024-01-02 2024-08-05 2024-12-02 2026-11-30", "2024-08-26"},
		{"GB", "GB-NIR", "2025-03-17 2025-07-14 2026-07-13", "2025-01-02"},
		{"US", "US-NY", "2024-01-15 2024-02-19 2024-05-27 2024-09-02 2024-11-28 2026-07-03 2026-11-26 2027-07-05", "2024-11-29"},
		{"CA", "CA-ON", "2024-05-20 2025-05-19 2026-05-18 2027-05-24 2028-05-22 2024-02-19 2024-09-02 2024-10-14", "2024-05-27"},
		{"CA", "CA-QC", "2024-05-20 2026-05-18 2027-05-24", "2026-05-25"},
		{"DE", "DE-SN", "2024-11-20 2025-11-19 2026-11-18", "2026-11-11"},
		{"IT", "IT-62", "2026-10-04 2027-10-04", "2025-10-06"},
	} {
		for d := range strings.FieldsSeq(tt.are) {
			if !off(t, tt.country, tt.place, day(t, d)) {
				t.Errorf("%s: %s is no holiday", tt.place, d)
			}
		}
		for d := range strings.FieldsSeq(tt.are_not) {
			if off(t, tt.country, tt.place, day(t, d)) {
				t.Errorf("%s: %s is a holiday", tt.place, d)
			}
		}
	}
}

// A person whose subdivision is not known has every holiday of those that are in their zone.
func TestHolidaysOfUnknownPlacesAreStrict(t *testing.T) {
	t.Parallel()
	for _, country := range []string{"CA", "DE", "ES", "FR", "GB", "IT", "US"} {
		h, ok := Holidays(country)
		if !ok || h.From != day(t, "2020-01-01") || h.Until != day(t, "2040-12-31") || !slices.IsSorted(h.National) || !slices.IsSorted(h.AnyRegion) {
			t.Fatalf("holidays of %s: %v", country, ok)
		}
		for code, s := range subdivisions() {
			if s.country != country {
				continue
			}
			regional, known := h.Regional[code]
			if !known || !slices.IsSorted(regional) {
				t.Errorf("%s is not known, or not sorted", code)
			}
			for _, d := range regional {
				if !slices.Contains(h.AnyRegion, d) {
					t.Errorf("%s: %v is missing among those of any region", code, d)
				}
				for _, z := range s.zones {
					if !slices.Contains(h.AnyOf[z], d) {
						t.Errorf("%s: %v is missing among those of %s", code, d, z)
					}
				}
			}
		}
	}
	france, _ := Holidays("FR")
	if _, slavery := slices.BinarySearch(france.AnyOf["Europe/Paris"], day(t, "2026-12-20")); slavery {
		t.Error("a holiday of Reunion counts in metropolitan France")
	}
	if h, ok := Holidays("MC"); ok || h != nil {
		t.Error("a country without data has holidays")
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Europe/Paris": "Europe/Paris", "UTC": "UTC", "FR-IDF": "Europe/Paris", "FR-2A": "Europe/Paris", "US-NY": "America/New_York",
		"US-TN": "America/Chicago America/New_York", "GB-SCT": "Europe/London", "FR-974": "Indian/Reunion",
	} {
		p, err := Parse(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.Join(names(*p), " "); got != want || (p.Subdivision == name) != (name[2] == '-') {
			t.Errorf("%s: %q, subdivision %q; want %s", name, got, p.Subdivision, want)
		}
	}
	for _, name := range []string{"", "Local", "localtime", "posixrules", "Factory", "Europe/Nowhere", "europe/paris", "FR-00", "FR", "fr-57", "XX-1", "+01:00", "right/Europe/Paris",
		"posix/Europe/Paris", "../etc/passwd", "/etc/localtime", strings.Repeat("x", 65), "Europe/Paris\x00", "zone.tab"} {
		if p, err := Parse(name); err == nil {
			t.Errorf("%q is a place: %v %q", name, names(*p), p.Subdivision)
		}
	}
}

// The zones of each subdivision are known.
func TestSubdivisionsHaveZones(t *testing.T) {
	t.Parallel()
	for code := range subdivisions() {
		if p, err := Parse(code); err != nil || len(p.Zones) == 0 || p.Subdivision != code {
			t.Errorf("%s: %v", code, err)
		}
	}
}
