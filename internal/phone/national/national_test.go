package national_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/phone/national"
)

func region(t testing.TB, code string) phone.Region {
	t.Helper()
	if code == "" {
		return 0
	}
	r, err := phone.ParseRegion(code)
	if err != nil {
		t.Fatalf("ParseRegion(%s): %v", code, err)
	}
	return r
}

func TestParse(t *testing.T) {
	tests := []struct {
		in, region, want string
		err              error
	}{
		{in: "415-555-0123", region: "US", want: "+14155550123"},
		{in: "(415) 555 0123", region: "CA", want: "+14155550123"},
		{in: "14155550123", region: "US", want: "+14155550123"},
		{in: "1 (415) 555-0123", region: "JM", want: "+14155550123"},
		{in: "011 33 1 99 00 12 34", region: "US", want: "+33199001234"},
		{in: "011 44 20 7946 0958", region: "CA", want: "+442079460958"},
		{in: "020 7946 0958", region: "GB", want: "+442079460958"},
		{in: "(0)20 7946 0958", region: "GB", want: "+442079460958"},
		{in: "2079460958", region: "GB", want: "+442079460958"},
		{in: "07700 900123", region: "GB", want: "+447700900123"},
		{in: "7700900123", region: "GB", want: "+447700900123"},
		{in: "447700900123", region: "GB", want: "+447700900123"},
		{in: "01534 500000", region: "JE", want: "+441534500000"},
		{in: "01 99 00 12 34", region: "FR", want: "+33199001234"},
		{in: "199001234", region: "FR", want: "+33199001234"},
		{in: "0033 1 99 00 12 34", region: "FR", want: "+33199001234"},
		{in: "0033 1 99 00 12 34", region: "DE", want: "+33199001234"},
		{in: "0033 1 99 00 12 34", region: "US", want: "+33199001234"},
		{in: "0033 1 99 00 12 34", region: "JP", want: "+33199001234"},
		{in: "0033 1 99 00 12 34", want: "+33199001234"},
		{in: "0044 (0)20 7946 0958", want: "+442079460958"},
		{in: "0044 (0)20 7946 0958", region: "GB", want: "+442079460958"},
		{in: "+44 (0)20 7946 0958", want: "+442079460958"},
		{in: "+49 (0)30 123456", region: "DE", want: "+4930123456"},
		{in: "+39 (0)6 1234 5678", want: "+390612345678"},
		{in: "06 1234 5678", region: "IT", want: "+390612345678"},
		{in: "+33 1 99 00 12 34", region: "US", want: "+33199001234"},
		{in: "tel:+1-415-555-0123", region: "FR", want: "+14155550123"},
		{in: "030 123456", region: "DE", want: "+4930123456"},
		{in: "0692 12 34 56", region: "FR", want: "+262692123456"},
		{in: "692123456", region: "FR", want: "+262692123456"},
		{in: "0596 60 12 34", region: "FR", want: "+596596601234"},
		{in: "01 99 00 12 34", region: "RE", want: "+33199001234"},
		{in: "0692 12 34 56", region: "RE", want: "+262692123456"},
		{in: "0590 20 12 34", region: "MQ", want: "+590590201234"},
		{in: "0800 12 34 56", region: "FR", want: "+33800123456"},
		{in: "011 15 2345 6789", region: "AR", want: "+5491123456789"},

		{in: "33199001234.0", region: "FR", want: "+33199001234"},
		{in: "4155550123.0", region: "US", want: "+14155550123"},
		{in: `="4155550123"`, region: "US", want: "+14155550123"},
		{in: "'4155550123", region: "US", want: "+14155550123"},
		{in: "\u202a415-555-0123\u202c", region: "US", want: "+14155550123"},
		{in: "sip:4155550123@example.com", region: "US", want: "+14155550123"},
		{in: "tel:00 33 1 99 00 12 34;isub=1", want: "+33199001234"},
		{in: "030/1234567", region: "DE", want: "+49301234567"},
		{in: "06321/12345", region: "DE", want: "+49632112345"},
		{in: "01/99/00/12/34", region: "FR", want: "+33199001234"},
		{in: "415/555/0123", region: "US", want: "+14155550123"},
		{in: "030 1234567/", region: "DE", want: "+49301234567"},
		{in: "0475/12.34.56", region: "BE", want: "+32475123456"},
		{in: "0508 41 00 13", region: "FR", want: "+508410013"},
		{in: "0508 41 00 13", region: "RE", want: "+508410013"},
		{in: "0508 41 00 13", region: "PM", want: "+508410013"},
		{in: "41 00 13", region: "PM", want: "+508410013"},
		{in: "0639 00 12 34", region: "FR", want: "+262639001234"},
		{in: "0693 00 12 34", region: "GP", want: "+262693001234"},
		{in: "0690 00 12 34", region: "FR", want: "+590690001234"},
		{in: "0694 20 12 34", region: "FR", want: "+594694201234"},
		{in: "0696 20 12 34", region: "FR", want: "+596696201234"},
		{in: "0697 20 12 34", region: "MQ", want: "+596697201234"},
		{in: "06 12 34 56 78", region: "RE", want: "+33612345678"},
		{in: "044 55 5500 0125", region: "MX", want: "+525555000125"},
		{in: "045 55 5500 0125", region: "MX", want: "+525555000125"},
		{in: "01 55 5500 0125", region: "MX", want: "+525555000125"},
		{in: "1 55 5500 0125", region: "MX", want: "+525555000125"},
		{in: "521 55 5500 0125", region: "MX", want: "+525555000125"},
		{in: "52 55 5500 0125", region: "MX", want: "+525555000125"},
		{in: "55 5500 0125", region: "MX", want: "+525555000125"},
		{in: "0052 1 55 5500 0125", region: "MX", want: "+525555000125"},
		{in: "011 52 1 55 5500 0125", region: "US", want: "+525555000125"},

		{in: "415-555-0123", err: phone.ErrNoPlus},
		{in: "01 99 00 12 34", err: phone.ErrNoPlus},
		{in: "00", err: phone.ErrLength},
		{in: "00", region: "FR", err: phone.ErrLength},
		{in: "0", err: phone.ErrNoPlus},
		{in: "0(0)", err: phone.ErrLength},
		{in: "0(0)0", region: "FR", err: national.ErrNoSuchNumber},
		{in: "tel:00 (33) 1 99 00 12 34", want: "+33199001234"},
		{in: "", region: "US", err: phone.ErrEmpty},
		{in: "  ", region: "US", err: phone.ErrEmpty},
		{in: "3.36123E+10", region: "FR", err: national.ErrSpreadsheet},
		{in: "3,36123E+10", region: "FR", err: national.ErrSpreadsheet},
		{in: "33199001234.00", region: "FR", err: national.ErrSpreadsheet},
		{in: "612345678.0", region: "IT", err: national.ErrNoSuchNumber},
		{in: "+39612345678", region: "IT", err: national.ErrNoSuchNumber},
		{in: "030 1234567/68", region: "DE", err: phone.ErrSeveral},
		{in: "030/1234567/68", region: "DE", err: phone.ErrSeveral},
		{in: "06321/1234/35", region: "DE", err: phone.ErrSeveral},
		{in: "0049 30 1234567/68", region: "DE", err: phone.ErrSeveral},
		{in: "0049 30 1234567/68", err: phone.ErrSeveral},
		{in: "01 99 00 12 34/35", region: "FR", err: phone.ErrSeveral},
		{in: "415-555-0123 / 415-555-0124", region: "US", err: phone.ErrSeveral},
		{in: "4155550123 or 4155550124", region: "US", err: phone.ErrSeveral},
		{in: "4155550123 ::: 4155550124", region: "US", err: phone.ErrSeveral},
		{in: "045 55 5500 012", region: "MX", err: phone.ErrLength},
		{in: "415-555-0123 x5", region: "US", err: national.ErrExtension},
		{in: "415-555-0123 ext. 5", region: "US", err: national.ErrExtension},
		{in: "1-800-FLOWERS", region: "US", err: phone.ErrSyntax},
		{in: "４１５５５５０１２３", region: "US", err: phone.ErrSyntax},
		{in: "*67", region: "US", err: phone.ErrSyntax},
		{in: "555-0123", region: "US", err: phone.ErrLength},
		{in: "0155550123", region: "US", err: phone.ErrTrunk},
		{in: "415555012", region: "US", err: phone.ErrLength},
		{in: "0199", region: "FR", err: phone.ErrLength},
		{in: "612345678", region: "IT", err: national.ErrNoSuchNumber},
		{in: "00999123456789", region: "FR", err: phone.ErrCallingCode},
		{in: strings.Repeat("1", 25), region: "US", err: phone.ErrLength},
		{in: strings.Repeat("1", 300), region: "US", err: phone.ErrLength},
	}
	for _, tt := range tests {
		n, err := national.Parse(tt.in, region(t, tt.region))
		if got := n.E164(); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Parse(%q, %s) = %s, %v, want %s, %v", tt.in, tt.region, got, err, tt.want, tt.err)
		}
	}
}

func TestWorldIsNoRegion(t *testing.T) {
	if n, err := national.Parse("4155550123", phone.World); !errors.Is(err, phone.ErrNoPlus) {
		t.Errorf("got %s, %v, want ErrNoPlus", n.E164(), err)
	}
}
