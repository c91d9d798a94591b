package policy

import "time"

// Hours are when calls are permitted, by the clock of the called party.
type Hours struct {
	Open     [7][]Span // by time.Weekday: ascending, without overlap
	Holidays *Holidays // days without calls; nil: none
	Source   string
}

// Span is a part of a day: minutes since midnight, From included, To not. The end of the day is minute 1440.
type Span struct{ From, To int }

// horizon is how many days ahead a change of the hours is looked for.
const horizon = 32

// clock reads hours by the clock of one zone, for a person at a place.
type clock struct {
	hours *Hours
	off   daysOff
	zone  *Zone

	day   Date   // that was last looked at, and when it is open: the zones of a place have the same days
	open  []Span // nil: not known, or never
	known bool   // the two are
}

// openAt reports whether a second of the clock is open, counted from 1970 as the clock shows it.
func (c *clock) openAt(local int64) bool {
	day, second := dayAndSecond(local)
	for _, span := range c.spans(day) {
		if second < span.To*60 {
			return second >= span.From*60
		}
	}
	return false
}

// spans are when a day is open.
func (c *clock) spans(day Date) []Span {
	if c.known && day == c.day {
		return c.open
	}
	c.day, c.open, c.known = day, c.hours.Open[day.Weekday()], true
	if len(c.open) > 0 && c.off.has(day) {
		c.open = nil
	}
	return c.open
}

// flip is the first second of the clock from local on that is not open, if open, and otherwise that is; within the horizon.
func (c *clock) flip(local int64, open bool) int64 {
	day, second := dayAndSecond(local)
	for end := day + horizon + 1; day < end; day, second = day+1, 0 {
		for _, span := range c.spans(day) {
			switch {
			case second >= span.To*60:
			case open && second >= span.From*60:
				second = span.To * 60
			case !open:
				return int64(day)*secondsPerDay + int64(max(second, span.From*60))
			}
		}
		if open && second < secondsPerDay {
			return int64(day)*secondsPerDay + int64(second)
		}
	}
	return int64(day) * secondsPerDay
}

// isOpen reports whether an instant is open.
func (c *clock) isOpen(now int64) bool {
	offset, _ := c.zone.at(now)
	return c.openAt(now + offset)
}

// change is when it is no longer as it is now, open or not; at the end of the horizon it may change. A clock that is put
// forward or back shows another time from then on: the change may be that very moment.
func (c *clock) change(now int64, open bool) int64 {
	limit := now + horizon*secondsPerDay
	for from := now; ; {
		offset, end := c.zone.at(from)
		change := min(c.flip(from+offset, open)-offset, limit)
		if change < end {
			return change
		}
		from = end
	}
}

// opens is the first instant from now on that is open.
func (c *clock) opens(now int64) int64 {
	if c.isOpen(now) {
		return now
	}
	return c.change(now, false)
}

func dayAndSecond(local int64) (Date, int) {
	day := floorDiv(local, secondsPerDay)
	return Date(day), int(local - day*secondsPerDay)
}

func (h *Hours) clock(place *Place, zone *Zone) clock {
	return clock{hours: h, off: h.Holidays.of(place), zone: zone}
}

// at reports whether all of the time from one instant to another is open by every clock that may be the called party's, and
// until when: the first of them that closes. The zone is the one that decided.
func (h *Hours) at(from, to time.Time, place *Place) (open bool, until time.Time, zone *Zone) {
	c := h.clock(place, nil)
	for _, c.zone = range place.Zones {
		if !c.isOpen(from.Unix()) {
			return false, time.Time{}, c.zone
		}
		closes := time.Unix(c.change(from.Unix(), true), 0).UTC()
		if !to.Before(closes) {
			return false, time.Time{}, c.zone
		}
		if until.IsZero() || closes.Before(until) {
			until, zone = closes, c.zone
		}
	}
	return true, until, zone
}

// opening is the first instant from now on that is open by every clock; zero: none within the horizon.
func (h *Hours) opening(now time.Time, place *Place) time.Time {
	c := h.clock(place, nil)
	begin := now.Unix()
	for at := begin; at < begin+horizon*secondsPerDay; {
		latest := at
		for _, c.zone = range place.Zones {
			latest = max(latest, c.opens(latest))
		}
		if latest == at {
			return time.Unix(at, 0).UTC()
		}
		at = latest
	}
	return time.Time{}
}
