package policy

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the same clocks on every machine

	"pgregory.net/rapid"
)

func zone(t interface{ Fatal(...any) }, name string) *Zone {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return NewZone(z)
}

func zones(t testing.TB, names ...string) (out []*Zone) {
	t.Helper()
	for _, name := range names {
		out = append(out, zone(t, name))
	}
	return out
}

func clockTime(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", s)
	if err == nil {
		return at
	}
	at, err = time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// daily is the same hours every day.
func daily(spans ...Span) (h Hours) {
	for d := range h.Open {
		h.Open[d] = spans
	}
	return h
}

// weekdays is hours from Monday to Friday.
func weekdays(spans ...Span) Hours {
	h := daily(spans...)
	h.Open[time.Saturday], h.Open[time.Sunday] = nil, nil
	return h
}

func holidays(t *testing.T, national, alsace string) *Holidays {
	days := func(s string) (out []Date) {
		if s != "" {
			out = append(out, day(t, s))
		}
		return out
	}
	return &Holidays{
		National: days(national), AnyRegion: days(alsace), Until: day(t, "2030-12-31"),
		Regional: map[string][]Date{"FR-57": days(alsace), "FR-IDF": nil},
		AnyOf:    map[string][]Date{"Europe/Paris": days(alsace), "Indian/Reunion": nil},
	}
}

func TestHours(t *testing.T) {
	t.Parallel()
	french := weekdays(Span{10 * 60, 13 * 60}, Span{14 * 60, 20 * 60})
	american := daily(Span{8 * 60, 21 * 60})
	always := daily(Span{0, 1440})
	night := daily(Span{0, 2 * 60}, Span{22 * 60, 1440})
	early := daily(Span{150, 170}) // 02:30 to 02:50
	christmas := french
	christmas.Holidays = holidays(t, "2026-12-25", "2026-12-28")
	alwaysButOne := always
	alwaysButOne.Holidays = holidays(t, "2026-12-25", "")
	ended := french
	ended.Holidays = &Holidays{Until: day(t, "2026-11-29")}
	later := french
	later.Holidays = &Holidays{From: day(t, "2026-12-02"), Until: day(t, "2030-12-31")}
	never := Hours{}
	for _, tt := range []struct {
		name        string
		hours       Hours
		zones       string
		subdivision string
		now         string
		open        bool
		change      string // by the clock of UTC; of a closed one its opening; empty: the end of the horizon, and no opening
	}{
		{"in the morning", french, "Europe/Paris", "", "2026-11-30 09:00", true, "2026-11-30 12:00"},
		{"the first second", french, "Europe/Paris", "", "2026-11-30T09:00:00Z", true, "2026-11-30 12:00"},
		{"the second before", french, "Europe/Paris", "", "2026-11-30T08:59:59Z", false, "2026-11-30 09:00"},
		{"the last second", french, "Europe/Paris", "", "2026-11-30T11:59:59.9Z", true, "2026-11-30 12:00"},
		{"at noon", french, "Europe/Paris", "", "2026-11-30 12:30", false, "2026-11-30 13:00"},
		{"on Friday evening", french, "Europe/Paris", "", "2026-12-04 19:00", false, "2026-12-07 09:00"},
		{"over a holiday and a weekend", christmas, "Europe/Paris", "FR-IDF", "2026-12-24 19:00", false, "2026-12-28 09:00"},
		{"over a regional holiday too", christmas, "Europe/Paris", "FR-57", "2026-12-24 19:00", false, "2026-12-29 09:00"},
		{"where the subdivision is not known", christmas, "Europe/Paris", "", "2026-12-24 19:00", false, "2026-12-29 09:00"},
		{"in a zone without regional holidays", christmas, "Indian/Reunion", "", "2026-12-24 18:00", false, "2026-12-28 06:00"},
		{"in a zone that the country does not have", christmas, "Indian/Mahe", "", "2026-12-24 18:00", false, "2026-12-29 06:00"},
		{"a subdivision of another country", christmas, "Europe/Paris", "US-NY", "2026-12-24 19:00", false, "2026-12-29 09:00"},
		{"half an hour beside the others", american, "America/St_Johns", "", "2026-11-30 11:29", false, "2026-11-30 11:30"},
		{"in two zones, only one open", american, "America/New_York America/Los_Angeles", "", "2026-11-30 13:30", false, "2026-11-30 16:00"},
		{"in two zones, both open", american, "America/New_York America/Los_Angeles", "", "2026-11-30 16:00", true, "2026-12-01 02:00"},
		{"in zones that are never open together", daily(Span{9 * 60, 12 * 60}), "Europe/Paris America/Los_Angeles", "", "2026-11-30 09:00", false, ""},
		{"without end", always, "Europe/Paris", "", "2026-06-30 09:00", true, ""},
		{"until a holiday", alwaysButOne, "Europe/Paris", "", "2026-12-01 09:00", true, "2026-12-24 23:00"},
		{"a night through midnight", night, "Europe/Paris", "", "2026-11-30 22:00", true, "2026-12-01 01:00"},
		{"never", never, "Europe/Paris", "", "2026-11-30 09:00", false, ""},
		{"days that are not known any more", ended, "Europe/Paris", "", "2026-11-30 09:00", false, ""},
		{"days that are not known yet", later, "Europe/Paris", "", "2026-11-30 09:00", false, "2026-12-02 09:00"},
		// 29 March 2026: 02:00 is 03:00. 25 October 2026: 03:00 is 02:00.
		{"hours that the spring leaves out", early, "Europe/Paris", "", "2026-03-28 12:00", false, "2026-03-30 00:30"},
		{"put forward before the opening", french, "Europe/Paris", "", "2026-03-27 19:00", false, "2026-03-30 08:00"},
		{"put back before the opening", french, "Europe/Paris", "", "2026-10-23 18:00", false, "2026-10-26 09:00"},
		{"put forward while open", daily(Span{60, 180}), "Europe/Paris", "", "2026-03-29 00:10", true, "2026-03-29 01:00"},
		{"put back while open", daily(Span{60, 180}), "Europe/Paris", "", "2026-10-25 00:10", true, "2026-10-25 02:00"},
		{"hours that the autumn has twice, first", early, "Europe/Paris", "", "2026-10-25 00:40", true, "2026-10-25 00:50"},
		{"hours that the autumn has twice, between", early, "Europe/Paris", "", "2026-10-25 00:55", false, "2026-10-25 01:30"},
		{"closed until the clock is put forward", daily(Span{180, 240}), "Europe/Paris", "", "2026-03-29 00:59", false, "2026-03-29 01:00"},
		{"a day that begins at one", daily(Span{0, 120}), "Africa/Cairo", "", "2026-04-23 21:30", false, "2026-04-23 22:00"},
	} {
		place := &Place{Zones: zones(t, splitNames(tt.zones)...), Subdivision: tt.subdivision}
		now := clockTime(t, tt.now)
		open, until, decided := tt.hours.at(now, now, place)
		if open != tt.open || !slices.Contains(place.Zones, decided) {
			t.Errorf("%s: open is %v by %v, want %v", tt.name, open, decided, tt.open)
			continue
		}
		change := until
		if !open {
			change = tt.hours.opening(now, place)
		}
		want := time.Time{}
		switch {
		case tt.change != "":
			want = clockTime(t, tt.change)
		case open:
			want = now.Add(horizon * 24 * time.Hour)
		}
		if !change.Equal(want) {
			t.Errorf("%s: changes at %v, want %v", tt.name, change, want)
		}
	}
}

func splitNames(s string) (out []string) {
	for len(s) > 0 {
		i := 0
		for i < len(s) && s[i] != ' ' {
			i++
		}
		out, s = append(out, s[:i]), s[min(i+1, len(s)):]
	}
	return out
}

// strangeZones change their clocks at odd times, or by odd amounts.
var strangeZones = []string{
	"Europe/Paris", "America/New_York", "America/St_Johns", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago",
	"America/Havana", "Asia/Beirut", "Africa/Cairo", "Africa/Casablanca", "Atlantic/Azores", "Pacific/Chatham", "Antarctica/Troll",
	"America/Nuuk", "America/Phoenix", "Pacific/Honolulu", "Pacific/Kiritimati", "Europe/London",
}

// openByTheMinute is what hours are, as slowly and plainly as can be.
func openByTheMinute(h *Hours, at time.Time, place *Place) bool {
	for _, z := range place.Zones {
		local := at.In(z.location)
		midnight := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
		if h.Holidays != nil {
			date := DateOf(midnight)
			regional, known := h.Holidays.Regional[place.Subdivision]
			if !known {
				regional = h.Holidays.AnyRegion
			}
			if slices.Contains(h.Holidays.National, date) || slices.Contains(regional, date) || date > h.Holidays.Until || date < h.Holidays.From {
				return false
			}
		}
		minute := local.Hour()*60 + local.Minute()
		if !slices.ContainsFunc(h.Open[local.Weekday()], func(s Span) bool { return s.From <= minute && minute < s.To }) {
			return false
		}
	}
	return true
}

// changeByTheMinute is the first minute after at that is open or not, unlike at; zero: none within the horizon.
func changeByTheMinute(h *Hours, at time.Time, place *Place) time.Time {
	open := openByTheMinute(h, at, place)
	end := at.Add(horizon * 24 * time.Hour)
	for at = at.Truncate(time.Minute).Add(time.Minute); at.Before(end); at = at.Add(time.Minute) {
		if openByTheMinute(h, at, place) != open {
			return at
		}
	}
	return time.Time{}
}

func drawSpans(t *rapid.T) (spans []Span) {
	edges := rapid.SliceOfNDistinct(rapid.OneOf(rapid.IntRange(0, 1440), rapid.SampledFrom([]int{0, 60, 90, 120, 150, 180, 1380, 1410, 1440})),
		0, 4, rapid.ID[int]).Draw(t, "edges")
	slices.Sort(edges)
	for i := 0; i+1 < len(edges); i += 2 {
		spans = append(spans, Span{edges[i], edges[i+1]})
	}
	return spans
}

// drawNear is an instant, mostly close to one at which a clock of the zone is changed.
func drawNear(t *rapid.T, z *Zone) time.Time {
	at := time.Unix(rapid.Int64Range(1546300800, 2493072000).Draw(t, "now"), 0).In(z.location) // 2019 to 2048
	if _, change := at.ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "near a change of the clock") {
		at = change.Add(time.Duration(rapid.IntRange(-2*24*3600, 3*3600).Draw(t, "beside")) * time.Second)
	}
	return at.UTC()
}

// Hours open and close as a walk through every minute says, whatever the clocks do.
func TestHoursByTheMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		place := &Place{Subdivision: rapid.SampledFrom([]string{"", "XX-1", "XX-2"}).Draw(t, "subdivision")}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(strangeZones), 1, 3, rapid.ID[string]).Draw(t, "zones") {
			place.Zones = append(place.Zones, zone(t, name))
		}
		now := drawNear(t, place.Zones[0])
		var h Hours
		for d := range h.Open {
			h.Open[d] = drawSpans(t)
		}
		if rapid.Bool().Draw(t, "has holidays") {
			near := DateOf(now)
			days := func(name string) []Date {
				days := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Date {
					return near + Date(rapid.IntRange(-2, 10).Draw(t, "day"))
				}), 0, 4, rapid.ID[Date]).Draw(t, name)
				slices.Sort(days)
				return days
			}
			h.Holidays = &Holidays{National: days("national"), AnyRegion: days("any region"), Until: near + Date(rapid.IntRange(-1, 40).Draw(t, "known")),
				Regional: map[string][]Date{"XX-1": days("regional")}}
		}
		open, until, _ := h.at(now, now, place)
		if want := openByTheMinute(&h, now, place); open != want {
			t.Fatalf("open is %v, want %v", open, want)
		}
		want := changeByTheMinute(&h, now, place)
		got := until
		if !open {
			got = h.opening(now, place)
		}
		if want.IsZero() && open {
			want = now.Add(horizon * 24 * time.Hour)
		}
		if !got.Equal(want) {
			t.Fatalf("changes at %v, want %v", got, want)
		}
	})
}

// A clock that may be ahead opens nothing too early: all of the time that it may be has to be open.
func TestHoursUnderAClockThatMayBeAhead(t *testing.T) {
	t.Parallel()
	french := weekdays(Span{10 * 60, 13 * 60}, Span{14 * 60, 20 * 60})
	fr := regions(t, "FR")
	p := &Policy{Countries: []Country{{Code: "FR", Regions: fr, Rule: &Rule{Name: "FR", Regions: fr, Hours: &french}}}}
	for _, tt := range []struct {
		now, opens string
		want       Verdict
	}{
		{"2026-11-30 09:05", "2026-11-30 09:10", NotNow}, // it may still be before ten in Paris
		{"2026-11-30 09:10", "", Allow},
		{"2026-11-30 11:59", "", Allow},
		{"2026-11-30 12:00", "2026-11-30 13:00", NotNow},
		{"2026-11-30 13:05", "2026-11-30 13:10", NotNow},
	} {
		f := &Facts{Regions: fr, Place: Place{Zones: zones(t, "Europe/Paris")}, Ahead: 10 * time.Minute}
		d := Decide(f, p, clockTime(t, tt.now))
		want := time.Time{}
		if tt.opens != "" {
			want = clockTime(t, tt.opens)
		}
		if d.Verdict != tt.want || !d.OpensAt.Equal(want) {
			t.Errorf("at %s: %v, opens %v; want %v, %v", tt.now, d.Verdict, d.OpensAt, tt.want, want)
		}
	}
}
