package place

import (
	"archive/zip"
	_ "embed" // the time zone database
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// zoneinfo is the IANA time zone database (public domain), as Go comes with it. The machine's own is never read: by it an answer
// would depend on the machine, and change when that is updated.
//
//go:embed zoneinfo.zip
var zoneinfo string

var zoneFiles = sync.OnceValues(func() (*zip.Reader, error) {
	return zip.NewReader(strings.NewReader(zoneinfo), int64(len(zoneinfo)))
})

// Location is a time zone of the IANA database that is built in.
func Location(name string) (*time.Location, error) {
	files, err := zoneFiles()
	if err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	return time.LoadLocationFromTZData(name, data)
}

// loaded are the zones that were used, by name.
var loaded sync.Map

// zone is the zone of that name.
func zone(name string) (*policy.Zone, error) {
	if z, ok := loaded.Load(name); ok {
		return z.(*policy.Zone), nil
	}
	location, err := Location(name)
	if err != nil {
		return nil, err
	}
	z, _ := loaded.LoadOrStore(name, policy.NewZone(location))
	return z.(*policy.Zone), nil
}
