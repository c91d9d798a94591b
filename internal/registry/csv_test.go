package registry

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
)

func region(t testing.TB, code string) phone.Region {
	t.Helper()
	r, err := phone.ParseRegion(code)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCSVSample(t *testing.T) {
	got := load(t, Options{Format: CSV, Region: region(t, "FR")}, "../../testdata/csv/opt-outs.csv")
	if got.err != nil {
		t.Fatal(got.err)
	}
	want := []uint64{33199001234, 33199001235, 33199001236, 33199001237, 14155550142}
	if !slices.Equal(got.numbers, want) {
		t.Errorf("got %d numbers, want %d", len(got.numbers), len(want))
	}
	reasons := map[int64]string{7: ReasonSpreadsheet}
	if diff := cmp.Diff(reasons, reasonsAt(got.rejects)); diff != "" {
		t.Error(diff)
	}
	if got.totals.Empty != 1 { // line 8
		t.Errorf("totals %+v", got.totals)
	}
}

func TestCSV(t *testing.T) {
	const a, b = 14155550100, 14155550101
	tests := []struct {
		name, text string
		opts       Options
		want       []uint64
		reasons    map[int64]string
	}{
		{name: "one column", text: "+14155550100\n+14155550101\n", want: []uint64{a, b}},
		{name: "one column with a title", text: "who to skip\n+14155550100\n", want: []uint64{a}},
		{name: "obvious title", text: "name,Phone Number,note\nA,+14155550100,x\nB,+14155550101,\n", want: []uint64{a, b}},
		{name: "accent, semicolon", text: "nom;NUMÉRO\nA;+14155550100\n", want: []uint64{a}},
		{name: "bars", text: "id|msisdn|note, long\n1|+14155550100|a,b,c\n", want: []uint64{a}},
		{name: "title in brackets", text: "[phone],[date]\n+14155550100,\n", opts: Options{Column: "[phone]"}, want: []uint64{a}},
		{name: "tab", text: "id\tmsisdn\n1\t+14155550100\n", want: []uint64{a}},
		{name: "Excel's line", text: "sep=|\r\nid|tel\r\n1|+14155550100\r\n", want: []uint64{a}},
		{name: "Excel's line, another asked for", text: "SEP=,\nid;tel;a,b\n1;+14155550100;\n", opts: Options{Delimiter: ';'}, want: []uint64{a}},
		{name: "by name", text: "phone,Other Phone\n+14155550100,+14155550101\n", opts: Options{Column: "other phone"}, want: []uint64{b}},
		{name: "by index, title", text: "x,phone 2\n1,+14155550101\n", opts: Options{Column: "2"}, want: []uint64{b}},
		{name: "by index, no title", text: "x,+14155550100\n1,+14155550101\n", opts: Options{Column: "2"}, want: []uint64{a, b}},
		{name: "delimiter asked for", text: "phone|a,b,c\n+14155550100|1\n", opts: Options{Delimiter: '|'}, want: []uint64{a}},
		{name: "byte order mark", text: "\ufeffphone\n+14155550100\n", want: []uint64{a}},
		{name: "quotes", text: "phone,note\n\"+14155550100\",\"a, \"\"b\"\"\nc\"\n+14155550101,\n", want: []uint64{a, b}},
		{name: "quoted header over two lines", text: "\"my\nname\",phone\nA,+14155550100\n", want: []uint64{a}},
		{name: "blank records", text: "phone,note\n\n,\n+14155550100,x\n , \n", want: []uint64{a}},
		{name: "empty", text: "", want: nil},
		{name: "header only", text: "phone,x\n", want: nil},
		{
			name: "rejects", text: "phone,x\n,1\n3.36E+10,1\n415555,1\nabc,1\n+14155550100,1\n+999123456789,1\n",
			want:    []uint64{a},
			reasons: map[int64]string{3: ReasonSpreadsheet, 4: ReasonNational, 5: reasonLetters, 7: ReasonCallingCode},
		},
		{
			name: "missing column", text: "x,phone\n1\n2,+14155550100\n",
			want: []uint64{a}, reasons: map[int64]string{2: ReasonColumns},
		},
		{
			name: "more columns than titles", text: "phone\n+14155550100\n+14155550100,+14155550101\n+14155550101, ,\n",
			want: []uint64{a, b}, reasons: map[int64]string{3: ReasonShifted},
		},
		{
			name: "more quoted columns than titles", text: "phone,x\n+14155550100,\"a,b\",\n\"+14155550199\",\"a\",\"b\"\n+14155550199,\"a,b\",c\n+14155550199,,,c\n",
			want: []uint64{a}, reasons: map[int64]string{3: ReasonShifted, 4: ReasonShifted, 5: ReasonShifted},
		},
		{name: "more columns without a header", text: "+14155550100,x\n+14155550101,x,y\n", opts: Options{Column: "1"}, want: []uint64{a, b}},
		{
			name: "quote never closed", text: "phone,x\n+14155550100,1\n\"+14155550199,1\n+14155550101,1\n",
			want: []uint64{a, b}, reasons: map[int64]string{3: ReasonQuotes},
		},
		{
			name: "bare quote", text: "phone,x\n+14155550199,5\" pipe\n+14155550100,\n+14155550198,6\" pipe\n+14155550101,\n",
			want: []uint64{14155550199, a, 14155550198, b},
		},
		{
			name: "quotes within cells", text: "phone,x,y\n+14155550100,5\" screen,\"a \"\"b\"\",\nc\"\n+14155550101,a\"b\"c\"\",\"x\"\n\"+14155550102\",,6\"\n",
			want: []uint64{a, b, 14155550102},
		},
		{
			name: "quote behind space", text: "phone,x\n+14155550199, \"a, b\"\n+14155550100,\n",
			want: []uint64{a}, reasons: map[int64]string{2: ReasonQuotes},
		},
		{
			name: "formula without quotes around it", text: "phone,x\n=\"+14155550100\",5\"\n", want: []uint64{a},
		},
		{
			name: "cut behind a quote within", text: "x,phone\n5\" a,+14155550100\n6\" a,=\"+493012345\"",
			want: []uint64{a}, reasons: map[int64]string{3: ReasonCut},
		},
		{
			name: "text after quote", text: "phone,x\n\"+1415555\"0199,\n+14155550100,\n",
			want: []uint64{a}, reasons: map[int64]string{2: ReasonQuotes},
		},
		{name: "end without line end", text: "phone\n+14155550100", want: []uint64{a}},
		{name: "end in a later column", text: "phone,x\n+493012345,abc", want: []uint64{493012345}},
		{name: "end behind a quote", text: "phone\n\"+493012345\"", want: []uint64{493012345}},
		{
			name: "cut in the number", text: "x,phone\n1,+493012345",
			reasons: map[int64]string{2: ReasonCut},
		},
		{
			name: "cut in quotes", text: "phone,x\n+14155550100,\n\"+14155550101",
			want: []uint64{a}, reasons: map[int64]string{3: ReasonCut},
		},
		{
			name: "cut in quotes over lines", text: "phone,x\n+14155550100,\n+14155550101,\"a\nb",
			want: []uint64{a}, reasons: map[int64]string{3: ReasonQuotes, 4: ReasonCut},
		},
		{
			name: "cut before the number", text: "x,phone\n1",
			reasons: map[int64]string{2: ReasonCut},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Format = CSV
			got := loadText(t, tt.opts, tt.text)
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

func TestCSVUnclear(t *testing.T) {
	tests := []struct {
		name, text, column, want string
	}{
		{"no obvious title", "name,contact\nA,+14155550100\n", "", `1 "name", 2 "contact"`},
		{"two obvious titles", "phone,mobile\n+14155550100,\n", "", "more than one"},
		{"no header", "A,+14155550100\n", "", `1 "A", 2 (no title)`},
		{"unknown name", "name,phone\n", "fax", `no column "fax"`},
		{"index too high", "name,phone\n", "3", "no column 3"},
		{"index zero", "name,phone\n", "0", "no column 0"},
		{"header is no csv", "\"na\"me,phone\n", "", "first line"},
		{"JSON array", " \r\n[\n{\"number\":\"+14155550100\"}]", "", "a JSON array"},
		{"JSON array of texts", "[\"+14155550100\"]", "", "a JSON array"},
		{"JSON error", "{\"error\":\"Unauthorized\"}", "", "JSON, not csv"},
		{"error page", "\ufeff<!DOCTYPE html>\n<title>Error</title>", "", "HTML"},
		{"UTF-32", "\xff\xfe\x00\x00p\x00\x00\x00", "", "UTF-32"},
		{"cut gzip", "\x1f\x8b\x08\x00", "", "cut short"},
		{"bzip2", "BZh91AY", "", "unpack"},
		{"old Excel", "\xd0\xcf\x11\xe0", "", "save it as csv"},
		{"tar", "phone.csv" + strings.Repeat("\x00", 248) + "ustar\x00", "", "tar"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := loadText(t, Options{Format: CSV, Column: tt.column}, tt.text)
			if got.err == nil || !strings.Contains(got.err.Error(), tt.want) {
				t.Fatalf("got %v, want an error with %q", got.err, tt.want)
			}
			if strings.Contains(got.err.Error(), "5550100") {
				t.Errorf("the error shows a number: %v", got.err)
			}
		})
	}
}

func TestCSVLongRecords(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	lines := strings.Repeat("y\n", maxLine) // within quotes: too much for a record
	text := "phone,x\n+14155550100," + long + "\n+14155550101,1\n+14155550102,\"" + lines + "+14155550103,1\n"
	got := loadText(t, Options{Format: CSV}, text)
	if got.err != nil {
		t.Fatal(got.err)
	}
	if want := []uint64{14155550101, 14155550103}; !slices.Equal(got.numbers, want) {
		t.Errorf("got %v, want %v", got.numbers, want)
	}
	if r := got.rejects[0]; r.Reason != ReasonTooLong || r.Line != 2 || len(r.Text) > maxLine {
		t.Errorf("got %q at line %d with %d bytes", r.Reason, r.Line, len(r.Text))
	}
	if r := got.rejects[1]; r.Reason != ReasonQuotes || r.Line != 4 {
		t.Errorf("got %q at line %d", r.Reason, r.Line)
	}
}
