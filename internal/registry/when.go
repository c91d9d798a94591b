package registry

import (
	"strings"
	"time"
)

// parseDate reads a date, or a date and a time, or returns the reason why there
// is none: year-month-day with - / or . between, RFC 3339, "2026-09-09 14:03";
// with dayFirst also day-month-year. A year has four digits. Month first, two
// digits of a year and a.m. or p.m. are not read.
func parseDate(text string, dayFirst bool, loc *time.Location) (time.Time, string) {
	s := scanner{rest: text}
	first, digits := s.number(4)
	sep := s.oneOf("-/.")
	second, secondDigits := s.number(2)
	again := s.oneOf("-/.")
	third, thirdDigits := s.number(4)
	if sep == 0 || sep != again || secondDigits == 0 {
		return time.Time{}, ReasonDate
	}
	year, month, day := first, second, third
	switch {
	case digits == 4 && (thirdDigits == 1 || thirdDigits == 2):
	case (digits == 1 || digits == 2) && thirdDigits == 4 && !dayFirst:
		return time.Time{}, ReasonDayFirst
	case (digits == 1 || digits == 2) && thirdDigits == 4:
		year, day = third, first
	default:
		return time.Time{}, ReasonDate
	}
	t, ok := s.clock(year, month, day, loc)
	if !ok || s.rest != "" {
		return time.Time{}, ReasonDate
	}
	return t.UTC(), ""
}

// scanner takes a text apart from its start.
type scanner struct{ rest string }

// number takes up to most digits, and returns how many there were.
func (s *scanner) number(most int) (value, digits int) {
	for digits < min(most, len(s.rest)) && s.rest[digits] >= '0' && s.rest[digits] <= '9' {
		value = value*10 + int(s.rest[digits]-'0')
		digits++
	}
	s.rest = s.rest[digits:]
	return value, digits
}

// oneOf takes one of some characters and returns it, or 0.
func (s *scanner) oneOf(chars string) byte {
	if s.rest == "" || strings.IndexByte(chars, s.rest[0]) < 0 {
		return 0
	}
	c := s.rest[0]
	s.rest = s.rest[1:]
	return c
}

// clock takes the time behind a date, if there is one, and puts both together.
func (s *scanner) clock(year, month, day int, loc *time.Location) (time.Time, bool) {
	if year < 1970 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, false
	}
	if s.rest == "" {
		return time.Date(year, time.Month(month), day, 0, 0, 0, 0, loc), true
	}
	if s.oneOf("Tt ") == 0 {
		return time.Time{}, false
	}
	hour, hourDigits := s.number(2)
	if hourDigits == 0 || s.oneOf(":h") == 0 {
		return time.Time{}, false
	}
	minute, minuteDigits := s.number(2)
	second, nanos, ok := s.seconds()
	if !ok || minuteDigits != 2 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	zone, ok := s.zone(loc)
	return time.Date(year, time.Month(month), day, hour, minute, second, nanos, zone), ok
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// seconds takes :SS and a fraction, of which it keeps nanoseconds.
func (s *scanner) seconds() (second, nanos int, ok bool) {
	if s.oneOf(":") == 0 {
		return 0, 0, true
	}
	second, digits := s.number(2)
	if digits != 2 || s.oneOf(".,") == 0 {
		return second, 0, digits == 2
	}
	nanos, digits = s.number(9)
	ok = digits > 0
	for ; digits < 9; digits++ {
		nanos *= 10
	}
	for n := 1; n > 0; _, n = s.number(9) { // digits beyond nanoseconds
	}
	return second, nanos, ok
}

// zone takes Z or an offset, and returns loc when there is none.
func (s *scanner) zone(loc *time.Location) (*time.Location, bool) {
	s.rest = strings.TrimPrefix(s.rest, " ")
	switch sign := s.oneOf("Zz+-"); sign {
	case 0:
		return loc, true
	case 'Z', 'z':
		return time.UTC, true
	default:
		hours, hourDigits := s.number(2)
		s.oneOf(":")
		minutes, minuteDigits := s.number(2)
		seconds := hours*3600 + minutes*60
		if sign == '-' {
			seconds = -seconds
		}
		ok := hourDigits == 2 && minuteDigits != 1 && hours < 24 && minutes < 60
		return time.FixedZone("", seconds), ok
	}
}
