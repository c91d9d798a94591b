package registry

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/phone"
)

// DateOrder is a set of orders in which day, month and year may stand in a date.
type DateOrder uint8

// The orders of a date. One with the year first is read whatever the order.
const (
	DayFirst   DateOrder = 1 << iota // 30/9/2026
	MonthFirst                       // 9/30/2026
	YearFirst                        // 2026-09-30
	AnyOrder   = DayFirst | MonthFirst | YearFirst
)

// String is how ParseDateOrder names an order; "" for none.
func (o DateOrder) String() string {
	switch o {
	case DayFirst:
		return "day"
	case MonthFirst:
		return "month"
	case YearFirst:
		return "year"
	}
	return ""
}

// ParseDateOrder returns the order that begins with the day, the month or the year.
func ParseDateOrder(name string) (DateOrder, error) {
	switch strings.ToLower(name) {
	case "day":
		return DayFirst, nil
	case "month":
		return MonthFirst, nil
	case "year":
		return YearFirst, nil
	}
	return 0, errors.New("unknown order of dates: use day, month or year, whichever comes first")
}

// DateOrders returns the orders by which the text of a cell can be read: all for a date that begins with its year and
// for a cell that holds no date, none for one that cannot be read. The orders that a column fits are what its cells
// have in common.
func DateOrders(text string) DateOrder {
	var fits DateOrder
	for _, order := range [...]DateOrder{DayFirst, MonthFirst, YearFirst} {
		if _, reason := parseDate(text, order, time.UTC); reason == "" {
			fits |= order
		}
	}
	return fits
}

// parseDate reads a date, or a date and a time, or returns the reason why there is none: year-month-day with - / or .
// between, RFC 3339, "2026-09-09 14:03", "2026-09-09 2:03 PM UTC"; in the order DayFirst or MonthFirst also those that
// end with the year, which has four digits. Zero dates, NULL and the like are no date: the zero time.
func parseDate(text string, order DateOrder, loc *time.Location) (time.Time, string) {
	text = strings.Map(plainSpace, phone.Unwrap(text))
	if isNoDate(text) {
		return time.Time{}, ""
	}
	s := scanner{rest: text}
	year, month, day, reason := s.date(order)
	if reason != "" {
		return time.Time{}, reason
	}
	t, ok := s.clock(year, month, day, loc)
	if !ok || s.rest != "" {
		return time.Time{}, ReasonDate
	}
	return t.UTC(), ""
}

// plainSpace makes spaces of those that programs put before AM and PM.
func plainSpace(r rune) rune {
	if r == '\u202f' || r == '\u00a0' {
		return ' '
	}
	return r
}

// isNoDate reports what programs write into a cell without a date.
func isNoDate(text string) bool {
	if len(text) >= 10 && text[0] == '0' && slices.Contains([]string{"0000-00-00", "00/00/0000", "0001-01-01"}, text[:10]) {
		return strings.Trim(text[10:], "T 0:.Z+") == ""
	}
	if len(text) > len("(null)") {
		return false
	}
	return slices.Contains([]string{"", "-", "null", "(null)", `\n`, "none", "nil", "nan", "nat", "n/a", "na"}, strings.ToLower(text))
}

// scanner takes a text apart from its start.
type scanner struct{ rest string }

// date takes the day, or returns the reason why there is none.
func (s *scanner) date(order DateOrder) (year, month, day int, reason string) {
	first, digits := s.number(4)
	sep := s.oneOf("-/.")
	second, secondDigits := s.number(2)
	again := s.oneOf("-/.")
	third, thirdDigits := s.number(4)
	yearFirst := digits == 4 && (thirdDigits == 1 || thirdDigits == 2)
	yearLast := (digits == 1 || digits == 2) && thirdDigits == 4
	switch {
	case sep == 0 || sep != again || secondDigits == 0 || !yearFirst && !yearLast:
		return 0, 0, 0, ReasonDate
	case yearFirst:
		return first, second, third, ""
	case order == DayFirst:
		return third, second, first, ""
	case order == MonthFirst:
		return third, first, second, ""
	}
	return 0, 0, 0, ReasonDateOrder
}

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

// word takes a word, in any case, and reports whether it was there.
func (s *scanner) word(lower string) bool {
	if len(s.rest) < len(lower) || !strings.EqualFold(s.rest[:len(lower)], lower) {
		return false
	}
	s.rest = s.rest[len(lower):]
	return true
}

// clock takes the time behind a date, if there is one, and puts both together.
func (s *scanner) clock(year, month, day int, loc *time.Location) (time.Time, bool) {
	if year < 1970 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, false
	}
	if s.rest == "" {
		return time.Date(year, time.Month(month), day, 0, 0, 0, 0, loc), true
	}
	if !s.word(", ") && s.oneOf("Tt ") == 0 {
		return time.Time{}, false
	}
	hour, hourDigits := s.number(2)
	if hourDigits == 0 || s.oneOf(":h") == 0 {
		return time.Time{}, false
	}
	minute, minuteDigits := s.number(2)
	second, nanos, ok := s.seconds()
	if !ok || !s.half(&hour) || minuteDigits != 2 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	zone, ok := s.zone(loc)
	return time.Date(year, time.Month(month), day, hour, minute, second, nanos, zone), ok
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// seconds reads :SS and a fraction, and keeps nanoseconds of it.
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

// half takes AM or PM, if one is there, and makes the hour one of 24. It is false when the hour is none of twelve.
func (s *scanner) half(hour *int) bool {
	before := s.rest
	s.oneOf(" ")
	var noon int
	switch {
	case s.word("am"), s.word("a.m."):
	case s.word("pm"), s.word("p.m."):
		noon = 12
	default:
		s.rest = before
		return true
	}
	ok := *hour >= 1 && *hour <= 12
	*hour = *hour%12 + noon
	return ok
}

// zone takes Z, UTC, GMT or an offset, and returns loc when there is none.
func (s *scanner) zone(loc *time.Location) (*time.Location, bool) {
	if s.rest == "" {
		return loc, true
	}
	s.oneOf(" ")
	if s.word("utc") || s.word("gmt") || s.word("z") {
		return time.UTC, true
	}
	sign := s.oneOf("+-")
	hours, hourDigits := s.number(2)
	s.oneOf(":")
	minutes, minuteDigits := s.number(2)
	seconds := hours*3600 + minutes*60
	if sign == '-' {
		seconds = -seconds
	}
	ok := sign != 0 && hourDigits == 2 && minuteDigits != 1 && hours < 24 && minutes < 60
	return time.FixedZone("", seconds), ok
}
