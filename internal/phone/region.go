package phone

import "strings"

// Region is a country or territory that has telephone numbers, as libphonenumber distinguishes them. The zero Region is
// none. The integer may change with each update of the tables: store the code.
type Region uint8

// World is the pseudo region 001 of the calling codes that belong to no country: international freephone, satellite
// and other networks. No jurisdiction holds it.
const World = world

// ParseRegion returns the region of a two-letter ISO 3166 code, in upper or lower case. The error is ErrRegion.
func ParseRegion(code string) (Region, error) {
	if len(code) != 2 {
		return 0, ErrRegion
	}
	a, b := code[0]&^0x20, code[1]&^0x20
	lo, hi := 1, int(world)
	for lo < hi {
		mid := (lo + hi) / 2
		x, y := regionCodes[2*mid-2], regionCodes[2*mid-1]
		switch {
		case x == a && y == b:
			return Region(mid), nil
		case x < a || x == a && y < b:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return 0, ErrRegion
}

// String returns the two-letter code in upper case; "001" for World and "ZZ" for a value that is no region.
func (r Region) String() string {
	switch {
	case r == World:
		return "001"
	case r == 0 || r > World:
		return "ZZ"
	}
	i := 2 * int(r)
	return regionCodes[i-2 : i]
}

// jurisdictions are those that include more than the region of their code, which comes first.
var jurisdictions = [...]string{
	"US PR VI GU AS MP",
	"FR GP MQ GF RE YT PM BL MF",
	"AU CX CC",
	"FI AX",
	"NO SJ",
}

// Jurisdiction returns the regions that a list of that jurisdiction covers: for US, FR, AU, FI and NO also their
// territories, for any other region only itself. The error is ErrRegion.
func Jurisdiction(code string) (RegionSet, error) {
	r, err := ParseRegion(code)
	if err != nil {
		return RegionSet{}, err
	}
	set := RegionSet{}.With(r)
	for _, j := range jurisdictions {
		if j[:2] != r.String() {
			continue
		}
		for territory := range strings.FieldsSeq(j) {
			if t, err := ParseRegion(territory); err == nil {
				set = set.With(t)
			}
		}
	}
	return set, nil
}
