package registry

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestZipMembers(t *testing.T) {
	path := writeFile(t, "2026-9-9_us.zip", zipOf(t,
		member{"lists/", ""},
		member{"lists/2026-9-9_415_a.txt", "415,5550100\nbad\n"},
		member{"lists/2026-9-8_212_b.txt", "212,5550101\n"},
		member{"__MACOSX/lists/._a.txt", "junk"},
		member{".DS_Store", "junk"},
	))
	got := load(t, Options{Format: FTC}, path)
	if got.err != nil {
		t.Fatal(got.err)
	}
	if want := []uint64{14155550100, 12125550101}; !slices.Equal(got.numbers, want) {
		t.Errorf("got %v, want %v", got.numbers, want)
	}
	want := []Reject{{File: "2026-9-9_us.zip/2026-9-9_415_a.txt", Line: 2, Reason: ReasonNotFTC, Text: "bad"}}
	if diff := cmp.Diff(want, got.rejects); diff != "" {
		t.Error(diff)
	}
	if date, ok := got.reader.SnapshotDate(); date != "2026-09-08" || !ok {
		t.Errorf("snapshot date %q, %v", date, ok)
	}
}

// manyLines is text that deflates to more than a few reads.
func manyLines() string {
	var b strings.Builder
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 60_000 {
		fmt.Fprintf(&b, "415,%07d\n", 2_000_000+rnd.IntN(8_000_000))
	}
	return b.String()
}

func TestZipDamaged(t *testing.T) {
	good := zipOf(t, member{"a.txt", manyLines()})
	r, err := zip.NewReader(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	crc := r.File[0].CRC32
	badCRC := bytes.ReplaceAll(good, le32(crc), le32(crc^1))
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 4
	shorter := bytes.ReplaceAll(good, le32(uint32(r.File[0].UncompressedSize64)), le32(uint32(r.File[0].UncompressedSize64)-13))
	tests := []struct {
		name string
		data []byte
	}{
		{"wrong CRC", badCRC},
		{"a bit of the data", flipped},
		{"other size", shorter},
		{"cut in the middle", good[:len(good)/2]},
		{"cut at the end", good[:len(good)-1]},
		{"not a zip", []byte("415,5550100\n")},
		{"nothing", nil},
		{"no member", zipOf(t)},
		{"zip in a zip", zipOf(t, member{"b.zip", string(zipOf(t, member{"a.txt", "415,5550100\n"}))})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := load(t, Options{Format: FTC}, writeFile(t, "a.zip", tt.data))
			if got.err == nil {
				t.Errorf("read without an error: %d numbers", len(got.numbers))
			}
		})
	}
	if got := load(t, Options{Format: FTC}, writeFile(t, "a.zip", good)); got.err != nil || len(got.numbers) != 60_000 {
		t.Errorf("the undamaged zip: %d numbers, %v", len(got.numbers), got.err)
	}
}

func TestZipEncrypted(t *testing.T) {
	data := zipOf(t, member{"a.txt", "415,5550100\n"})
	directory := bytes.LastIndex(data, []byte("PK\x01\x02"))
	data[directory+8] |= 1
	got := load(t, Options{Format: FTC}, writeFile(t, "a.zip", data))
	if got.err == nil || !strings.Contains(got.err.Error(), "encrypted") {
		t.Errorf("got %v", got.err)
	}
}

func TestZipOverlapping(t *testing.T) {
	data := zipOf(t, member{"a.txt", "415,5550100\n"})
	directory := bytes.LastIndex(data, []byte("PK\x01\x02"))
	copy(data[directory+20:], le32(1<<20))
	got := load(t, Options{Format: FTC}, writeFile(t, "a.zip", data))
	if got.err == nil || !strings.Contains(got.err.Error(), "overlap") {
		t.Errorf("got %v", got.err)
	}
}

func le32(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }
