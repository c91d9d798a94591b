package registry

import (
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	paris := time.FixedZone("", 2*3600)
	tests := []struct {
		text     string
		dayFirst bool
		loc      *time.Location
		want     time.Time
		reason   string
	}{
		{text: "2026-09-09", want: utc(2026, 9, 9, 0, 0)},
		{text: "2026-9-9", want: utc(2026, 9, 9, 0, 0)},
		{text: "2026/09/09", want: utc(2026, 9, 9, 0, 0)},
		{text: "2026-09-09", loc: paris, want: utc(2026, 9, 8, 22, 0)},
		{text: "2026-09-09 14:03", want: utc(2026, 9, 9, 14, 3)},
		{text: "2026-09-09 14:03", loc: paris, want: utc(2026, 9, 9, 12, 3)},
		{text: "2026-09-09T14:03:05Z", loc: paris, want: utc(2026, 9, 9, 14, 3).Add(5 * time.Second)},
		{text: "2026-09-09t14:03:05.25+02:00", want: utc(2026, 9, 9, 12, 3).Add(5250 * time.Millisecond)},
		{text: "2026-09-09T14:03:05.1234567891234-0330", want: utc(2026, 9, 9, 17, 33).Add(5123456789)},
		{text: "2026-09-09 14:03:05 +02", want: utc(2026, 9, 9, 12, 3).Add(5 * time.Second)},
		{text: "2024-02-29", want: utc(2024, 2, 29, 0, 0)},
		{text: "09/10/2026", dayFirst: true, want: utc(2026, 10, 9, 0, 0)},
		{text: "9.9.2026 14h03", dayFirst: true, want: utc(2026, 9, 9, 14, 3)},
		{text: "9-9-2026 8:03:01", dayFirst: true, want: utc(2026, 9, 9, 8, 3).Add(time.Second)},
		{text: "2026-09-10", dayFirst: true, want: utc(2026, 9, 10, 0, 0)},
		{text: "09/09/2026", reason: ReasonDayFirst},
		{text: "9.9.2026", reason: ReasonDayFirst},
		{text: "30/09/2026 14:03", reason: ReasonDayFirst},
		{text: "9/30/2026", dayFirst: true, reason: ReasonDate},
		{text: "2026-02-29", reason: ReasonDate},
		{text: "2026-13-01", reason: ReasonDate},
		{text: "2026-00-01", reason: ReasonDate},
		{text: "0000-00-00", reason: ReasonDate},
		{text: "1900-01-01", reason: ReasonDate},
		{text: "26-09-09", reason: ReasonDate},
		{text: "09/09/26", dayFirst: true, reason: ReasonDate},
		{text: "2026-09/09", reason: ReasonDate},
		{text: "2026-09", reason: ReasonDate},
		{text: "2026-09-09T", reason: ReasonDate},
		{text: "2026-09-09 14", reason: ReasonDate},
		{text: "2026-09-09 14:3", reason: ReasonDate},
		{text: "2026-09-09 24:00", reason: ReasonDate},
		{text: "2026-09-09 14:60", reason: ReasonDate},
		{text: "2026-09-09 02:03 PM", reason: ReasonDate},
		{text: "2026-09-09 14:03:05.", reason: ReasonDate},
		{text: "2026-09-09 14:03:05+2", reason: ReasonDate},
		{text: "2026-09-0914:03", reason: ReasonDate},
		{text: "12026-09-09", reason: ReasonDate},
		{text: "46274", reason: ReasonDate},
		{text: "yesterday", reason: ReasonDate},
	}
	for _, tt := range tests {
		if tt.loc == nil {
			tt.loc = time.UTC
		}
		got, reason := parseDate(tt.text, tt.dayFirst, tt.loc)
		if !got.Equal(tt.want) || reason != tt.reason {
			t.Errorf("%q, day first %v: got %v, %q, want %v, %q", tt.text, tt.dayFirst, got, reason, tt.want, tt.reason)
		}
	}
}

// What time.Parse reads as RFC 3339 is read the same, in the years we take.
func FuzzParseDate(f *testing.F) {
	for _, text := range []string{"2026-09-09T14:03:05Z", "2026-09-09T14:03:05.123456789+02:00", "9/9/2026", "2026-09-09 14:03"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, reason := parseDate(text, true, time.UTC)
		if (reason == "") == got.IsZero() {
			t.Errorf("%q: got %v, %q", text, got, reason)
		}
		for _, layout := range []string{time.RFC3339, time.RFC3339Nano, time.DateOnly, time.DateTime} {
			want, err := time.Parse(layout, text)
			strict := err == nil && want.Format(layout) == text // time.Parse takes +00:60
			if strict && want.Year() >= 1971 && !got.Equal(want) {
				t.Errorf("%q: got %v, %q, want %v", text, got, reason, want)
			}
		}
	})
}
