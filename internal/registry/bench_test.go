package registry

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

// benchLines is text of a million lines; step spreads the numbers as they are
// in the registry.
func benchLines(layout, end string) []byte {
	var b bytes.Buffer
	for i := range 1_000_000 {
		fmt.Fprintf(&b, layout+end, 2_000_000+i*7)
	}
	return b.Bytes()
}

func benchXML(layout string) []byte {
	return slices.Concat([]byte("<list><ac val='415'>"), benchLines(layout, ""), []byte("</ac></list>"))
}

func perNumber(b *testing.B, numbers int) {
	b.ReportMetric(float64(numbers)/1e6/b.Elapsed().Seconds(), "Mnumbers/s")
}

// BenchmarkParse measures the decoders alone, on one core.
func BenchmarkParse(b *testing.B) {
	tests := []struct {
		name string
		opts Options
		data []byte
	}{
		{"ftc", Options{Format: FTC}, benchLines("415,%07d", "\n")},
		{"ftc-crlf", Options{Format: FTC}, benchLines("415,%07d", "\r\n")},
		{"ftc-nocomma", Options{Format: FTC}, benchLines("415%07d", "\n")},
		{"ftc-xml", Options{Format: FTCXML}, benchXML("<ph val='%07d' />\r\n")},
		{"ftc-xml-open", Options{Format: FTCXML}, benchXML("<PH VAL='%07d'>\r\n")},
		{"ftc-xml-irregular", Options{Format: FTCXML}, benchXML("<ph val = %07d />\n")},
		{"ftc-change", Options{Format: FTCChange}, benchLines("415,%07d,9/9/2026,A", "\r\n")},
		{"plain", Options{Format: Plain}, benchLines("+1415%07d", "\n")},
		{"csv", Options{Format: CSV, Column: "2"}, benchLines("name,+1415%07d,note", "\n")},
		{"csv-quoted", Options{Format: CSV, Column: "2"}, benchLines("name,+1415%07d,\"a note\"", "\n")},
		{"csv-quoted-all", Options{Format: CSV, Column: "2"}, benchLines("\"name\",\"+1415%07d\",\"a note\"", "\n")},
		{"csv-escaped", Options{Format: CSV, Column: "2"}, benchLines("\"name\",\"+1415%07d\",\"a \"\"note\"\"\"", "\n")},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(int64(len(tt.data)))
			b.ReportAllocs()
			f, err := tt.opts.Format.lookup()
			if err != nil {
				b.Fatal(err)
			}
			batch := make([]phone.Number, 4096)
			total := 0
			for b.Loop() {
				c := content{lines: newLines(bytes.NewReader(tt.data)), opts: tt.opts, areas: new(areas), account: new(Totals)}
				c.reject = func(line int64, reason string, _ []byte) { b.Fatalf("line %d: %s", line, reason) }
				d, err := f.open(c)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					var n int
					n, err = d.next(batch)
					total += n
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
			perNumber(b, total)
		})
	}
}

// BenchmarkReader measures whole files: read, unpacked, hashed and parsed.
func BenchmarkReader(b *testing.B) {
	text := benchLines("415,%07d", "\r\n")
	tests := []struct {
		name string
		path string
	}{
		{"ftc", writeFile(b, "a.txt", text)},
		{"ftc-zip", writeFile(b, "a.zip", zipOf(b, member{"a.txt", string(text)}))},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			batch := make([]phone.Number, 4096)
			total := 0
			for b.Loop() {
				r, err := Open([]string{tt.path}, Options{Format: FTC})
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					var n int
					n, err = r.Next(batch)
					total += n
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				r.Close()
			}
			perNumber(b, total)
		})
	}
}
