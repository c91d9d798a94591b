package registry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// fictional returns the 50 numbers that each sample of an area code holds.
func fictional(area uint64) []uint64 {
	var list []uint64
	for i := range uint64(50) {
		list = append(list, 1e10+area*1e7+5550100+i)
	}
	return list
}

func TestFTCSamples(t *testing.T) {
	const dir = "../../testdata/ftc/"
	const name = "2026-9-9_415_5b0c2f4e-8f1d-4c7a-9a36-1e2d3c4b5a69.txt"
	tests := []struct {
		name, path string
		area       uint64
	}{
		{"CRLF", dir + name, 415},
		{"zip", dir + name + ".zip", 415},
		{"LF", dir + "2026-9-9_818_c81e1a70-3f64-4b5e-8d92-7a6b5c4d3e2f.txt", 818},
		{"no comma", dir + "2026-9-9_212_0d9f3b52-6c1a-4e88-b7f3-2a1b0c9d8e7f.txt", 212},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := load(t, Options{Format: FTC}, tt.path)
			if got.err != nil || len(got.rejects) > 0 {
				t.Fatalf("error %v, rejects %v", got.err, got.rejects)
			}
			if want := fictional(tt.area); !slices.Equal(got.numbers, want) {
				t.Errorf("got %d numbers, want %d", len(got.numbers), len(want))
			}
			if date, ok := got.reader.SnapshotDate(); date != "2026-09-09" || !ok {
				t.Errorf("snapshot date %q, %v", date, ok)
			}
			want := []string{fmt.Sprintf("1%d", tt.area)}
			if diff := gocmp.Diff(want, got.reader.Coverage()); diff != "" {
				t.Errorf("coverage: %s", diff)
			}
		})
	}
}

func TestFTCLayouts(t *testing.T) {
	const a, b = 14155550100, 12125550101
	tests := []struct {
		name, text string
		want       []uint64
		reasons    map[int64]string
	}{
		{"LF", "415,5550100\n212,5550101\n", []uint64{a, b}, nil},
		{"CRLF", "415,5550100\r\n212,5550101\r\n", []uint64{a, b}, nil},
		{"CR", "415,5550100\r212,5550101\r", []uint64{a, b}, nil},
		{"CR among others", "415,5550100\r\n\r212,5550101\n", []uint64{a, b}, nil},
		{"without comma", "4155550100\n2125550101\n", []uint64{a, b}, nil},
		{"mixed", "4155550100\r\n212,5550101\n", []uint64{a, b}, nil},
		{"byte order mark", "\ufeff415,5550100\n", []uint64{a}, nil},
		{"blank lines", "\n\r\n415,5550100\n \n212,5550101\n\n", []uint64{a, b}, nil},
		{"no end of last line", "415,5550100\n212,5550101", []uint64{a, b}, nil},
		{"half an end", "415,5550100\r\n212,5550101\r", []uint64{a, b}, nil},
		{"cut in last line", "415,5550100\n212,555010", []uint64{a}, map[int64]string{2: ReasonCut}},
		{"cut after comma", "415,5550100\n212,", []uint64{a}, map[int64]string{2: ReasonCut}},
		{"cut without comma", "4155550100\n212555010", []uint64{a}, map[int64]string{2: ReasonCut}},
		{"empty", "", nil, nil},
		{"only BOM", "\ufeff", nil, nil},
		{"with country code", "14155550100\n415,5550100\n", []uint64{a}, map[int64]string{1: ReasonNotFTC}},
		{"E.164", "+14155550100\n", nil, map[int64]string{1: ReasonNotFTC}},
		{"header", "area,number\n415,5550100\n", []uint64{a}, map[int64]string{1: ReasonNotFTC}},
		{"six digits", "415,555010\n415,5550100\n", []uint64{a}, map[int64]string{1: ReasonNotFTC}},
		{"eight digits", "415,55501001\n415,5550100\n", []uint64{a}, map[int64]string{1: ReasonNotFTC}},
		{"letter", "415,555O100\n4l5,5550100\n415,5550100\n", []uint64{a}, map[int64]string{1: ReasonNotFTC, 2: ReasonNotFTC}},
		{"NUL bytes", "\x00\x00\x00,0000000\n", nil, map[int64]string{1: ReasonNotFTC}},
		{"high bytes", "415,5550\xb1\xb00\n", nil, map[int64]string{1: ReasonNotFTC}},
		{"semicolon", "415;5550100\n", nil, map[int64]string{1: ReasonNotFTC}},
		{"trailing space", "415,5550100 \n", nil, map[int64]string{1: ReasonNotFTC}},
		{"two on a line", "415,5550100 415,5550101\r\n", nil, map[int64]string{1: ReasonNotFTC}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Behind many good lines the same text is read by the fast path.
			for _, pad := range []int{0, 40} {
				text := strings.Repeat("415,5550199\n", pad)
				if bom := "\ufeff"; strings.HasPrefix(tt.text, bom) && pad > 0 {
					continue
				}
				got := loadText(t, Options{Format: FTC}, text+tt.text)
				if got.err != nil {
					t.Fatal(got.err)
				}
				if numbers := got.numbers[pad:]; !slices.Equal(numbers, tt.want) {
					t.Errorf("after %d lines: got %d numbers, want %d", pad, len(numbers), len(tt.want))
				}
				want := map[int64]string{}
				for line, reason := range tt.reasons {
					want[line+int64(pad)] = reason
				}
				if diff := gocmp.Diff(want, reasonsAt(got.rejects)); diff != "" {
					t.Errorf("after %d lines: rejects: %s", pad, diff)
				}
			}
		})
	}
}

func TestFTCEveryCut(t *testing.T) {
	const text = "415,5550100\r\n4155550101\n212,5550102\n"
	for n := range len(text) {
		got := loadText(t, Options{Format: FTC}, text[:n])
		for i, number := range got.numbers {
			if want := []uint64{14155550100, 14155550101, 12125550102}; number != want[i] {
				t.Errorf("cut at %d: number %d is another one", n, i)
			}
		}
		lines := int64(strings.Count(text[:n], "\n"))
		if rest := strings.TrimRight(text[:n], "\r"); rest != "" && !strings.HasSuffix(rest, "\n") {
			lines++
		}
		if got.totals.Read() != lines {
			t.Errorf("cut at %d: read %d, want %d", n, got.totals.Read(), lines)
		}
	}
}

func TestFTCCoverage(t *testing.T) {
	const strays = "415,5550100\n212,5550101\n818,555\n"
	tests := []struct {
		name           string
		files          map[string]string
		format         Format
		want, inferred []string
	}{
		{name: "an area code beside that of the name, or without a number, does not count",
			files: map[string]string{"2026-9-9_415_x.txt": strays}, want: []string{"1415"}},
		{name: "named for nothing else", files: map[string]string{"415.txt": strays}, want: []string{"1415"}},
		{name: "under the name of another area code", files: map[string]string{"2026-9-9_818.txt": "415,5550100\n"}, want: []string{"1818"}},
		{name: "no name", files: map[string]string{"2026-9-9_all.txt": strays}, want: []string{"1212", "1415"}, inferred: []string{"1212", "1415"}},
		{name: "no area code", files: map[string]string{"000.txt": "415,5550100\n", "100.txt": "212,5550100\n"},
			want: []string{"1212", "1415"}, inferred: []string{"1212", "1415"}},
		{name: "the whole nation", files: map[string]string{"2026-9-9_1c9e0a52-77d1-4a3b-9f6c-0b1a2c3d4e5f.txt": strays}, want: []string{"1212", "1415"}},
		{name: "one with a name and one without", files: map[string]string{"2026-9-9_415_x.txt": strays, "more.txt": "415,5550101\n650,5550100\n"},
			want: []string{"1415", "1650"}, inferred: []string{"1650"}},
		{name: "another format", format: Plain, files: map[string]string{"2026-9-9_415_x.txt": "+14155550100\n", "x.txt": "+12125550100\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var paths []string
			for _, name := range slices.Sorted(maps.Keys(tt.files)) {
				paths = append(paths, writeFile(t, name, []byte(tt.files[name])))
			}
			got := load(t, Options{Format: cmp.Or(tt.format, FTC)}, paths...)
			if diff := gocmp.Diff(tt.want, got.reader.Coverage()); diff != "" {
				t.Errorf("coverage: %s", diff)
			}
			if diff := gocmp.Diff(tt.inferred, got.reader.Inferred()); diff != "" {
				t.Errorf("inferred: %s", diff)
			}
		})
	}
}

func TestSevenDigits(t *testing.T) {
	for v := uint64(0); v < 1e7; v += 9973 {
		text := fmt.Sprintf("%07d\n", v)
		word := uint64(0)
		for i := range 8 {
			word |= uint64(text[i]) << (8 * i)
		}
		if got, ok := sevenDigits(word); got != v || !ok {
			t.Fatalf("got %d, %v, want %d", got, ok, v)
		}
		for i := range 7 {
			for c := range 256 {
				bad := word&^(0xff<<(8*i)) | uint64(c)<<(8*i)
				if _, ok := sevenDigits(bad); ok != (c >= '0' && c <= '9') {
					t.Fatalf("byte %#x at %d: ok is %v", c, i, ok)
				}
			}
		}
	}
}
