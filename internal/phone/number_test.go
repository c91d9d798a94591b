package phone_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strconv"
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
		{in: "\u202a+14155550123\u202c", want: 14155550123},
		{in: "\ufeff\u200b\u00a0+1 415 555 0123\u2003\u2069\u200f", want: 14155550123},
		{in: "+1\u3000415\u205f555\u20010123", want: 14155550123},
		{in: `="+14155550123"`, want: 14155550123},
		{in: `"+14155550123"`, want: 14155550123},
		{in: "'+14155550123", want: 14155550123},
		{in: "' \u200e+14155550123'", want: 14155550123},
		{in: "whatsapp:+14155550123", want: 14155550123},
		{in: "WhatsApp: \u202a+14155550123\u202c", want: 14155550123},
		{in: "sip:+14155550123", want: 14155550123},
		{in: "sip:+14155550123@example.com:5060;transport=tcp", want: 14155550123},
		{in: "sips:+1-415-555-0123;npdi;user=phone@[2001:db8::1]", want: 14155550123},
		{in: "sip:+14155550123:secret@example.com", want: 14155550123},
		{in: "tel:+14155550123;isub=1", want: 14155550123},
		{in: "+14155550123.0", want: 14155550123},
		{in: `="+4930123456.0"`, want: 4930123456},
		{in: "+2902158.0", want: 2902158},

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
		{in: "+1415555\xff0123", err: phone.ErrSyntax},
		{in: "+1415\n5550123", err: phone.ErrSyntax},
		{in: "+1 415 555 0123 ext. 12", err: phone.ErrExtension},
		{in: "+14155550123x9", err: phone.ErrExtension},
		{in: "tel:+14155550123;ext=9", err: phone.ErrExtension},
		{in: "3.36123E+10", err: phone.ErrSpreadsheet},
		{in: "3,36123e10", err: phone.ErrSpreadsheet},
		{in: "14155550123.0", err: phone.ErrNoPlus},
		{in: "14155550123.00", err: phone.ErrSpreadsheet},
		{in: "+4930123456,0", err: phone.ErrSpreadsheet},
		{in: "-4930123456.0", err: phone.ErrSpreadsheet},
		{in: "+49 30 123456.0", err: phone.ErrSpreadsheet},
		{in: "+2902158.00", err: phone.ErrSpreadsheet},
		{in: "+1415555012:", err: phone.ErrSyntax},
		{in: "+1415555:123", err: phone.ErrSyntax},
		{in: "+1 415 555:123", err: phone.ErrSyntax},
		{in: "=+14155550123", err: phone.ErrSyntax},
		{in: "+1415\u200e5550123", err: phone.ErrSyntax},
		{in: "tel:+14155550123;phone-context=example.com", err: phone.ErrSyntax},
		{in: "tel:5550123;phone-context=+1415", err: phone.ErrSyntax},
		{in: "sip:+14155550123;ext=9@example.com", err: phone.ErrExtension},
		{in: "sip:alice@example.com", err: phone.ErrSyntax},
		{in: "mailto:+14155550123", err: phone.ErrSyntax},
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
		{in: "+49 (0)30 123456", want: 4930123456},
		{in: "+49 (0)(0)30 123456", err: phone.ErrTrunk},
		{in: "+39 (0)6 1234 5678", want: 390612345678},
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

// One number can be written in several ways, and is one number.
func TestOneNumber(t *testing.T) {
	tests := []struct {
		want phone.Number
		in   string
	}{
		{262692123456, "+33692123456 +262692123456 +590692123456"},
		{262693123456, "+33693123456"},
		{262639123456, "+33639123456"},
		{262262161234, "+33262161234"},
		{262263161234, "+33263161234"},
		{262269601234, "+33269601234"},
		{590590201234, "+33590201234 +596590201234"},
		{590690001234, "+33690001234"},
		{590691221234, "+33691221234"},
		{594594101234, "+33594101234"},
		{594694201234, "+33694201234"},
		{596596601234, "+33596601234"},
		{596696201234, "+33696201234"},
		{596697201234, "+33697201234"},
		{508410013, "+33508410013 +590508410013 +508410013 +508508410013"},
		{508708401234, "+33708401234 +508708401234"},
		{590709001234, "+33709001234"},
		{262709361234, "+33709361234 +262709361234"},
		{594709311234, "+33709311234"},
		{262976301234, "+33976301234"},
		{33199001234, "+262199001234 +508199001234"},
		{33612345678, "+594612345678"},
		{33800123456, "+262800123456"},
		{525555000123, "+5215555000123 +525555000123 tel:+52-1-55-5500-0123"},
		{390612345678, "+390612345678"},
		{393471234567, "+393471234567"},
		{39335123456, "+39335123456"},
	}
	for _, tt := range tests {
		for in := range strings.FieldsSeq(tt.in) {
			if got, err := phone.Parse(in); got != tt.want {
				t.Errorf("Parse(%s) = %s, %v, want %s", in, got.E164(), err, tt.want.E164())
			}
			u, err := strconv.ParseUint(in[1:], 10, 64)
			if err != nil {
				continue
			}
			if got, err := phone.FromDigits(u); got != tt.want {
				t.Errorf("FromDigits(%d) = %s, %v, want %s", u, got.E164(), err, tt.want.E164())
			}
			var c phone.Checker
			if got, err := c.Check(u); got != tt.want {
				t.Errorf("Check(%d) = %s, %v, want %s", u, got.E164(), err, tt.want.E164())
			}
		}
	}
}

// What a number was kept as before is another way to write it.
func TestFormer(t *testing.T) {
	for n, want := range map[phone.Number]int{
		14155550123: 0, 19999999999: 0, 33199001234: 0, 447700900123: 0, 262692123456: 1, 590690001234: 1, 594694201234: 1,
		596696201234: 1, 508410013: 2, 508708401234: 1, 33800123456: 5,
	} {
		former := n.Former()
		for _, f := range former {
			if again, err := phone.FromDigits(uint64(f)); again != n || f == n {
				t.Errorf("%s was %s, which is read as %s, %v", n.E164(), f.E164(), again.E164(), err)
			}
		}
		if len(former) != want {
			t.Errorf("%s was %d others, want %d", n.E164(), len(former), want)
		}
	}
}

// A landline of Italy keeps its zero behind +39: without it the digits are none, or another's.
func TestItalianZero(t *testing.T) {
	for _, s := range []string{"+39612345678", "+39 6 1234 5678", "+39212345678", "+39301234567", "+3935123456", "+39811234567", "+39700123456", "+395512345"} {
		if n, err := phone.Parse(s); !errors.Is(err, phone.ErrNoSuchNumber) || n != 0 {
			t.Errorf("Parse(%s) = %s, %v, want ErrNoSuchNumber", s, n.E164(), err)
		}
	}
}

// Two numbers in one text are none, whatever divides them.
func TestSeveral(t *testing.T) {
	several := []string{
		"+49 30 1234570/71", "+49 30 1234567/1234568", "+49 (0)30 1234567 / 68", "+4930/1234567/68", "+49 6321/1234/35",
		"+14155550100/01", "030 1234567/030 1234568", "4155550100/4155550101",
		"+14155550100 ::: +14155550101", "4155550100 ::: 4155550101", "+14155550100, +14155550101", "4155550100,4155550101",
		"+14155550100;+14155550101", "tel:+14155550100;tel:+14155550101", "+14155550100 | 4155550101", "+14155550100\n+14155550101",
		"+14155550100 or +14155550101", "+49 30 1234567 oder 68", "030 1234567 or 68", "01 99 00 12 34 ou 01 99 00 12 35",
		"+14155550100 & 01", "+14155550100 +14155550101", "415-555-0100 (home) 415-555-0101 (cell)",
		"whatsapp:+14155550100,whatsapp:+14155550101", "sip:+14155550100@example.com,sip:+14155550101@example.com",
	}
	for _, s := range several {
		if n, err := phone.Parse(s); !errors.Is(err, phone.ErrSeveral) || n != 0 {
			t.Errorf("Parse(%q) = %s, %v, want ErrSeveral", s, n.E164(), err)
		}
	}
	for s, want := range map[string]phone.Number{
		"+49/30/1234567": 49301234567, "+49 30/1234567": 49301234567, "+49 6321/12345": 49632112345, "+49 33056/12345": 493305612345,
		"+33/1/99/00/12/34": 33199001234, "+32 475/12.34.56": 32475123456, "+49 30 1234567/": 49301234567, "+39 06/12345678": 390612345678,
	} {
		if n, err := phone.Parse(s); n != want {
			t.Errorf("Parse(%q) = %s, %v, want %s", s, n.E164(), err, want.E164())
		}
	}
}

// The reason is the first words of the error, and has no digit.
func TestReason(t *testing.T) {
	tests := map[string]string{
		"": "no number", "4155550100": "national number without a region", "nobody": "contains letters", "=4155550100": "not a phone number",
		"+١٤١٥٥٥٥٠١٢٣": "contains digits that are not ASCII", "+1415\u200e5550123": "contains an invisible character",
		"+1415555012": "wrong length for its country", "+999123456789": "unknown calling code", "+49030123456": "trunk prefix after the calling code",
		"3.36E+10": "damaged by a spreadsheet", "+14155550123x9": "has an extension", "+14155550100/01": "holds two numbers",
		"+39612345678": "no such number in its region",
	}
	for in, want := range tests {
		_, err := phone.Parse(in)
		if got := phone.Reason(err); got != want || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("Parse(%q): reason %q, want %q, of %v", in, got, want, err)
		}
	}
	if got := phone.Reason(errors.New("x")); got != "not a phone number" {
		t.Errorf("got %q", got)
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
		if err != nil && got != 0 {
			t.Errorf("FromDigits(%d): an error comes with %s", tt.in, got.E164())
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
