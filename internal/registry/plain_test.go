package registry

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlainSample(t *testing.T) {
	got := load(t, Options{Format: Plain}, "../../testdata/plain/numbers.txt")
	if got.err != nil || len(got.numbers) != 13 || len(got.rejects) != 1 {
		t.Fatalf("got %d numbers, %d rejects, error %v", len(got.numbers), len(got.rejects), got.err)
	}
	want := Reject{File: "numbers.txt", Line: 15, Reason: reasonLetters, Text: "not a number"}
	if diff := cmp.Diff(want, got.rejects[0]); diff != "" {
		t.Error(diff)
	}
}

func TestPlain(t *testing.T) {
	tests := []struct {
		name, text, region string
		want               []uint64
		reasons            map[int64]string
	}{
		{"E.164", "+14155550100\r\n +1 (415) 555-0101 \n", "", []uint64{14155550100, 14155550101}, nil},
		{"national", "01 99 00 12 34\n0199001235\n", "FR", []uint64{33199001234, 33199001235}, nil},
		{"international access code", "0033199001234\n", "FR", []uint64{33199001234}, nil},
		{"zero kept and lost", "02079460018\n2079460018\n", "GB", []uint64{442079460018, 442079460018}, nil},
		{"national without region", "0199001234\n", "", nil, map[int64]string{1: ReasonNational}},
		{"spreadsheet", "3.36123E+10\n33199001234.0\n33199001234.00\n", "FR", []uint64{33199001234}, map[int64]string{1: ReasonSpreadsheet, 3: ReasonSpreadsheet}},
		{"too long a line", strings.Repeat("1", maxLine+5) + "\n+14155550100\n", "", []uint64{14155550100}, map[int64]string{1: ReasonTooLong}},
		{"very long line at the end", strings.Repeat("1", 1<<20), "", nil, map[int64]string{1: ReasonTooLong}},
		{"cut, but whole", "+14155550100", "", []uint64{14155550100}, nil},
		{"cut, may be longer", "+493012345", "", nil, map[int64]string{1: ReasonCut}},
		{"cut, too short", "+1415555010", "", nil, map[int64]string{1: ReasonCut}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := Options{Format: Plain}
			if tt.region != "" {
				opts.Region = region(t, tt.region)
			}
			got := loadText(t, opts, tt.text)
			if got.err != nil {
				t.Fatal(got.err)
			}
			if !slices.Equal(got.numbers, tt.want) {
				t.Errorf("got %v, want %v", got.numbers, tt.want)
			}
			if tt.reasons == nil {
				tt.reasons = map[int64]string{}
			}
			if diff := cmp.Diff(tt.reasons, reasonsAt(got.rejects)); diff != "" {
				t.Errorf("rejects: %s", diff)
			}
		})
	}
}
