package registry

import (
	"io"
	"slices"
	"testing"
)

// Files as programs and people hand them over: each is the smallest that once was read wrongly.
func TestCases(t *testing.T) {
	tests := []struct {
		file, region string
		want         []uint64
		reasons      map[int64]string
	}{
		{file: "01-excel-mac-cr.csv", want: []uint64{14165550121, 14165550122}},
		{file: "05-de-slash.csv", region: "DE", reasons: map[int64]string{2: ReasonSeveral}},
		{file: "06-bidi-1-of-160.csv", want: slices.Concat(upTo(14165550100, 100), upTo(16475550100, 60))},
		{file: "14-dates.csv", want: upTo(14165550132, 4)},
		{file: "16-pandas-float.csv", region: "US", want: []uint64{14165550136}},
		{file: "17-excel-formula.csv", region: "US", want: []uint64{14165550137}},
		{file: "17b-apostrophe.csv", region: "US", want: []uint64{14165550138}},
		{file: "17c-whatsapp.csv", region: "US", want: []uint64{14165550139}},
		{file: "20-inch-quote.csv", want: upTo(14165550141, 2)},
		{file: "25-utf16le-nobom.txt", want: []uint64{14155550121}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			path := "../../testdata/cases/" + tt.file
			opts := RecordOptions{DateOrder: MonthFirst}
			if tt.region != "" {
				opts.Region = region(t, tt.region)
			}
			rows, rejects, err := loadRecords(t, opts, path)
			if err != nil {
				t.Fatal(err)
			}
			var numbers []uint64
			for _, row := range rows {
				numbers = append(numbers, uint64(row.Number))
			}
			if !slices.Equal(numbers, tt.want) || len(rejects) != len(tt.reasons) {
				t.Errorf("opt-outs: got %d, %v", numbers, reasonsAt(rejects))
			}
			for line, reason := range reasonsAt(rejects) {
				if reason != tt.reasons[line] {
					t.Errorf("opt-outs: line %d is %q, want %q", line, reason, tt.reasons[line])
				}
			}
			list := load(t, Options{Format: Auto, Region: opts.Region}, path)
			if list.err != nil || !slices.Equal(list.numbers, tt.want) {
				t.Errorf("list: got %d, %v, %v", list.numbers, reasonsAt(list.rejects), list.err)
			}
			if leads := leadsOf(t, path, opts); !slices.Equal(leads, tt.want) {
				t.Errorf("leads: got %d", leads)
			}
		})
	}
}

// leadsOf reads the numbers of a file whose rows are to be checked.
func leadsOf(t *testing.T, path string, opts RecordOptions) (numbers []uint64) {
	t.Helper()
	rows, err := OpenRows(path, Options{Format: CSV, Region: opts.Region})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for {
		row, err := rows.Next()
		if err == io.EOF {
			return numbers
		}
		if err != nil {
			t.Fatal(err)
		}
		if number := row.Cells[0].Number; number != 0 {
			numbers = append(numbers, uint64(number))
		}
	}
}

// upTo returns so many numbers from the first on.
func upTo(first uint64, count int) []uint64 {
	list := make([]uint64, count)
	for i := range list {
		list[i] = first + uint64(i)
	}
	return list
}
