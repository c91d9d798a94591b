package ascending

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
)

var runs = map[string][]uint64{
	"none":       {},
	"zero":       {0},
	"one":        {14155550100},
	"equal":      {7, 7, 7},
	"dense":      {127, 128, 255, 256, 383, 384, 512, 639}, // steps about the end of a byte
	"the widest": {0, math.MaxUint64 - 1, math.MaxUint64},
}

func TestRoundTrip(t *testing.T) {
	for name, want := range runs {
		run := Append(nil, 0, want...)
		if got, err := Decode(nil, run); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v (%v), want %v", name, got, err, want)
		}
		if got, rest, err := DecodeSome(nil, append(run, 9), uint64(len(want))); err != nil || !slices.Equal(got, want) || !bytes.Equal(rest, []byte{9}) {
			t.Errorf("%s: the first %d: got %v and %v behind them (%v), want %v and 9", name, len(want), got, rest, err, want)
		}
		if got, err := read(bytes.NewReader(run)); !errors.Is(err, io.EOF) || !slices.Equal(got, want) {
			t.Errorf("%s: read %v (%v), want %v to its end", name, got, err, want)
		}
	}
}

// TestVectors holds the bytes: files and clients in other languages have them.
func TestVectors(t *testing.T) {
	got := Append(nil, 0, uint64(300), 300, 301, 1_000_000)
	if want := []byte{0xac, 0x02, 0x00, 0x01, 0x93, 0x82, 0x3d}; !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

// A run may be added to in parts.
func TestAppendGoesOn(t *testing.T) {
	run := Append(nil, 0, uint64(5), 9)
	run = Append(run, 9, uint64(9), 300)
	if got, err := Decode(nil, run); err != nil || !slices.Equal(got, []uint64{5, 9, 9, 300}) {
		t.Errorf("got %v (%v), want 5, 9, 9, 300", got, err)
	}
}

func TestCorrupt(t *testing.T) {
	beyond := binary.AppendUvarint(binary.AppendUvarint(nil, 2), math.MaxUint64)
	for name, tt := range map[string]struct {
		run     []byte
		reading error
	}{
		"cut":                                   {[]byte{5, 0x80}, io.ErrUnexpectedEOF},
		"as long as the longest, and not ended": {bytes.Repeat([]byte{0xff}, 10), ErrCorrupt},
		"longer than 64 bits":                   {bytes.Repeat([]byte{0xff}, 11), ErrCorrupt},
		"a sum beyond 64 bits":                  {beyond, ErrCorrupt},
	} {
		if _, err := Decode(nil, tt.run); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
		if _, _, err := DecodeSome(nil, tt.run, 2); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: the first two: got %v, want ErrCorrupt", name, err)
		}
		if _, err := read(bytes.NewReader(tt.run)); !errors.Is(err, tt.reading) || errors.Is(err, io.EOF) {
			t.Errorf("%s: read until %v, want %v", name, err, tt.reading)
		}
	}
	if _, _, err := DecodeSome(nil, []byte{1, 2}, 3); !errors.Is(err, ErrCorrupt) {
		t.Errorf("three of two numbers: got %v, want ErrCorrupt", err)
	}
}

func TestHash(t *testing.T) {
	numbers := many(10_000)
	h := NewHash[uint64]()
	for part := range slices.Chunk(numbers, 999) {
		h.Add(part)
		h.Add(nil)
	}
	want := sha256.Sum256(Append(nil, 0, numbers...))
	if got := h.Sum(); !bytes.Equal(got, want[:]) || h.Count() != 10_000 {
		t.Errorf("got %x of %d numbers, want %x of 10,000", got, h.Count(), want)
	}
}

// A number may lie across two readings, and reading may fail between any two.
func TestReaderOverSmallReads(t *testing.T) {
	want := many(200_000)
	run := Append(nil, 0, want...)
	if got, err := read(iotest.OneByteReader(bytes.NewReader(run))); !errors.Is(err, io.EOF) || !slices.Equal(got, want) {
		t.Errorf("got %d numbers until %v, want %d to the end", len(got), err, len(want))
	}
	broke := errors.New("broken disk")
	got, err := read(io.MultiReader(bytes.NewReader(run[:len(run)/2]), iotest.ErrReader(broke)))
	if !errors.Is(err, broke) || len(got) == 0 || !slices.Equal(got, want[:len(got)]) {
		t.Errorf("got %d numbers until %v, want some until %v", len(got), err, broke)
	}
}

func many(count int) []uint64 {
	r := rand.New(rand.NewPCG(1, 2))
	numbers := make([]uint64, count)
	for i := range numbers {
		numbers[i] = r.Uint64N(1e15)
	}
	slices.Sort(numbers)
	return numbers
}

func read(from io.Reader) (numbers []uint64, err error) {
	for r := NewReader(from); ; {
		n, err := r.Next()
		if err != nil {
			return numbers, err
		}
		numbers = append(numbers, n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 2, 3})
	f.Add([]byte{0x80})
	f.Add(binary.AppendUvarint([]byte{1}, math.MaxUint64))
	f.Fuzz(func(t *testing.T, run []byte) {
		numbers, err := Decode(nil, run)
		if err == nil && !slices.IsSorted(numbers) {
			t.Errorf("decoded to %v, which does not ascend", numbers)
		}
		got, end := read(bytes.NewReader(run))
		if (err == nil) != errors.Is(end, io.EOF) || !slices.Equal(got, numbers) {
			t.Errorf("decoded %v (%v), read %v (%v)", numbers, err, got, end)
		}
	})
}
