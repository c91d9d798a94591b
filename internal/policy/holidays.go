package policy

import "slices"

// Holidays are the public holidays of a country.
type Holidays struct {
	National []Date            // ascending
	Regional map[string][]Date // by ISO 3166-2 code, of every subdivision: those beyond the national ones, ascending
	// AnyRegion are all regional ones, ascending. They count for a person whose subdivision is not known. Nil: none do.
	AnyRegion []Date
	// AnyOf are those of AnyRegion that count in a zone, by its name. They count for a person of whom only the zone is known.
	AnyOf map[string][]Date
	// From and Until are the first and the last day that are known. Days outside are closed.
	From, Until Date
}

// daysOff are the holidays of a person. The zero value has none.
type daysOff struct {
	all      *Holidays // nil: none
	regional []Date
}

// of returns the holidays of a person at a place.
func (h *Holidays) of(place *Place) daysOff {
	if h == nil {
		return daysOff{}
	}
	if place.Subdivision != "" {
		if regional, known := h.Regional[place.Subdivision]; known {
			return daysOff{h, regional}
		}
	}
	if h.AnyRegion != nil && len(place.Zones) == 1 {
		if regional, known := h.AnyOf[place.Zones[0].Name()]; known {
			return daysOff{h, regional}
		}
	}
	return daysOff{h, h.AnyRegion}
}

// has reports whether no calls are permitted on a day.
func (o *daysOff) has(day Date) bool {
	if o.all == nil {
		return false
	}
	if day < o.all.From || day > o.all.Until {
		return true
	}
	if _, national := slices.BinarySearch(o.all.National, day); national {
		return true
	}
	_, is := slices.BinarySearch(o.regional, day)
	return is
}
