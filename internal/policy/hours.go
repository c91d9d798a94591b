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
	spans := c.hours.Open[day.Weekday()]
	if len(spans) > 0 && c.off.has(day) {
		return nil
	}
	return spans
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

// at reports whether now is open, and when that changes; at the end of the horizon it may. A clock that is put forward or
// back shows another time from then on: the change may be that very moment.
func (c *clock) at(now int64) (open bool, change int64) {
	offset, end := c.zone.at(now)
	open = c.openAt(now + offset)
	limit := now + horizon*secondsPerDay
	for from := now; ; {
		change = min(c.flip(from+offset, open)-offset, limit)
		if change < end {
			return open, change
		}
		from = end
		offset, end = c.zone.at(from)
	}
}

// opens is the first instant from now on that is open.
func (c *clock) opens(now int64) int64 {
	open, change := c.at(now)
	if open {
		return now
	}
	return change
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
		is, change := c.at(from.Unix())
		closes := time.Unix(change, 0).UTC()
		if !is || !to.Before(closes) {
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
