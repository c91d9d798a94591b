package registry

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func gzipOf(t testing.TB, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write([]byte(text))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zstdOf(t testing.TB, text string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll([]byte(text), nil)
}

func TestCompressed(t *testing.T) {
	text := manyLines()
	half := len(text) / 24 * 12
	zg, zz := gzipOf(t, text), zstdOf(t, text)
	tests := []struct {
		name string
		data []byte
	}{
		{"a.txt.gz", zg},
		{"several.gz", append(gzipOf(t, text[:half]), gzipOf(t, text[half:])...)},
		{"a.txt.zst", zz},
		{"several.zst", append(zstdOf(t, text[:half]), zstdOf(t, text[half:])...)},
		{"no telling name", zg},
		{"member.zip", zipOf(t, member{"a.txt.gz", string(zg)})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := load(t, Options{Format: FTC}, writeFile(t, tt.name, tt.data))
			if got.err != nil || len(got.numbers) != 60_000 || len(got.rejects) > 0 {
				t.Fatalf("got %d numbers, %d rejects, %v", len(got.numbers), len(got.rejects), got.err)
			}
			if s := got.reader.Sources()[0]; s.SHA256 != sha256.Sum256([]byte(text)) || s.Size != int64(len(text)) {
				t.Error("size or hash is not that of the content")
			}
			if read, total := got.reader.BytesRead(), got.reader.TotalBytes(); read != total {
				t.Errorf("read %d bytes of %d", read, total)
			}
		})
	}
}

func TestCompressedDamaged(t *testing.T) {
	zg, zz := gzipOf(t, manyLines()), zstdOf(t, manyLines())
	flipped := func(data []byte, at int) []byte {
		data = bytes.Clone(data)
		data[at] ^= 4
		return data
	}
	tests := []struct {
		name string
		data []byte
	}{
		{"gzip cut in the middle", zg[:len(zg)/2]},
		{"gzip cut at the end", zg[:len(zg)-1]},
		{"gzip cut in the header", zg[:5]},
		{"gzip with a wrong bit", flipped(zg, len(zg)/2)},
		{"gzip with a wrong checksum", flipped(zg, len(zg)-8)},
		{"gzip with something behind", append(bytes.Clone(zg), "415,5550100\n"...)},
		{"zstd cut in the middle", zz[:len(zz)/2]},
		{"zstd cut at the end", zz[:len(zz)-1]},
		{"zstd cut in the header", zz[:5]},
		{"zstd with a wrong bit", flipped(zz, len(zz)/2)},
		{"zstd with something behind", append(bytes.Clone(zz), "415,5550100\n"...)},
		{"nothing", nil},
		{"not gzip", []byte("415,5550100\n")},
		{"gzip in gzip", gzipOf(t, string(zg))},
	}
	for _, tt := range tests {
		got := load(t, Options{Format: FTC}, writeFile(t, "a.gz", tt.data))
		if got.err == nil {
			t.Errorf("%s: read without an error: %d numbers", tt.name, len(got.numbers))
		}
	}
}

func TestSpreadsheet(t *testing.T) {
	data := zipOf(t, member{"[Content_Types].xml", "<Types/>"}, member{"xl/workbook.xml", "<workbook/>"})
	if got := load(t, Options{Format: CSV}, writeFile(t, "leads.xlsx", data)); got.err == nil {
		t.Error("a spreadsheet is read")
	}
}
