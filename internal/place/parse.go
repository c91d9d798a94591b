package place

import (
	"errors"
	"strings"
	"sync"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// ErrPlace is returned for text that is no place.
var ErrPlace = errors.New("must be a time zone of the IANA database, such as Europe/Paris, or a subdivision of ISO 3166-2 that " +
	"this server knows, such as FR-IDF")

// maxName is longer than any name of a zone.
const maxName = 64

// Parse reads a place that a caller names: a time zone, or a subdivision of a country. The same name gives the same pointer. A
// place is shared: never changed.
func Parse(name string) (*policy.Place, error) {
	if p, ok := inSubdivisions()[name]; ok {
		return p, nil
	}
	if p, ok := inZones.Load(name); ok {
		return p.(*policy.Place), nil
	}
	area, _, _ := strings.Cut(name, "/")
	switch area {
	case "Local", "localtime", "posixrules", "Factory": // of the machine, or of one whose zone was never set
		return nil, ErrPlace
	case "posix", "right": // of another kind
		return nil, ErrPlace
	}
	if len(name) > maxName || name == "" {
		return nil, ErrPlace
	}
	z, err := zone(name)
	if err != nil {
		return nil, ErrPlace
	}
	p, _ := inZones.LoadOrStore(name, &policy.Place{Zones: []*policy.Zone{z}})
	return p.(*policy.Place), nil
}

// At is where the person of a number is: at a place that is named, else as far as the number says.
func At(n phone.Number, named string) (policy.Place, error) {
	if named == "" {
		return Of(n), nil
	}
	p, err := Parse(named)
	if err != nil {
		return policy.Place{}, err
	}
	return *p, nil
}

// inZones are the places in zones that were named. There are only so many zones.
var inZones sync.Map

// inSubdivisions are the places in subdivisions, except those whose zones are not all known.
var inSubdivisions = sync.OnceValue(func() map[string]*policy.Place {
	places := make(map[string]*policy.Place)
	for code, s := range subdivisions() {
		if zones := distinct(s.zones, nil); len(zones) > 0 {
			places[code] = &policy.Place{Zones: zones, Subdivision: code}
		}
	}
	return places
})
