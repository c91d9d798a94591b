package phone_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
)

func mustParse(t testing.TB, s string) phone.Number {
	t.Helper()
	n, err := phone.Parse(s)
	if err != nil {
		t.Fatalf("Parse(%s): %v", s, err)
	}
	return n
}

func TestRegions(t *testing.T) {
	tests := []struct{ in, want string }{
		{"+14155550123", "US"},
		{"+14165550123", "CA"},
		{"+14160550123", "CA"}, // no such exchange: the area code decides
		{"+17875550123", "PR"},
		{"+18765550123", "JM"},
		{"+18005550123", "US"},
		{"+18000550123", "US"},
		{"+18885550123", "US"},
		{"+18335550123", "US"},
		{"+13101234", "CA"},
		{"+13105550123", "US"},
		{"+12115550123", "AG,AI,AS,BB,BM,BS,CA,DM,DO,GD,GU,JM,KN,KY,LC,MP,MS,PR,SX,TC,TT,US,VC,VG,VI"},
		{"+442079460958", "GB"},
		{"+441534500000", "JE"},
		{"+441481250000", "GG"},
		{"+441624500000", "IM"},
		{"+447700900123", "GB,GG,IM,JE"}, // Ofcom's drama numbers are nobody's
		{"+74951234567", "RU"},
		{"+77101234567", "KZ"},
		{"+390669812345", "VA"},
		{"+390612345678", "IT"},
		{"+33199001234", "FR"},
		{"+262262161234", "RE"},
		{"+262269601234", "YT"},
		{"+212528812345", "EH,MA"},
		{"+4779123456", "SJ"},
		{"+4721234567", "NO"},
		{"+35818212345", "AX"},
		{"+61891641234", "CX"},
		{"+5997151234", "BQ"},
		{"+59994351234", "CW"},
		{"+80012345678", "001"},
		{"+870301234567", "001"},
	}
	for _, tt := range tests {
		if got := mustParse(t, tt.in).Regions().String(); got != tt.want {
			t.Errorf("regions of %s = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestRegionsOfWhatIsNoNumber(t *testing.T) {
	for _, n := range []phone.Number{0, 1, 12, 310, 44, 447, 4415, 999123456, 1e15, 1<<64 - 1} {
		if n.Regions().IsEmpty() {
			t.Errorf("%d belongs to no region", uint64(n))
		}
	}
}

func TestParseRegion(t *testing.T) {
	for _, code := range []string{"FR", "fr", "Fr"} {
		if r, err := phone.ParseRegion(code); err != nil || r.String() != "FR" {
			t.Errorf("ParseRegion(%s) = %s, %v", code, r, err)
		}
	}
	for _, code := range []string{"", "F", "FRA", "ZZ", "UK", "001", "00", "É", "+1", "AQ"} {
		if r, err := phone.ParseRegion(code); !errors.Is(err, phone.ErrRegion) || r != 0 {
			t.Errorf("ParseRegion(%q) = %s, %v, want ErrRegion", code, r, err)
		}
	}
	for r := range phone.Number(0).Regions().All() {
		got, err := phone.ParseRegion(r.String())
		if r != phone.World && (got != r || err != nil) {
			t.Errorf("ParseRegion(%s) = %s, %v", r, got, err)
		}
	}
	if got := phone.Region(255).String() + phone.Region(0).String(); got != "ZZZZ" {
		t.Errorf("unknown regions are %q, want ZZ", got)
	}
}

func TestJurisdiction(t *testing.T) {
	tests := []struct{ code, want string }{
		{"US", "AS,GU,MP,PR,US,VI"},
		{"us", "AS,GU,MP,PR,US,VI"},
		{"FR", "BL,FR,GF,GP,MF,MQ,PM,RE,YT"},
		{"AU", "AU,CC,CX"},
		{"FI", "AX,FI"},
		{"NO", "NO,SJ"},
		{"AX", "AX"},
		{"GB", "GB"},
		{"CA", "CA"},
		{"PR", "PR"},
	}
	for _, tt := range tests {
		got, err := phone.Jurisdiction(tt.code)
		if err != nil || got.String() != tt.want {
			t.Errorf("Jurisdiction(%s) = %v, %v, want %s", tt.code, got, err, tt.want)
		}
	}
	for _, code := range []string{"", "001", "XX", "USA"} {
		if _, err := phone.Jurisdiction(code); !errors.Is(err, phone.ErrRegion) {
			t.Errorf("Jurisdiction(%q): %v, want ErrRegion", code, err)
		}
	}
}

func TestRegionSet(t *testing.T) {
	us, _ := phone.ParseRegion("US")
	ca, _ := phone.ParseRegion("CA")
	zw, _ := phone.ParseRegion("ZW")
	none := phone.RegionSet{}
	both := none.With(us).With(ca)
	if !none.IsEmpty() || both.IsEmpty() || both.Len() != 2 || none.With(0) != none {
		t.Errorf("sizes are wrong: %v", both)
	}
	if !both.Has(us) || !both.Has(ca) || both.Has(zw) || both.Has(0) {
		t.Errorf("%v has the wrong members", both)
	}
	if both != none.With(ca).Union(none.With(us)) {
		t.Error("order of insertion shows")
	}
	if !both.Intersects(none.With(us)) || both.Intersects(none.With(zw)) || both.Intersects(none) {
		t.Errorf("%v intersects wrongly", both)
	}
	if diff := cmp.Diff([]string{"CA", "US", "001"}, both.With(phone.World).Strings()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	for r := range both.All() {
		if r != ca {
			t.Errorf("first is %s, want CA", r)
		}
		break
	}
	if !slices.IsSorted(phone.Number(0).Regions().Strings()[:245]) {
		t.Error("regions are not in the order of their codes")
	}
}
