package registry

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

func encode(t testing.TB, e encoding.Encoding, text string) string {
	t.Helper()
	out, err := e.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// One table in every encoding gives the same numbers and the same rejects.
func TestEncodings(t *testing.T) {
	const text = "nom;téléphone\r\nÉloïse €;+33\u00a01\u00a099\u00a000\u00a012\u00a034\r\nÇa;non–numéro\r\nZoé;+33199001235\r\n"
	utf16le := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	utf16be := unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	tests := map[string]string{
		"UTF-8":                 text,
		"UTF-8 with BOM":        "\ufeff" + text,
		"Windows-1252":          encode(t, charmap.Windows1252, text),
		"UTF-16 little endian":  encode(t, utf16le, text),
		"UTF-16 big endian":     encode(t, utf16be, text),
		"UTF-16 LE, no mark":    encode(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), text),
		"UTF-16 BE, no mark":    encode(t, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), text),
		"decomposed":            strings.ReplaceAll(text, "é", "e\u0301"),
		"Windows-1252 after it": "nom;téléphone\r\n" + encode(t, charmap.Windows1252, strings.TrimPrefix(text, "nom;téléphone\r\n")),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			got := loadText(t, Options{Format: CSV}, data)
			if got.err != nil {
				t.Fatal(got.err)
			}
			if want := []uint64{33199001234, 33199001235}; !slices.Equal(got.numbers, want) {
				t.Errorf("got %d numbers, want %d", len(got.numbers), len(want))
			}
			if name == "decomposed" {
				return
			}
			want := []Reject{{File: "list.txt", Line: 3, Reason: reasonLetters, Text: "Ça;non–numéro"}}
			if diff := cmp.Diff(want, got.rejects); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUTF16Damaged(t *testing.T) {
	text := encode(t, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "+14155550100\n+14155550101")
	tests := []struct {
		name, data string
		numbers    int
		reasons    map[int64]string
	}{
		{"whole", text, 2, map[int64]string{}},
		{"half a character more", text + "2", 1, map[int64]string{2: ReasonCut}},
		{"half a character less", text[:len(text)-1], 1, map[int64]string{2: ReasonCut}},
		{"half a surrogate", strings.Replace(text, "4\x001\x005\x00", "4\x001\xd85\x00", 1), 1, map[int64]string{1: ReasonSyntax}},
		{"only the mark", "\xff\xfe", 0, map[int64]string{}},
	}
	for _, tt := range tests {
		got := loadText(t, Options{Format: Plain}, tt.data)
		if got.err != nil || len(got.numbers) != tt.numbers {
			t.Errorf("%s: got %d numbers, %v", tt.name, len(got.numbers), got.err)
		}
		if diff := cmp.Diff(tt.reasons, reasonsAt(got.rejects)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// Bytes with zeros among them that are not UTF-16 are not read as if they were.
func TestZerosAreNotUTF16(t *testing.T) {
	for name, data := range map[string]string{
		"UTF-32 without a mark": "1\x00\x00\x002\x00\x00\x00",
		"both orders":           "1\x00\x002",
		"a zero in a text":      "name\x00,phone and more\n",
		"a zero at the end":     "12\x00",
		"binary":                "\x00\x01\x02\x03\x00\x00",
	} {
		l := newLines(strings.NewReader(data))
		if err := l.start(); err != nil {
			t.Fatal(err)
		}
		if got := l.window(); string(got) != data {
			t.Errorf("%s: read as %q", name, got)
		}
	}
	l := newLines(strings.NewReader("\x04\x31\x000\x00\r\x00\n"))
	if err := l.start(); err != nil {
		t.Fatal(err)
	}
	if line, err := l.next(); string(line) != "б0" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
}

// The end of the source, seen before the mark was, is not lost.
func TestUTF16SourceError(t *testing.T) {
	text := []byte(encode(t, unicode.UTF16(unicode.BigEndian, unicode.UseBOM), "a"))
	l := newLines(iotest.DataErrReader(bytes.NewReader(text)))
	if err := l.start(); err != nil {
		t.Fatal(err)
	}
	if line, err := l.next(); string(line) != "a" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
}
