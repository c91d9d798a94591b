package policy

import (
	"errors"
	"time"
)

// ErrDate is returned for a date that is not written YYYY-MM-DD.
var ErrDate = errors.New("a date is written YYYY-MM-DD")

// Date is a calendar day: days since 1970-01-01. The zero value means no date.
type Date int32

const secondsPerDay = 24 * 60 * 60

// ParseDate reads YYYY-MM-DD; the empty string is no date.
func ParseDate(s string) (Date, error) {
	if s == "" {
		return 0, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || DateOf(t) <= 0 {
		return 0, ErrDate
	}
	return DateOf(t), nil
}

// DateOf is the day of t in UTC.
func DateOf(t time.Time) Date { return Date(floorDiv(t.Unix(), secondsPerDay)) }

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

// Time is the first instant of the day, UTC.
func (d Date) Time() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday { return time.Weekday((int(d)%7 + 11) % 7) } // 1970-01-01 was a Thursday

// String is YYYY-MM-DD, or empty for no date.
func (d Date) String() string {
	if d == 0 {
		return ""
	}
	return d.Time().Format(time.DateOnly)
}
