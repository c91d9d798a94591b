package policy

import (
	"errors"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Date
		ok   bool
	}{
		{"", 0, true},
		{"1970-01-02", 1, true},
		{"2000-03-01", 11017, true},
		{"2024-02-29", 19782, true},
		{"9999-12-31", 2932896, true},
		{"1970-01-01", 0, false}, // the zero Date means none
		{"1969-12-31", 0, false},
		{"2023-02-29", 0, false},
		{"2026-13-01", 0, false},
		{"2026-9-9", 0, false},
		{"20260909", 0, false},
		{"2026-09-09T00:00:00Z", 0, false},
		{" 2026-09-09", 0, false},
		{"09.09.2026", 0, false},
	} {
		got, err := ParseDate(c.in)
		if got != c.want || (err == nil) != c.ok || (err != nil && !errors.Is(err, ErrDate)) {
			t.Errorf("ParseDate(%q) = %d, %v, want %d, ok %v", c.in, got, err, c.want, c.ok)
		}
		if c.ok && got.String() != c.in {
			t.Errorf("%d is written %q, want %q", got, got.String(), c.in)
		}
	}
}

func TestDateOfIsTheDayInUTC(t *testing.T) {
	for _, c := range []struct {
		in   time.Time
		want Date
	}{
		{time.Unix(0, 0), 0},
		{time.Unix(secondsPerDay-1, 999_999_999), 0},
		{time.Unix(secondsPerDay, 0), 1},
		{time.Unix(-1, 0), -1},
		{time.Unix(-secondsPerDay, 0), -1},
		{time.Unix(-secondsPerDay-1, 0), -2},
		{time.Date(2026, 9, 10, 1, 0, 0, 0, time.FixedZone("", 2*60*60)), 20705},
		{time.Date(2026, 9, 9, 23, 0, 0, 0, time.UTC), 20705},
	} {
		if got := DateOf(c.in); got != c.want {
			t.Errorf("day of %v: %d, want %d", c.in, got, c.want)
		}
	}
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"", "2026-09-09", "1970-01-01", "2024-02-29", "2023-02-29", "9999-12-31", "0000-00-00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		d, err := ParseDate(in)
		if err != nil {
			if d != 0 || !errors.Is(err, ErrDate) {
				t.Fatalf("%q: %d, %v, want no date and ErrDate", in, d, err)
			}
			return
		}
		if d.String() != in || (d != 0 && DateOf(d.Time()) != d) {
			t.Fatalf("%q comes back as %q", in, d)
		}
	})
}
