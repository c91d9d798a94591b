package registry

import (
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	paris := time.FixedZone("", 2*3600)
	tests := []struct {
		text   string
		order  DateOrder
		loc    *time.Location
		want   time.Time
		reason string
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
		{text: "09/10/2026", order: DayFirst, want: utc(2026, 10, 9, 0, 0)},
		{text: "9.9.2026 14h03", order: DayFirst, want: utc(2026, 9, 9, 14, 3)},
		{text: "9-9-2026 8:03:01", order: DayFirst, want: utc(2026, 9, 9, 8, 3).Add(time.Second)},
		{text: "2026-09-10", order: DayFirst, want: utc(2026, 9, 10, 0, 0)},
		{text: "09/09/2026", reason: ReasonDateOrder},
		{text: "9.9.2026", reason: ReasonDateOrder},
		{text: "30/09/2026 14:03", reason: ReasonDateOrder},
		{text: "9/30/2026", order: DayFirst, reason: ReasonDate},
		{text: "2026-02-29", reason: ReasonDate},
		{text: "2026-13-01", reason: ReasonDate},
		{text: "2026-00-01", reason: ReasonDate},
		{text: "0000-00-01", reason: ReasonDate},
		{text: "1900-01-01", reason: ReasonDate},
		{text: "26-09-09", reason: ReasonDate},
		{text: "09/09/26", order: DayFirst, reason: ReasonDate},
		{text: "2026-09/09", reason: ReasonDate},
		{text: "2026-09", reason: ReasonDate},
		{text: "2026-09-09T", reason: ReasonDate},
		{text: "2026-09-09 14", reason: ReasonDate},
		{text: "2026-09-09 14:3", reason: ReasonDate},
		{text: "2026-09-09 24:00", reason: ReasonDate},
		{text: "2026-09-09 14:60", reason: ReasonDate},
		{text: "2026-09-09 02:03 PM", want: utc(2026, 9, 9, 14, 3)},
		{text: "2026-09-09 10:00:00 UTC", loc: paris, want: utc(2026, 9, 9, 10, 0)},
		{text: "2026-09-09 10:00 gmt", loc: paris, want: utc(2026, 9, 9, 10, 0)},
		{text: "9/1/2026 10:00 AM", order: MonthFirst, want: utc(2026, 9, 1, 10, 0)},
		{text: "9/1/2026 10:00 AM", order: DayFirst, want: utc(2026, 1, 9, 10, 0)},
		{text: "9/1/2026 10:00 AM", order: YearFirst, reason: ReasonDateOrder},
		{text: "9/1/2026, 10:00:05\u202fPM", order: MonthFirst, want: utc(2026, 9, 1, 22, 0).Add(5 * time.Second)},
		{text: "9/1/2026 12:00 a.m.", order: MonthFirst, want: utc(2026, 9, 1, 0, 0)},
		{text: "9/1/2026 12:00pm", order: MonthFirst, want: utc(2026, 9, 1, 12, 0)},
		{text: "9/1/2026 10:00 AM UTC", order: MonthFirst, loc: paris, want: utc(2026, 9, 1, 10, 0)},
		{text: "9/1/2026 13:00 PM", order: MonthFirst, reason: ReasonDate},
		{text: "9/1/2026 0:00 AM", order: MonthFirst, reason: ReasonDate},
		{text: "9/30/2026", order: MonthFirst, want: utc(2026, 9, 30, 0, 0)},
		{text: "30/9/2026", order: MonthFirst, reason: ReasonDate},
		{text: "2026-09-30", order: YearFirst, want: utc(2026, 9, 30, 0, 0)},
		{text: "9/9/2026", order: AnyOrder, reason: ReasonDateOrder},
		{text: "\u200e2026-09-09\u00a0", want: utc(2026, 9, 9, 0, 0)},
		{text: `="2026-09-09"`, want: utc(2026, 9, 9, 0, 0)},
		{text: "2026-09-09 10:00 EST", reason: ReasonDate},
		{text: "2026-09-09 10:00 UTC+2", reason: ReasonDate},
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
		got, reason := parseDate(tt.text, tt.order, tt.loc)
		if !got.Equal(tt.want) || reason != tt.reason {
			t.Errorf("%q, order %d: got %v, %q, want %v, %q", tt.text, tt.order, got, reason, tt.want, tt.reason)
		}
	}
}

// What programs write into a cell without a date is no date, and no fault either.
func TestNoDate(t *testing.T) {
	for _, text := range []string{
		"", " ", "NULL", "null", "(null)", `\N`, "None", "nil", "NaN", "NaT", "n/a", "NA", "-", "0000-00-00", "0000-00-00 00:00:00",
		"0000-00-00T00:00:00.000Z", "00/00/0000", "0001-01-01T00:00:00", "'0000-00-00",
	} {
		if got, reason := parseDate(text, 0, time.UTC); !got.IsZero() || reason != "" || DateOrders(text) != AnyOrder {
			t.Errorf("%q: got %v, %q, orders %d", text, got, reason, DateOrders(text))
		}
	}
}

func TestDateOrders(t *testing.T) {
	tests := []struct {
		text string
		want DateOrder
	}{
		{"2026-09-30 10:00:00 UTC", AnyOrder},
		{"9/1/2026", DayFirst | MonthFirst},
		{"9/30/2026 10:00 AM", MonthFirst},
		{"30.9.2026", DayFirst},
		{"31/31/2026", 0},
		{"30/9/26", 0},
		{"soon", 0},
	}
	for _, tt := range tests {
		if got := DateOrders(tt.text); got != tt.want {
			t.Errorf("%q: got %b, want %b", tt.text, got, tt.want)
		}
	}
	for name, want := range map[string]DateOrder{"day": DayFirst, "Month": MonthFirst, "year": YearFirst, "": 0, "dmy": 0} {
		if got, err := ParseDateOrder(name); got != want || (err == nil) != (want != 0) {
			t.Errorf("ParseDateOrder(%q) = %d, %v", name, got, err)
		}
	}
}

// What time.Parse reads as RFC 3339 is read the same, in the years we take.
func FuzzParseDate(f *testing.F) {
	for _, text := range []string{"NULL", "0000-00-00 00:00:00", "9/1/2026, 10:00 AM UTC", "2026-09-09T14:03:05Z", "2026-09-09T14:03:05.123456789+02:00", "9/9/2026", "2026-09-09 14:03"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, reason := parseDate(text, DayFirst, time.UTC)
		if reason != "" && !got.IsZero() {
			t.Errorf("%q: got %v, %q", text, got, reason)
		}
		if orders := DateOrders(text); (orders&DayFirst != 0) != (reason == "") || orders&YearFirst != 0 && orders != AnyOrder {
			t.Errorf("%q: orders %b, %q", text, orders, reason)
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
