package policy

import (
	"slices"
	"time"
)

// Hours are when calls are permitted, by the clock of the called party.
type Hours struct {
	Open     [7][]Span // by time.Weekday: ascending, without overlap
	Holidays *Holidays // days without calls; nil: none
	Source   string
}

// Span is a part of a day: minutes since midnight, From included, To not.
type Span struct{ From, To int }

// Holidays are the public holidays of a country.
type Holidays struct {
	National []Date            // ascending
	Regional map[string][]Date // by ISO 3166-2 code, of every subdivision: those beyond the national ones, ascending
	// AnyRegion are all regional ones, ascending. They count for a person whose subdivision is not known. Nil: none do.
	AnyRegion []Date
	// Until is the last day that is known. Later days are closed.
	Until Date
}

// closed reports whether no calls are permitted on a day to a person of a subdivision; empty: not known.
func (h *Holidays) closed(day Date, subdivision string) bool {
	if h == nil {
		return false
	}
	if day > h.Until {
		return true
	}
	if _, national := slices.BinarySearch(h.National, day); national {
		return true
	}
	regional, known := h.Regional[subdivision]
	if !known {
		regional = h.AnyRegion
	}
	_, is := slices.BinarySearch(regional, day)
	return is
}

// dayOf is the calendar day of t by its own clock.
func dayOf(t time.Time) Date {
	_, offset := t.Zone()
	return Date(floorDiv(t.Unix()+int64(offset), secondsPerDay))
}

// horizon is how many days ahead an opening is looked for.
const horizon = 32

// spans are when a day is open for a person of a subdivision.
func (h *Hours) spans(day Date, subdivision string) []Span {
	if h.Holidays.closed(day, subdivision) {
		return nil
	}
	return h.Open[day.Weekday()]
}

// atClock reports whether now is open by the clock of a zone, and when that changes; zero: not within the horizon.
func (h *Hours) atClock(now time.Time, zone *time.Location, subdivision string) (open bool, change time.Time) {
	local := now.In(zone)
	today := dayOf(local)
	minute := local.Hour()*60 + local.Minute()
	for _, span := range h.spans(today, subdivision) {
		switch {
		case minute < span.From:
			return false, today.at(span.From, zone)
		case minute < span.To:
			return true, today.at(span.To, zone)
		}
	}
	for day := today + 1; day < today+horizon; day++ {
		if spans := h.spans(day, subdivision); len(spans) > 0 {
			return false, day.at(spans[0].From, zone)
		}
	}
	return false, time.Time{}
}

// at reports whether now is open by every clock that may be the called party's, and until when: the first of them that closes.
func (h *Hours) at(now time.Time, place *Place) (open bool, until time.Time) {
	for _, zone := range place.Zones {
		is, change := h.atClock(now, zone, place.Subdivision)
		if !is {
			return false, time.Time{}
		}
		until = earlier(until, change)
	}
	return true, until
}

// opening is the first instant from now on that is open by every clock; zero: none within the horizon.
func (h *Hours) opening(now time.Time, place *Place) time.Time {
	end := now.AddDate(0, 0, horizon)
	for now.Before(end) {
		latest := now
		for _, zone := range place.Zones {
			is, change := h.atClock(now, zone, place.Subdivision)
			if is {
				continue
			}
			if change.IsZero() {
				return change
			}
			if change.After(latest) {
				latest = change
			}
		}
		if latest.Equal(now) {
			return now
		}
		now = latest
	}
	return time.Time{}
}
