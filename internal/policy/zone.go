package policy

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// Zone is a time zone whose changes of the clock are worked out in advance. What it answers never changes.
type Zone struct {
	location *time.Location
	changes  []int64       // ascending: the instants between which an offset holds
	ahead    []int64       // ahead[i], in seconds, holds from changes[i] until changes[i+1]
	last     atomic.Uint32 // the place in ahead that was last asked for: most often the next one too
}

// zoneYears are those whose changes a Zone holds. What is outside is looked up.
const firstZoneYear, lastZoneYear = 2020, 2045

// NewZone makes a zone.
func NewZone(location *time.Location) *Zone {
	z := &Zone{location: location}
	last := time.Date(lastZoneYear, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	for at := time.Date(firstZoneYear, 1, 1, 0, 0, 0, 0, time.UTC).Unix(); ; {
		ahead, end := lookUp(at, location)
		if n := len(z.ahead); n == 0 || z.ahead[n-1] != ahead { // else only its name changed
			z.changes, z.ahead = append(z.changes, at), append(z.ahead, ahead)
		}
		if at = end; at >= last {
			z.changes = append(z.changes, at)
			return z
		}
	}
}

// Name is its name in the IANA database.
func (z *Zone) Name() string { return z.location.String() }

// Location is its location.
func (z *Zone) Location() *time.Location { return z.location }

// at is what the zone's clocks are ahead of UTC at t, in seconds, and until when.
func (z *Zone) at(t int64) (ahead, end int64) {
	if i := z.last.Load(); z.changes[i] <= t && t < z.changes[i+1] {
		return z.ahead[i], z.changes[i+1]
	}
	i, found := slices.BinarySearch(z.changes, t)
	if !found {
		i--
	}
	if i < 0 || i >= len(z.ahead) {
		return lookUp(t, z.location)
	}
	z.last.Store(uint32(i))
	return z.ahead[i], z.changes[i+1]
}

// SameClock reports whether both zones' clocks show the same in all years whose changes they hold.
func (z *Zone) SameClock(o *Zone) bool {
	return slices.Equal(z.changes, o.changes) && slices.Equal(z.ahead, o.ahead)
}

// lookUp is what clocks are ahead of UTC at t, in seconds, and until when.
func lookUp(t int64, location *time.Location) (ahead, end int64) {
	local := time.Unix(t, 0).In(location)
	_, offset := local.Zone()
	_, until := local.ZoneBounds()
	switch {
	case until.IsZero():
		return int64(offset), math.MaxInt64
	case until.Unix() <= t: // package time says so on the last day of a leap year
		return int64(offset), t + 60*60
	}
	return int64(offset), until.Unix()
}
