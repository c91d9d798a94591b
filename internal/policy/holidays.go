package policy

import "slices"

// Holidays are the public holidays of a country.
type Holidays struct {
	National []Date            // ascending
	Regional map[string][]Date // by ISO 3166-2 code, of every subdivision: those beyond the national ones, ascending
	// AnyRegion are all regional ones, ascending. They count for a person whose subdivision is not known. Nil: none do.
	AnyRegion []Date
	// AnyOf are those of AnyRegion that may be somebody's of whom only a part of the country is known: by the code of the part.
	AnyOf map[string][]Date
	// From and Until are the first and the last day that are known. Days outside are closed.
	From, Until Date
}

// daysOff are the holidays of a person. The zero value has none.
type daysOff struct {
	all      *Holidays // nil: none
	regional []Date
}

// of returns the holidays of a person of a subdivision; empty: not known.
func (h *Holidays) of(subdivision string) daysOff {
	if h == nil {
		return daysOff{}
	}
	if regional, known := h.Regional[subdivision]; known {
		return daysOff{h, regional}
	}
	if part, known := h.AnyOf[subdivision]; known && h.AnyRegion != nil {
		return daysOff{h, part}
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
