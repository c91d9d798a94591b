package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// numbersFrom are count numbers of fiction from 555-0100 on.
func numbersFrom(area, first, count uint64) []uint64 {
	var list []uint64
	for i := range count {
		list = append(list, 1e10+area*1e7+5550000+first+i)
	}
	return list
}

func TestXMLSamples(t *testing.T) {
	const dir = "../../testdata/ftc-xml/2026-9-9_"
	tests := []struct {
		path     string
		want     []uint64
		coverage []string
	}{
		{dir + "415_7e2d4b10-93ac-4f0d-8b1e-5c6d7e8f9a0b.xml", numbersFrom(415, 100, 50), []string{"1415"}},
		{dir + "1c9e0a52-77d1-4a3b-9f6c-0b1a2c3d4e5f.xml", append(numbersFrom(212, 100, 25), numbersFrom(718, 125, 25)...), []string{"1212", "1718"}},
	}
	for _, tt := range tests {
		for _, format := range []Format{FTCXML, LNNTE} {
			got := load(t, Options{Format: format}, tt.path)
			if got.err != nil || len(got.rejects) > 0 {
				t.Fatalf("%s: error %v, rejects %v", tt.path, got.err, got.rejects)
			}
			if !slices.Equal(got.numbers, tt.want) {
				t.Errorf("%s: got %d numbers, want %d", tt.path, len(got.numbers), len(tt.want))
			}
			if diff := cmp.Diff(tt.coverage, got.reader.Coverage()); diff != "" {
				t.Errorf("%s: coverage: %s", tt.path, diff)
			}
		}
	}
}

func TestLNNTESamples(t *testing.T) {
	const dir = "../../testdata/lnnte/"
	got := load(t, Options{Format: LNNTE}, dir+"416.txt", dir+"2026-9-9_lnnte.zip")
	if got.err != nil || len(got.rejects) > 0 {
		t.Fatalf("error %v, rejects %v", got.err, got.rejects)
	}
	want := slices.Concat(numbersFrom(416, 100, 50), numbersFrom(416, 100, 20), numbersFrom(514, 100, 20))
	if !slices.Equal(got.numbers, want) {
		t.Errorf("got %d numbers, want %d", len(got.numbers), len(want))
	}
	if diff := cmp.Diff([]string{"1416", "1514"}, got.reader.Coverage()); diff != "" {
		t.Error(diff)
	}
}

func TestXML(t *testing.T) {
	const a, b = 14155550100, 14155550101
	tests := []struct {
		name, text string
		want       []uint64
		reasons    map[int64]string
	}{
		{"printed", "<list type='full' level='ac' val='415'>\n<ac val='415'>\n<ph val='5550100' />\n</ac>\n</list>\n", []uint64{a}, nil},
		{"one line", `<list><ac val="415"><ph val="5550100"/><ph val="5550101"/></ac></list>`, []uint64{a, b}, nil},
		{"no quotes", `<list><ac val=415><ph val=5550100 /><ph val=5550101></ac></list>`, []uint64{a, b}, nil},
		{"upper case", `<LIST TYPE='FULL'><AC VAL='415'><PH VAL='5550100' /></AC></LIST>`, []uint64{a}, nil},
		{"spaces", "< list >\n<ac  val = '415' >\n< ph\n\tval\n=\n' 5550100 '\n/ >\n</ ac>\n</list >", []uint64{a}, nil},
		{"closed elements", `<list><ac val='415'><ph val='5550100'></ph><ph val='5550101'></ph></ac></list>`, []uint64{a, b}, nil},
		{"no end of ac", `<list><ac val='415'><ph val='5550100'/><ac val='212'><ph val='5550101'/></list>`, []uint64{a, 12125550101}, nil},
		{"no > of ph", "<list><ac val='415'><ph val='5550100'\n<ph val='5550101' /</ac></list>", []uint64{a, b}, nil},
		{"no second quote", `<list><ac val='415'><ph val='5550100 /><ph val="5550101></ac></list>`, []uint64{a, b}, nil},
		{"declarations", "\ufeff<?xml version='1.0'?>\n<!DOCTYPE list [ <!ELEMENT list (ac)> ]>\n<!-- <ph val='5550199'/> -->\n<list><ac val='415'><!----><ph val='5550100'/></ac></list>", []uint64{a}, nil},
		{"other elements before", "<registry><made>today</made><list><ac val='415'><ph val='5550100'/></ac></list></registry>", []uint64{a}, nil},
		{"ac alone", "<ac val='415'><ph val='5550100'/></ac><ac val='212'><ph val='5550100'/></ac>", []uint64{a, 12125550100}, nil},
		{"empty list", "<list type='full' />", nil, nil},
		{"six digits", "<list><ac val='415'>\n<ph val='555010' />\n<ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{2: ReasonXMLNumber}},
		{"ten digits", "<list><ac val='415'>\n<ph val='4155550100' />\n<ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{2: ReasonXMLNumber}},
		{"a letter", "<list><ac val='415'>\n<ph val='555O100' />\n<ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{2: ReasonXMLNumber}},
		{"other quotes", "<list><ac val='415'>\n<ph val='5550100\" />\n<ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{2: ReasonXMLNumber}},
		{"as text", "<list><ac val='415'>\n<ph>5550199</ph>\n<ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{2: ReasonXMLNumber}},
		{"no <", "<list><ac val='415'>\n\n ph val='5550199' />\n<ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{3: ReasonXMLOther}},
		{"a deletion", "<list><ac val='415'>\n<ph val='5550199' action='D' />\n<ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{2: ReasonXMLNumber}},
		{"another element", "<list><ac val='415'>\n<phone val='5550199' />\n<ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{2: ReasonXMLOther}},
		{"before ac", "<list>\n<ph val='5550199' />\n<ac val='415'><ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{2: ReasonXMLArea}},
		{"after ac", "<list><ac val='415'><ph val='5550100' /></ac>\n<ph val='5550199' /></list>", []uint64{a}, map[int64]string{2: ReasonXMLArea}},
		{"after list", "<list><ac val='415'><ph val='5550100' /></list>\n<ph val='5550199' />", []uint64{a}, map[int64]string{2: ReasonXMLArea}},
		{"bad ac", "<list><ac val='415'><ph val='5550100' />\n<ac val='41'>\n<ph val='5550199' /></list>", []uint64{a}, map[int64]string{3: ReasonXMLArea}},
		{"no such ac", "<list><ac val='000'>\n<ph val='5550199' /></list>", nil, map[int64]string{2: ReasonXMLArea}},
		{"long text", "<list><ac val='415'>" + strings.Repeat("\n", maxLine) + strings.Repeat("x", 3*maxLine) + "\n<ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{maxLine + 1: ReasonXMLOther}},
		{"long tag", "<list><ac val='415'><ph " + strings.Repeat("x", 5*maxLine) + ">\n<ph val='5550100' /></ac></list>", []uint64{a}, map[int64]string{1: ReasonTooLong}},
		{"long comment", "<list><ac val='415'><!--" + strings.Repeat("x\n", 3*maxLine) + "-->\n<ph val='5550100' /></ac></list>", []uint64{a}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := loadText(t, Options{Format: FTCXML}, tt.text)
			if got.err != nil {
				t.Fatal(got.err)
			}
			if !slices.Equal(got.numbers, tt.want) {
				t.Errorf("got %v, want %v", got.numbers, tt.want)
			}
			if tt.reasons == nil {
				tt.reasons = map[int64]string{}
			}
			if diff := cmp.Diff(tt.reasons, reasonsAt(got.rejects)); diff != "" || len(got.rejects) != len(tt.reasons) {
				t.Errorf("%d rejects: %s", len(got.rejects), diff)
			}
		})
	}
}

// An XML that ends before its end is refused, wherever it was cut.
func TestXMLEveryCut(t *testing.T) {
	const text = "<!-- x --><list type='full'>\n<ac val='415'>\n<ph val='5550100' />\n<ph val='5550101' />\n</ac>\n</list>"
	for n := range len(text) {
		got := loadText(t, Options{Format: FTCXML}, text[:n])
		if !errors.Is(got.err, errXMLCut) && !errors.Is(got.err, errNoXML) {
			t.Errorf("cut at %d: got %v", n, got.err)
		}
	}
}

func TestXMLRefused(t *testing.T) {
	tests := map[string]string{
		"nothing":      "",
		"text":         "415,5550100\n",
		"long text":    strings.Repeat("415,5550100\n", 20_000),
		"change list":  "<list type='change'><ac val='415'><ph val='5550100'/></ac></list>",
		"open comment": "<list><ac val='415'><ph val='5550100'/></ac></list><!-- ",
	}
	for name, text := range tests {
		if got := loadText(t, Options{Format: FTCXML}, text); got.err == nil {
			t.Errorf("%s: read without an error: %d numbers", name, len(got.numbers))
		}
	}
}

// Regular elements on the border of the buffer are read like any other.
func TestXMLLarge(t *testing.T) {
	var b strings.Builder
	b.WriteString("<list><ac val='415'>\n")
	for i := range 60_000 {
		fmt.Fprintf(&b, "<ph val='%07d' />%s\n", 2_000_000+i, strings.Repeat(" ", i%7))
	}
	b.WriteString("<ph val='x' /></ac></list>")
	got := loadText(t, Options{Format: FTCXML}, b.String())
	if got.err != nil || len(got.numbers) != 60_000 {
		t.Fatalf("got %d numbers, %v", len(got.numbers), got.err)
	}
	for i, n := range got.numbers {
		if n != 14152000000+uint64(i) {
			t.Fatalf("number %d is another one", i)
		}
	}
	if diff := cmp.Diff(map[int64]string{60_002: ReasonXMLNumber}, reasonsAt(got.rejects)); diff != "" {
		t.Error(diff)
	}
}
