package phone_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/phone"
)

func TestParse(t *testing.T) {
	tests := []struct {
		in   string
		want phone.Number
		err  error
	}{
		{in: "+14155550123", want: 14155550123},
		{in: " +1 (415) 555-0123\n", want: 14155550123},
		{in: "+1.415.555.0123", want: 14155550123},
		{in: "+1/415/555/0123", want: 14155550123},
		{in: "[+1] 415 555 0123", want: 14155550123},
		{in: "(+1) 415 555 0123", want: 14155550123},
		{in: "tel:+1-415-555-0123", want: 14155550123},
		{in: "TEL:+14155550123", want: 14155550123},
		{in: "+33\u00a01\u202f99 00 12\u201334", want: 33199001234},
		{in: "+39 06 1234 5678", want: 390612345678},
		{in: "+1415555.0000", want: 14155550000},
		{in: "+13101234", want: 13101234},

		{in: "", err: phone.ErrEmpty},
		{in: " \t", err: phone.ErrEmpty},
		{in: "()", err: phone.ErrEmpty},
		{in: "+", err: phone.ErrLength},
		{in: "+1", err: phone.ErrLength},
		{in: "14155550123", err: phone.ErrNoPlus},
		{in: "0033199001234", err: phone.ErrNoPlus},
		{in: "01 99 00 12 34", err: phone.ErrNoPlus},
		{in: "tel:4155550123", err: phone.ErrNoPlus},
		{in: "++14155550123", err: phone.ErrSyntax},
		{in: "1+4155550123", err: phone.ErrSyntax},
		{in: "+1415555012a", err: phone.ErrSyntax},
		{in: "+1 800 FLOWERS", err: phone.ErrSyntax},
		{in: "hello", err: phone.ErrSyntax},
		{in: "+１４１５５５５０１２３", err: phone.ErrSyntax},
		{in: "＋14155550123", err: phone.ErrSyntax},
		{in: "+١٤١٥٥٥٥٠١٢٣", err: phone.ErrSyntax},
		{in: "\u202a+14155550123\u202c", err: phone.ErrSyntax},
		{in: "+1415555\xff0123", err: phone.ErrSyntax},
		{in: "+1415\n5550123", err: phone.ErrSyntax},
		{in: "+1 415 555 0123 ext. 12", err: phone.ErrExtension},
		{in: "+14155550123x9", err: phone.ErrExtension},
		{in: "tel:+14155550123;ext=9", err: phone.ErrExtension},
		{in: "3.36123E+10", err: phone.ErrSpreadsheet},
		{in: "3,36123e10", err: phone.ErrSpreadsheet},
		{in: "14155550123.0", err: phone.ErrSpreadsheet},
		{in: "+4930123456.0", err: phone.ErrSpreadsheet},
		{in: "+04155550123", err: phone.ErrCallingCode},
		{in: "+999123456789", err: phone.ErrCallingCode},
		{in: "+2101234567", err: phone.ErrCallingCode},
		{in: "+1415555012", err: phone.ErrLength},
		{in: "+15550123", err: phone.ErrLength},
		{in: "+141555501234", err: phone.ErrLength},
		{in: "+3319900123", err: phone.ErrLength},
		{in: "+1234567890123456", err: phone.ErrLength},
		{in: "+" + strings.Repeat("1", 400), err: phone.ErrLength},
		{in: "+49030123456", err: phone.ErrTrunk},
		{in: "+49 (0)30 123456", err: phone.ErrTrunk},
		{in: "+11415555012", err: phone.ErrTrunk},
		{in: "+81 090 1234 567", err: phone.ErrTrunk},
		{in: "+91 0 74104 10123", err: phone.ErrTrunk},
	}
	for _, tt := range tests {
		got, err := phone.Parse(tt.in)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Parse(%q) = %s, %v, want %s, %v", tt.in, got.E164(), err, tt.want.E164(), tt.err)
		}
	}
}

func TestFromDigits(t *testing.T) {
	tests := []struct {
		in  uint64
		err error
	}{
		{in: 14155550123},
		{in: 2902158},
		{in: 883510012345},
		{in: 0, err: phone.ErrEmpty},
		{in: 7, err: phone.ErrLength},
		{in: 4155550123, err: phone.ErrLength},
		{in: 999123456789, err: phone.ErrCallingCode},
		{in: 1_000_000_000_000_000, err: phone.ErrLength},
		{in: 1<<64 - 1, err: phone.ErrLength},
	}
	for _, tt := range tests {
		got, err := phone.FromDigits(tt.in)
		if !errors.Is(err, tt.err) {
			t.Errorf("FromDigits(%d): %v, want %v", tt.in, err, tt.err)
		}
		if err == nil && uint64(got) != tt.in {
			t.Errorf("FromDigits(%d) = %s", tt.in, got.E164())
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for _, in := range []string{"", "+1", "123", "+1a", "+１", "+1x2", "1E5", "+0", "+999123456", "+141555501234", "+490301234567"} {
		_, err := phone.Parse(in)
		if err == nil || !strings.Contains(err.Error(), ": ") {
			t.Errorf("Parse(%q): error %q gives no advice", in, err)
		}
	}
}

func TestNumberIsRedacted(t *testing.T) {
	n, err := phone.Parse("+14155550123")
	if err != nil {
		t.Fatal(err)
	}
	const want = "+1**********"
	if got := n.String(); got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%d", "%s", "%q", "%x", "%X", "%o", "%b", "%020d", "%U", "%c", "%T %[1]v", "%!"} {
		if got := fmt.Sprintf(verb, n); strings.Contains(got, "555") || strings.Contains(got, fmt.Sprintf("%x", uint64(n))) {
			t.Errorf("Sprintf(%q) = %q", verb, got)
		}
	}
	if got := fmt.Sprint([]phone.Number{n}, map[phone.Number]bool{n: true}, struct{ N phone.Number }{n}); strings.Contains(got, "555") {
		t.Errorf("Sprint of containers = %q", got)
	}
	if got := phone.Number(42).String(); got != "+?" {
		t.Errorf("String of no number = %q", got)
	}
}

func TestNumberIsNotLoggedNorEncoded(t *testing.T) {
	n, err := phone.Parse("+33199001234")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	slog.New(slog.NewTextHandler(&buf, nil)).Info("m", "n", n)
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("m", "n", n, "in", []phone.Number{n})
	if strings.Contains(buf.String(), "9900") || !strings.Contains(buf.String(), "+33*********") {
		t.Errorf("logged %s", &buf)
	}
	for _, v := range []any{n, []phone.Number{n}, map[phone.Number]int{n: 1}, struct{ N phone.Number }{n}} {
		if out, err := json.Marshal(v); err == nil {
			t.Errorf("json.Marshal gives %s, want an error", out)
		}
	}
}

func TestZeroNumber(t *testing.T) {
	var n phone.Number
	if got := n.E164(); got != "" {
		t.Errorf("E164() = %q, want none", got)
	}
	if got := n.Regions(); !got.Has(phone.World) || got.Len() < 240 {
		t.Errorf("Regions() = %v, want every region", got)
	}
	if n.CallingCode() != 0 || n.Digits() != 0 {
		t.Errorf("calling code %d, %d digits, want none", n.CallingCode(), n.Digits())
	}
}

func TestImportsStandardLibraryOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(string(out)), "github.com/dncd/dncd/internal/phone"; got != want {
		t.Errorf("packages outside the standard library:\n%s\nwant only\n%s", got, want)
	}
}
