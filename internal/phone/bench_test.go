package phone_test

import (
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

var (
	sinkNumber phone.Number
	sinkSet    phone.RegionSet
	sinkInt    int
	sinkBytes  []byte
)

func benchParse(b *testing.B, s string) {
	b.ReportAllocs()
	for b.Loop() {
		n, err := phone.Parse(s)
		if err != nil {
			b.Fatal(err)
		}
		sinkNumber = n
	}
}

func BenchmarkParsePlain(b *testing.B)       { benchParse(b, "+14155550123") }
func BenchmarkParsePunctuated(b *testing.B)  { benchParse(b, "+1 (415) 555-0123") }
func BenchmarkParsePlainFrance(b *testing.B) { benchParse(b, "+33199001234") }

func BenchmarkParseError(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := phone.Parse("+1415555012"); err == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkFromDigits(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		sinkNumber, _ = phone.FromDigits(14155550123)
	}
}

func BenchmarkAppendE164(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		sinkBytes = phone.Number(14155550123).AppendE164(sinkBytes[:0])
	}
}

func benchRegions(b *testing.B, s string) {
	n := mustParse(b, s)
	b.ReportAllocs()
	for b.Loop() {
		sinkSet = n.Regions()
	}
}

func BenchmarkRegionsUS(b *testing.B)     { benchRegions(b, "+14155550123") }
func BenchmarkRegionsFrance(b *testing.B) { benchRegions(b, "+33199001234") }
func BenchmarkRegionsJersey(b *testing.B) { benchRegions(b, "+447797123456") }

// The prefixes are as many as the area codes of +1 that a national list covers.
func BenchmarkPrefixSetIndex(b *testing.B) {
	var ps []phone.Prefix
	for p := range phone.Prefix(400) {
		ps = append(ps, 1200+2*p)
	}
	set := phone.NewPrefixSet(ps)
	b.ReportAllocs()
	n := phone.Number(12000000000)
	for b.Loop() {
		n += 10_007_919
		if n > 19999999999 {
			n -= 8e9 - 13
		}
		sinkInt += set.Index(n)
	}
}
