package filter

import "testing"

// A file says which hash its bits were set by, so hashID 1 has to stay this one.
func TestHashIsThatOfFiles(t *testing.T) {
	for _, c := range []struct {
		n    uint64
		want place
	}{
		{0, place{part: 883, line: 19, pos: 18444377863147151541}},
		{12025550100, place{part: 312, line: 54, pos: 1523891257664903117}},
		{33199000000, place{part: 134, line: 60, pos: 14493530303014549673}},
	} {
		if got := placeOf(c.n, 1000); got != c.want {
			t.Errorf("placeOf(%d) = %+v, want %+v", c.n, got, c.want)
		}
	}
}
