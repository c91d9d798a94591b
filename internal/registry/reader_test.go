package registry

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dncd/dncd/internal/phone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSources(t *testing.T) {
	const text = "415,5550100\r\n415,5550101\r\n"
	packed := zipOf(t, member{"in/x.txt", text})
	got := load(t, Options{Format: FTC},
		writeFile(t, "2026-9-9_415_a.txt", []byte(text)), writeFile(t, "b.zip", packed))
	if got.err != nil {
		t.Fatal(got.err)
	}
	sources := got.reader.Sources()
	if len(sources) != 2 || sources[0].Name != "2026-9-9_415_a.txt" || sources[1].Name != "b.zip/x.txt" {
		t.Fatalf("got %v", sources)
	}
	if sources[0].SnapshotDate != "2026-09-09" || sources[1].SnapshotDate != "" {
		t.Errorf("dates %q and %q", sources[0].SnapshotDate, sources[1].SnapshotDate)
	}
	for _, s := range sources {
		if s.SHA256 != sha256.Sum256([]byte(text)) || s.Size != int64(len(text)) {
			t.Errorf("%s: size %d or hash is not that of the content", s.Name, s.Size)
		}
	}
	if read, total := got.reader.BytesRead(), got.reader.TotalBytes(); read != total || total == 0 {
		t.Errorf("read %d bytes of %d", read, total)
	}
	if _, ok := got.reader.SnapshotDate(); ok {
		t.Error("a date although one name has none")
	}
	if got.totals != (Totals{Numbers: 4}) {
		t.Errorf("totals %v", got.totals)
	}
}

// Progress is asked for by another goroutine than the one that reads: the race detector looks on.
func TestProgressBesideReading(t *testing.T) {
	path := writeFile(t, "a.txt", []byte("415,5550100\n415,5550101\n"))
	r, err := Open([]string{path}, Options{Format: FTC})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ended, seen := make(chan struct{}), make(chan int64)
	go func() {
		for {
			read, total := r.BytesRead(), r.TotalBytes()
			select {
			case <-ended:
				seen <- total - read
				return
			default:
			}
		}
	}()
	batch := make([]phone.Number, 8)
	for {
		if _, err := r.Next(batch); err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			break
		}
	}
	close(ended)
	if left := <-seen; left < 0 {
		t.Errorf("%d bytes more were read than there are", -left)
	}
}

func TestOpenErrors(t *testing.T) {
	good := writeFile(t, "a.txt", []byte("415,5550100\n"))
	tests := []struct {
		name  string
		paths []string
		f     Format
	}{
		{"no path", nil, FTC},
		{"no such file", []string{good, filepath.Join(t.TempDir(), "none.txt")}, FTC},
		{"directory", []string{t.TempDir()}, FTC},
		{"no format", []string{good}, ""},
		{"unknown format", []string{good}, "xls"},
	}
	for _, tt := range tests {
		if r, err := Open(tt.paths, Options{Format: tt.f}); err == nil {
			r.Close()
			t.Errorf("%s: no error", tt.name)
		}
	}
}

func TestParseFormat(t *testing.T) {
	for _, name := range strings.Split(FormatNames(), ", ") {
		if f, err := ParseFormat(strings.ToUpper(name)); string(f) != name || err != nil {
			t.Errorf("%s: got %q, %v", name, f, err)
		}
	}
	for _, name := range []string{"", "Auto"} {
		if f, err := ParseFormat(name); f != Auto || err != nil {
			t.Errorf("%q: got %q, %v", name, f, err)
		}
	}
	if _, err := ParseFormat("xls"); err == nil {
		t.Error("xls is a format")
	}
}

func TestStdin(t *testing.T) {
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
		_, err1 := io.WriteString(out, "+14155550100\n+141555")
		_, err2 := io.WriteString(out, "50101\n")
		written <- errors.Join(err1, err2, out.Close())
	}()
	got := load(t, Options{Format: Plain}, "-")
	if got.err != nil || len(got.numbers) != 2 || got.reader.TotalBytes() != 0 {
		t.Errorf("got %d numbers, %v", len(got.numbers), got.err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// A Reader closed half way leaves no goroutine (TestMain) and no file behind.
func TestCloseEarly(t *testing.T) {
	for _, name := range []string{"a.txt", "a.zip"} {
		data := []byte(strings.Repeat("415,5550100\n", 300_000))
		if name == "a.zip" {
			data = zipOf(t, member{"a.txt", string(data)})
		}
		r, err := Open([]string{writeFile(t, name, data)}, Options{Format: FTC})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := r.Next(make([]phone.Number, 10)); n != 10 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Next(make([]phone.Number, 10)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("after Close: got %d, %v", n, err)
		}
	}
}

func TestFileGone(t *testing.T) {
	first := writeFile(t, "a.txt", []byte("415,5550100\n"))
	second := writeFile(t, "b.txt", []byte("415,5550101\n"))
	r, err := Open([]string{first, second}, Options{Format: FTC})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the error stays
		if n, err := r.Next(make([]phone.Number, 10)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("got %d, %v", n, err)
		}
	}
}

func TestRows(t *testing.T) {
	const text = "id;tel;note\r\n1;+1 415 555 0100;\"a;b\"\r\n\r\n2;none;x\r\n3;\"oops;y\r\n4\r\n5;+14155550101;z\r\n"
	rows, err := OpenRows(writeFile(t, "leads.csv", []byte(text)), Options{Format: CSV})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if h := strings.Join(rows.Header(), "|"); h != "id|tel|note" || !slices.Equal(rows.Columns(), []int{1}) || rows.Delimiter() != ';' {
		t.Errorf("header %q, columns %d, delimiter %q", h, rows.Columns(), rows.Delimiter())
	}
	want := []struct {
		line   int64
		fields string
		number phone.Number
		reason string
	}{
		{2, "1|+1 415 555 0100|a;b", 14155550100, ""},
		{4, "2|none|x", 0, reasonLetters},
		{5, "3;\"oops;y", 0, ReasonQuotes},
		{6, "4", 0, ReasonColumns},
		{7, "5|+14155550101|z", 14155550101, ""},
	}
	for _, w := range want {
		row, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		if f := strings.Join(row.Fields(), "|"); row.Line != w.line || f != w.fields || !slices.Equal(row.Cells, []Cell{{Number: w.number, Reason: w.reason}}) {
			t.Errorf("got line %d, %q, %v; want line %d, %q, %q", row.Line, f, row.Cells, w.line, w.fields, w.reason)
		}
	}
	if _, err := rows.Next(); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}

func TestRowsPlain(t *testing.T) {
	rows, err := OpenRows(writeFile(t, "leads.txt", []byte("+14155550100\n\nx\n")), Options{Format: Plain})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	first, err := rows.Next()
	if err != nil || first.Cells[0].Number != 14155550100 || first.Line != 1 {
		t.Errorf("got line %d, %v", first.Line, err)
	}
	second, err := rows.Next()
	if err != nil || second.Cells[0].Reason != reasonLetters || second.Fields()[0] != "x" || second.Line != 3 {
		t.Errorf("got line %d, %v, %v", second.Line, second.Cells, err)
	}
	if _, err := rows.Next(); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}

// A file that ends inside a line is counted, once, whatever its format.
func TestCutFiles(t *testing.T) {
	tests := []struct {
		name   string
		format Format
		texts  []string
		want   int
	}{
		{"whole", Plain, []string{"+14155550100\n", "+14155550101"}, 0},
		{"no number", Plain, []string{"+14155550100\nx\n"}, 0},
		{"plain", Plain, []string{"+14155550100\n+14155", "+14155550101\n", "+1"}, 2},
		{"ftc", FTC, []string{"415,5550100\n415,55"}, 1},
		{"csv", CSV, []string{"x,phone\n1,+14155550100\n2"}, 1},
		{"csv in quotes", CSV, []string{"phone\n\"+14155550100\"\n\"+141"}, 1},
		{"jsonl", JSONL, []string{"{\"number\":\"+14155550100\"}\n{\"num"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var paths []string
			for _, text := range tt.texts {
				paths = append(paths, writeFile(t, "a.txt", []byte(text)))
			}
			got := load(t, Options{Format: tt.format}, paths...)
			if got.err != nil || got.reader.CutFiles() != tt.want {
				t.Errorf("got %d files, %v, want %d", got.reader.CutFiles(), got.err, tt.want)
			}
		})
	}
}
