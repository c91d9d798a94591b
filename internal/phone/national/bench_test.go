package national_test

import (
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/phone/national"
)

var sink phone.Number

func benchParse(b *testing.B, s, code string) {
	r := region(b, code)
	b.ReportAllocs()
	for b.Loop() {
		n, err := national.Parse(s, r)
		if err != nil {
			b.Fatal(err)
		}
		sink = n
	}
}

func BenchmarkParseE164(b *testing.B)            { benchParse(b, "+14155550123", "US") }
func BenchmarkParseNANP(b *testing.B)            { benchParse(b, "4155550123", "US") }
func BenchmarkParseNANPPunctuated(b *testing.B)  { benchParse(b, "(415) 555-0123", "US") }
func BenchmarkParseBritain(b *testing.B)         { benchParse(b, "07700900123", "GB") }
func BenchmarkParseBritainLostZero(b *testing.B) { benchParse(b, "7700900123", "GB") }
func BenchmarkParseAbroad(b *testing.B)          { benchParse(b, "0033199001234", "FR") }
func BenchmarkParseSlowItaly(b *testing.B)       { benchParse(b, "0612345678", "IT") }
func BenchmarkParseSlowOverseas(b *testing.B)    { benchParse(b, "0692123456", "FR") }
