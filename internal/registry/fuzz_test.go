package registry

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dncd/dncd/internal/phone"
)

// decode reads data in a format and checks what holds for each: no reject
// without a reason, lines that rise, the same result however the reads fall.
func decode(t *testing.T, opts Options, data []byte) ([]uint64, []Reject, int, error) {
	t.Helper()
	numbers, rejects, empty, err := decodeFrom(t, opts, bytes.NewReader(data), 1000)
	again, rejectsAgain, emptyAgain, errAgain := decodeFrom(t, opts, iotest.HalfReader(bytes.NewReader(data)), 1)
	same := err != nil || slices.Equal(numbers, again) // an error makes void what was yielded
	if !same || !slices.Equal(rejects, rejectsAgain) || (err == nil) != (errAgain == nil) || err == nil && empty != emptyAgain {
		t.Errorf("depends on how it is read: %d and %d numbers, %d and %d rejects, %v and %v",
			len(numbers), len(again), len(rejects), len(rejectsAgain), err, errAgain)
	}
	line := int64(0)
	for _, r := range rejects {
		again := r.Line == line && opts.Format == FTCXML // which has no lines
		if r.Reason == "" || r.Line <= line && !again {
			t.Errorf("reject at line %d after line %d, reason %q", r.Line, line, r.Reason)
		}
		line = r.Line
	}
	for _, n := range numbers {
		if _, err := phone.FromDigits(n); err != nil {
			t.Errorf("yields what is no number: %v", err)
		}
	}
	return numbers, rejects, empty, err
}

func decodeFrom(t *testing.T, opts Options, src io.Reader, batchSize int) ([]uint64, []Reject, int, error) {
	t.Helper()
	f, err := opts.Format.lookup()
	if err != nil {
		t.Fatal(err)
	}
	var numbers, removed []uint64
	var rejects []Reject
	c := content{lines: newLines(src), opts: opts, areas: new(areas), account: new(Totals)}
	c.reject = func(line int64, reason string, text []byte) {
		rejects = append(rejects, Reject{Line: line, Reason: reason, Text: string(text)})
	}
	if err := c.lines.start(); err != nil {
		return nil, nil, 0, err
	}
	d, err := f.open(c)
	if err != nil {
		return nil, rejects, 0, err
	}
	batch, remove := make([]phone.Number, batchSize), make([]phone.Number, batchSize)
	for {
		n, gone, err := nextOf(d, batch, remove)
		for _, number := range batch[:n] {
			numbers = append(numbers, uint64(number))
		}
		for _, number := range remove[:gone] {
			removed = append(removed, uint64(number))
		}
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return append(numbers, removed...), rejects, int(c.account.Empty), err
		}
	}
}

func nextOf(d decoder, add, remove []phone.Number) (added, removed int, err error) {
	if c, ok := d.(changer); ok {
		return c.nextChanges(add, remove)
	}
	added, err = d.next(add)
	return added, 0, err
}

// addSamples seeds a fuzz test with the samples of a format.
func addSamples(f *testing.F, dir string) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("../../testdata", dir, "*"))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no sample in %s: %v", dir, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 2000)])
	}
}

// isUTF16 reports whether the bytes of data are not those of its lines.
func isUTF16(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) || bytes.IndexByte(data, 0) >= 0
}

var ftcLineOf = regexp.MustCompile(`^(\d{3}),?(\d{7})$`)

func FuzzFTC(f *testing.F) {
	addSamples(f, "ftc")
	f.Add([]byte("415,5550100\n415,555\r\n\n4155550100\r\n415,5550100\r"))
	f.Fuzz(func(t *testing.T, data []byte) {
		numbers, rejects, _, err := decode(t, Options{Format: FTC}, data)
		if err != nil || len(data) > maxLine || isUTF16(data) {
			return
		}
		var want []uint64
		bad := 0
		for _, line := range linesOf(data) {
			if m := ftcLineOf.FindStringSubmatch(line); m != nil {
				number, err := phone.Parse("+1" + m[1] + m[2])
				if err == nil {
					want = append(want, uint64(number))
					continue
				}
			}
			if strings.TrimSpace(line) != "" {
				bad++
			}
		}
		if !slices.Equal(numbers, want) || len(rejects) != bad {
			t.Errorf("got %d numbers and %d rejects, want %d and %d", len(numbers), len(rejects), len(want), bad)
		}
	})
}

var (
	regularXML = regexp.MustCompile(`^<list>\n(<ac val='\d{3}'>\n(<ph val=["']\d{7}["'] ?/>\r?\n)*(</ac>\n)?)*</list>$`)
	elementOf  = regexp.MustCompile(`val=(?:'(\d+)'|"(\d+)")`)
)

func FuzzXML(f *testing.F) {
	addSamples(f, "ftc-xml")
	addSamples(f, "lnnte")
	f.Add([]byte("<list>\n<ac val='415'>\n<ph val='5550100' />\n</ac>\n<ac val='212'>\n<ph val=\"5550101\"/>\r\n</list>"))
	f.Add([]byte("<list><ac val=415><!-- x --><ph\nval=5550100 <ph>5550101</ph> text </ac>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		numbers, rejects, _, err := decode(t, Options{Format: FTCXML}, data)
		for _, number := range numbers {
			if local := fmt.Sprint(number)[4:]; bytes.HasPrefix(data, []byte("<")) && !bytes.Contains(data, []byte(local)) {
				t.Error("a number that is not in the file")
			}
		}
		if !regularXML.Match(data) {
			return
		}
		area, good, bad := "", 0, 0
		for _, m := range elementOf.FindAllSubmatch(data, -1) {
			value := string(append(m[1], m[2]...))
			if len(value) == 3 {
				area = value
			} else if _, err := phone.Parse("+1" + area + value); err == nil {
				good++
			} else {
				bad++
			}
		}
		if err != nil || len(numbers)+len(rejects) != good+bad || len(numbers) > good {
			t.Errorf("got %d numbers and %d rejects, want %d and %d, %v", len(numbers), len(rejects), good, bad, err)
		}
	})
}

var changeLineOf = regexp.MustCompile(`^(\d{3}),(\d{7}),[^,"]*,([ADad])$`)

func FuzzChange(f *testing.F) {
	addSamples(f, "ftc-change")
	f.Add([]byte("area,number,date,action\n415,5550100,,A\n\n415,5550101,\"x\ny\",D\n415,5550102,,X"))
	f.Fuzz(func(t *testing.T, data []byte) {
		numbers, rejects, _, err := decode(t, Options{Format: FTCChange}, data)
		if err != nil || bytes.ContainsAny(data, "\" \t") || !utf8.Valid(data) || len(data) > maxLine {
			return
		}
		good, filled := 0, 0
		for _, line := range linesOf(data) {
			if strings.Trim(line, ",") != "" {
				filled++
			}
			if m := changeLineOf.FindStringSubmatch(line); m != nil {
				if _, err := phone.Parse("+1" + m[1] + m[2]); err == nil {
					good++
				}
			}
		}
		read := len(numbers) + len(rejects)
		if len(numbers) < good || read > filled || read < filled-1 { // one may be a header
			t.Errorf("got %d numbers of %d, read %d of %d", len(numbers), good, read, filled)
		}
	})
}

func FuzzPlain(f *testing.F) {
	addSamples(f, "plain")
	f.Add([]byte("\xa0\n\xa0+33\xa0199001234"))
	f.Add([]byte("0199001234\r\n0033199001234\n+493012345"))
	fr, err := phone.ParseRegion("FR")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, region := range []phone.Region{0, fr} {
			numbers, rejects, _, err := decode(t, Options{Format: Plain, Region: region}, data)
			if err != nil || isUTF16(data) {
				continue
			}
			filled := 0
			for _, line := range linesOf(data) {
				if strings.TrimSpace(line) != "" {
					filled++
				}
			}
			if got := len(numbers) + len(rejects); got != filled {
				t.Errorf("read %d of %d lines", got, filled)
			}
		}
	})
}

func FuzzCSV(f *testing.F) {
	addSamples(f, "csv")
	f.Add([]byte("phone,x\n+14155550100,\"a\nb\"\n\"+14155550101\",\"\"\"\"\n"))
	f.Add([]byte("phone,x\n\"+1415,\n5\"5,\"\n+14155550101,\n\"\"\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, column := range []string{"", "1", "2"} {
			numbers, rejects, empty, _ := decode(t, Options{Format: CSV, Column: column}, data)
			if read, lines := len(numbers)+len(rejects)+empty, len(linesOf(data)); read > lines && !isUTF16(data) {
				t.Errorf("read %d records of %d lines", read, lines)
			}
		}
	})
}

// Rows of opt-outs are those of a csv, and each has a number that is one.
func FuzzOptOuts(f *testing.F) {
	addSamples(f, "opt-outs")
	f.Add([]byte("phone,date\n+14155550100,2026-09-09\n+14155550101,9/9/2026\n\"+14155550102\",\"x\ny\""))
	f.Fuzz(func(t *testing.T, data []byte) {
		var rejects []Reject
		in := content{lines: newLines(bytes.NewReader(data)), account: new(Totals)}
		in.reject = func(line int64, reason string, _ []byte) {
			rejects = append(rejects, Reject{Line: line, Reason: reason})
		}
		in.again = func(func(content) (decoder, error)) (*Reader, error) { return nil, errReadOnce }
		if in.lines.start() != nil {
			return
		}
		d, err := openRecords(in, RecordOptions{Location: time.UTC})
		if err != nil {
			return
		}
		rows, batch := 0, make([]Record, 3)
		for {
			n, err := d.(recordDecoder).fill(batch)
			for _, row := range batch[:n] {
				if _, err := phone.FromDigits(uint64(row.Number)); err != nil || row.Line < 1 || (row.Channel == "") != (titleKey(row.ChannelText) == "") {
					t.Errorf("line %d: %v, channel %q of %q", row.Line, err, row.Channel, row.ChannelText)
				}
			}
			rows += n
			if err == io.EOF {
				break
			}
			if errors.Is(err, errNoNumber) || errors.Is(err, errNoColumn) || errors.Is(err, errDatesOfPipe) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if lines := len(linesOf(data)); rows+len(rejects) > lines && !isUTF16(data) {
			t.Errorf("read %d records of %d lines", rows+len(rejects), lines)
		}
	})
}

// Where encoding/csv takes a file whole, its records and ours are the same.
func FuzzRecords(f *testing.F) {
	addSamples(f, "csv")
	f.Add([]byte("a,b\n\"c\nd\",\"\"\"\"\n,\n\n\"\",e"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxLine || bytes.Contains(bytes.ReplaceAll(data, []byte("\r\n"), nil), []byte("\r")) || !utf8.Valid(data) {
			return
		}
		std := csv.NewReader(bytes.NewReader(data))
		std.FieldsPerRecord = -1
		want, err := std.ReadAll()
		if err != nil {
			return
		}
		want = slices.DeleteFunc(want, func(fields []string) bool {
			return strings.Trim(strings.Join(fields, ""), " \t") == ""
		})
		r := splitter{lines: newLines(bytes.NewReader(data)), delim: ','}
		var got [][]string
		for {
			rec, err := r.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if fields := rec.all(); strings.Trim(strings.Join(fields, ""), " \t") != "" {
				got = append(got, fields)
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

// What is read without the parser is what the parser makes of it, and nothing that it rejects.
func FuzzUnquote(f *testing.F) {
	addSamples(f, "csv")
	f.Add([]byte("\"a\",\"\",b\n\"+14155550100\";\"x;y\"\n\"a\"\"b\",\"c\"\r\r\n\"a\"b,\"c\nd\"\n\"a\" ,\" b\r\",\"\xff\"\n,\"\",\n\"cut\",\"he"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, delim := range []byte{',', ';', '\t', ' '} {
			r := splitter{lines: newLines(bytes.NewReader(data)), delim: delim, reject: func(int64, string, []byte) {}}
			for {
				rec, err := r.next()
				if err == io.EOF {
					break
				}
				if err == nil && rec.fields == nil && bytes.IndexByte(rec.text, '"') >= 0 {
					parsedAlike(t, &rec)
				}
			}
		}
	})
}

// parsedAlike compares a record with what the parser reads.
func parsedAlike(t *testing.T, rec *entry) {
	t.Helper()
	slow := splitter{delim: rec.delim, text: bytes.Clone(rec.text)}
	want, ok := slow.parse()
	q := slow.follow(quotes{}, rec.text)
	if !ok || q.inside || q.bad {
		t.Fatalf("read %q, which is to be rejected", rec.text)
	}
	if got := rec.all(); !slices.Equal(got, want) {
		t.Fatalf("of %q got %q, want %q", rec.text, got, want)
	}
	if rec.cut && q.closed {
		t.Fatalf("%q ends with a quoted cell and counts as cut", rec.text)
	}
	for i := range len(want) + 1 {
		field, ok := rec.column(i)
		if ok != (i < len(want)) || ok && string(field) != want[i] {
			t.Fatalf("column %d of %q is %q", i, rec.text, field)
		}
	}
}
