package registry

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"

	"github.com/dncd/dncd/internal/phone"
)

func TestDetectSamples(t *testing.T) {
	tests := []struct {
		pattern string
		want    Format
		numbers int
	}{
		{"ftc/*", FTC, 200},
		{"ftc-xml/*", FTCXML, 100},
		{"lnnte/416.txt", FTC, 50},
		{"csv/*", CSV, 5},
		{"plain/*", Plain, 13},
	}
	for _, tt := range tests {
		opts := Options{Format: Auto}
		if tt.want == CSV {
			opts.Region = region(t, "FR")
		}
		got := load(t, opts, "../../testdata/"+tt.pattern)
		if got.err != nil || len(got.numbers) != tt.numbers || got.reader.Format() != tt.want {
			t.Fatalf("%s: got %d numbers, %v", tt.pattern, len(got.numbers), got.err)
		}
		for _, s := range got.reader.Sources() {
			if s.Format != tt.want {
				t.Errorf("%s: taken for %s, want %s", s.Name, s.Format, tt.want)
			}
		}
		if read, total := got.reader.BytesRead(), got.reader.TotalBytes(); read != total {
			t.Errorf("%s: read %d bytes of %d", tt.pattern, read, total)
		}
	}
	got, removed := loadChanges(t, Options{Format: Auto}, "../../testdata/ftc-change/*.txt")
	if got.err != nil || len(got.numbers) != 30 || len(removed) != 10 || got.reader.Format() != FTCChange {
		t.Errorf("change list: got %d and %d numbers, %v", len(got.numbers), len(removed), got.err)
	}
}

func TestDetect(t *testing.T) {
	const dated = "2026-9-9_415_a.txt"
	tests := []struct {
		name, file, text, region string
		opts                     Options
		want                     Format // "": unsure
	}{
		{name: "FTC", text: "415,5550100\r\n415,5550101\r\n", want: FTC},
		{name: "FTC and some bad lines", text: "415,5550100\n415,555\nx\n415,5550101\n415,5550102\n", want: FTC},
		{name: "FTC, region US", text: "415,5550100\n", region: "US", want: FTC},
		{name: "FTC, region FR", text: "415,5550100\n", region: "FR"},
		{name: "FTC without comma", file: dated, text: "4155550100\n", want: FTC},
		{name: "FTC without comma, region US", file: dated, text: "4155550100\n", region: "US", want: FTC},
		{name: "FTC without comma, region GB", file: dated, text: "2079460018\n", region: "GB"},
		{name: "ten digits", text: "4155550100\n"},
		{name: "ten digits, region GB", text: "2079460018\n", region: "GB", want: Plain},
		{name: "FTC under its name, all bad", file: dated, text: "415,555\n415,556\n", want: FTC},
		{name: "bad first line", text: "x\n415,5550100\n415,5550101\n"},
		{name: "bad first line under its name", file: dated, text: "x\n415,5550100\n415,5550101\n", want: FTC},
		{name: "UTF-16", text: encode(t, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "415,5550100\n"), want: FTC},
		{name: "XML", text: "\n <?xml version='1.0'?>\n<LIST type='full'><AC VAL='415'>", want: FTCXML},
		{name: "HTML", text: "<!DOCTYPE html><html><body>415,5550100"},
		{name: "JSON", text: `{"number": "+14155550100"}`, want: JSONL},
		{name: "NUL", text: "\x00\x01\x02"},
		{name: "change list", text: "415,5550100,9/9/2026,A\n415,5550101,9/9/2026,D\n", want: FTCChange},
		{name: "additions alone", text: "415,5550100,9/9/2026,A\n", want: FTCChange},
		{name: "change list with a header", text: "area,number,date,action\n415,5550100,9/9/2026,A\n", want: FTCChange},
		{name: "change list by columns", text: "D,4155550100\n", opts: Options{Columns: "action,number"}, want: FTCChange},
		{name: "other columns than said", text: "415,5550100,9/9/2026,A\n", opts: Options{Columns: "action,number"}},
		{name: "change list in FTC text", text: "415,5550100\n415,5550101\n415,5550102,9/9/2026,D\n"},
		{name: "change list of other columns", text: "4155550100,9/9/2026,D\n4155550101,9/9/2026,A\n"},
		{name: "the same with a column", text: "4155550100,9/9/2026,D\n4155550101,9/9/2026,A\n", region: "US", opts: Options{Column: "1"}},
		{name: "csv of changes", text: "phone,what\n+14155550100,delete\n"},
		{name: "csv", text: "name,phone\nAnn,+14155550100\n", want: CSV},
		{name: "csv of area codes and local numbers", text: "id,phone\n415,5550100\n415,5550101\n"},
		{name: "csv of two national columns", text: "id;phone\n101;0199001234\n102;0199001235\n", region: "FR", want: CSV},
		{name: "csv, which column", text: "name,contact\nAnn,+14155550100\n"},
		{name: "csv by column", text: "name,contact\nAnn,+14155550100\n", opts: Options{Column: "contact"}, want: CSV},
		{name: "csv by place, no header", text: "Ann,+14155550100\nBo,+14155550101\n", opts: Options{Column: "2"}, want: CSV},
		{name: "csv of one column", text: "Phone\n+14155550100\n", want: CSV},
		{name: "Excel's line", text: "sep=;\r\nid;tel\r\n1;+14155550100\r\n", want: CSV},
		{name: "plain", text: "+14155550100\ntel:+14155550101\n0033 1 99 00 12 34\n", want: Plain},
		{name: "plain, national", text: "01 99 00 12 34\n0199001235\n", want: Plain},
		{name: "plain, all bad", text: "bad line 1\nbad line 2\n", want: Plain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.file == "" {
				tt.file = "list.txt"
			}
			if tt.region != "" {
				tt.opts.Region = region(t, tt.region)
			}
			tt.opts.Format = Auto
			r, err := Open([]string{writeFile(t, tt.file, []byte(tt.text))}, tt.opts)
			if err != nil {
				if tt.want != "" || !errors.Is(err, ErrFormat) && !strings.Contains(err.Error(), "--column") {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				if strings.Contains(err.Error(), "5550100") {
					t.Errorf("the error shows a number: %v", err)
				}
				return
			}
			defer r.Close()
			if r.Format() != tt.want {
				t.Errorf("taken for %s, want %q", r.Format(), tt.want)
			}
		})
	}
}

func TestDetectSeveral(t *testing.T) {
	ftc := writeFile(t, "a.txt", []byte("415,5550100\n"))
	csv := writeFile(t, "b.csv", []byte("name,phone\nAnn,+14155550100\n"))
	empty := writeFile(t, "c.txt", []byte("\n"))
	zipped := writeFile(t, "d.zip", zipOf(t, member{"d.txt", "212,5550100\n"}, member{"e.txt", "718,5550100\n"}))
	if got := load(t, Options{Format: Auto}, ftc, csv); !errors.Is(got.err, ErrFormat) || !strings.Contains(got.err.Error(), "b.csv like csv") {
		t.Errorf("two formats: got %v", got.err)
	}
	if got := load(t, Options{Format: Auto}, empty); !errors.Is(got.err, ErrFormat) {
		t.Errorf("an empty file: got %v", got.err)
	}
	got := load(t, Options{Format: Auto}, empty, ftc, zipped)
	if got.err != nil || len(got.numbers) != 3 || got.reader.Format() != FTC {
		t.Errorf("got %d numbers, %v", len(got.numbers), got.err)
	}
}

// A file whose beginning does not tell all is read whole in the format told.
func TestDetectLarge(t *testing.T) {
	text := manyLines() + "415,5550100,9/9/2026,D\n"
	for name, data := range map[string][]byte{"a.txt": []byte(text), "a.gz": gzipOf(t, text), "a.zst": zstdOf(t, text), "a.zip": zipOf(t, member{"a.txt", text})} {
		got := load(t, Options{Format: Auto}, writeFile(t, name, data))
		if got.err != nil || len(got.numbers) != 60_000 || len(got.rejects) != 1 || got.rejects[0].Line != 60_001 {
			t.Errorf("%s: got %d numbers, %d rejects, %v", name, len(got.numbers), len(got.rejects), got.err)
		}
	}
}

func TestDetectPipe(t *testing.T) {
	for name, data := range map[string][]byte{"text": []byte(manyLines()), "gzip": gzipOf(t, manyLines())} {
		t.Run(name, func(t *testing.T) {
			in, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			stdin := os.Stdin
			os.Stdin = in
			defer func() { os.Stdin = stdin }()
			written := make(chan error, 1)
			go func() {
				_, err := out.Write(data)
				written <- errors.Join(err, out.Close())
			}()
			got := load(t, Options{Format: Auto}, "-")
			if got.err != nil || len(got.numbers) != 60_000 || got.reader.Format() != FTC {
				t.Errorf("got %d numbers, %v", len(got.numbers), got.err)
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.txt": "415,5550101\n", "a.txt": "415,5550100\n", "[c].txt": "415,5550102\n", "d.csv": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		pattern string
		want    []uint64
	}{
		{"?.txt", []uint64{14155550100, 14155550101}},
		{"[c].txt", []uint64{14155550102}}, // a file of that name goes before the pattern
		{"[ab].txt", []uint64{14155550100, 14155550101}},
	}
	for _, tt := range tests {
		got := load(t, Options{Format: FTC}, filepath.Join(dir, tt.pattern))
		if got.err != nil || !slices.Equal(got.numbers, tt.want) {
			t.Errorf("%s: got %d numbers, %v", tt.pattern, len(got.numbers), got.err)
		}
	}
	for _, pattern := range []string{"*.zip", "[", "none.txt"} {
		if got := load(t, Options{Format: FTC}, filepath.Join(dir, pattern)); got.err == nil {
			t.Errorf("%s: no error", pattern)
		}
	}
}

// Whatever the content, what is told can be read, or is refused with ErrFormat
// or a question for the column; and a removal is never told to be an addition.
func FuzzDetect(f *testing.F) {
	for _, dir := range []string{"ftc", "ftc-xml", "ftc-change", "csv", "plain"} {
		addSamples(f, dir)
	}
	f.Add([]byte("A\"\n000000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := sampleOf(data)
		if err != nil {
			return
		}
		found, err := p.format()
		if err != nil || found == "" {
			return
		}
		in := content{lines: newLines(strings.NewReader(string(p.text))), areas: new(areas), account: new(Totals), reject: func(int64, string, []byte) {}}
		known, err := found.lookup()
		if err != nil {
			t.Fatal(err)
		}
		d, err := known.open(in)
		if err != nil {
			t.Fatalf("told to be %s: %v", found, err)
		}
		if _, ok := d.(changer); ok {
			return
		}
		if !bytes.ContainsRune(data, '"') && slices.ContainsFunc(p.lines, isDeletion) {
			t.Errorf("a list with deletions is told to be %s", found)
		}
		var batch [100]phone.Number
		_, err = d.next(batch[:])
		if err != nil && err != io.EOF && found != FTCXML {
			t.Errorf("told to be %s: %v", found, err)
		}
	})
}

func isDeletion(line string) bool {
	m := changeLineOf.FindStringSubmatch(line)
	return m != nil && strings.EqualFold(m[3], "d")
}

func sampleOf(data []byte) (*sample, error) {
	l := newLines(strings.NewReader(string(data)))
	if err := l.start(); err != nil {
		return nil, err
	}
	for l.fill() {
	}
	return newSample(l, &Source{}, Options{}), nil
}
