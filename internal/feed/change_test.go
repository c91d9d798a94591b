package feed

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
)

var (
	someTime = time.Date(2026, 11, 29, 21, 0, 0, 500_000_000, time.UTC)
	someHash = Hash{1, 2, 3, 31: 0xff}
	someSum  = someHash.String()
)

const number = phone.Number(14155550123)

var changes = []struct {
	line string
	want Change
}{
	{"7.0\tset\t+14155550123\tacme/telecom\t-\n", Change{ID: EventID{Revision: 7}, Kind: Set, Number: number, Scope: "acme/telecom"}},
	{"7.12\tset\t+14155550123\t\t2026-11-29T21:00:00.5Z\n", Change{ID: EventID{Revision: 7, Index: 12}, Kind: Set, Number: number, Until: someTime}},
	{"8.0\tremove\t+14155550123\tacme\n", Change{ID: EventID{Revision: 8}, Kind: Remove, Number: number, Scope: "acme"}},
	{"9.0\tlist\t3.0\tpartner\tacme\t1000000\t" + someSum + "\n",
		Change{ID: EventID{Revision: 9}, Kind: ListSet, List: EventID{Revision: 3}, Name: "partner", Scope: "acme", Numbers: 1e6, SHA256: someHash}},
	{"9.0\tlist\t3.0\tpartner\t\t0\t-\n", Change{ID: EventID{Revision: 9}, Kind: ListSet, List: EventID{Revision: 3}, Name: "partner"}},
	{"10.0\tmove\t3.0\tpartner\tacme/telecom\n", Change{ID: EventID{Revision: 10}, Kind: ListMoved, List: EventID{Revision: 3}, Name: "partner", Scope: "acme/telecom"}},
	{"11.0\tgone\t3.0\tpartner\n", Change{ID: EventID{Revision: 11}, Kind: ListGone, List: EventID{Revision: 3}, Name: "partner"}},
	{"11.0\tdoubt\t3.0\tpartner\n", Change{ID: EventID{Revision: 11}, Kind: ListDoubt, List: EventID{Revision: 3}, Name: "partner"}},
	// A number that no numbering plan of this version knows is blocked all the same.
	{"7.0\tset\t+999999999999999\t\t-\n", Change{ID: EventID{Revision: 7}, Kind: Set, Number: 999999999999999}},
}

func TestChangesAreReadAsWritten(t *testing.T) {
	t.Parallel()
	exact := cmp.Comparer(func(a, b phone.Number) bool { return a == b })
	for _, c := range changes {
		if got := string(c.want.AppendText(nil)); got != c.line {
			t.Errorf("got %q, want %q", got, c.line)
		}
		got, err := ParseChange(c.line)
		if diff := cmp.Diff(c.want, got, exact); err != nil || diff != "" {
			t.Errorf("%q: %v, difference to what was written: %s", c.line, err, diff)
		}
	}
}

func TestTextThatIsNoChangeIsRefused(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "\n", "7.0\n", "7.0\tset\n",
		"7.0\tset\t+14155550123\tacme\t-",            // no line feed
		"7.0\tset\t+14155550123\tacme\t-\n\n",        // two
		"7.0\tset\t+14155550123\tacme\t-\r\n",        // CR
		"7.0\tset\t+14155550123\tacme\t- \n",         // a trailing space
		"7.0\tset\t+14155550123\tacme\t-\t\n",        // a trailing tab
		" 7.0\tset\t+14155550123\tacme\t-\n",         // a leading space
		"7.0\tset\t+14155550123\tacme\n",             // a field too few
		"7.0\tset\t+14155550123\tacme\t-\t-\n",       // one too many
		"7.0\tremove\t+14155550123\tacme\t-\n",       // a withdrawal has no end
		"7.0 set +14155550123 acme -\n",              // spaces for tabs
		"7.0\tSET\t+14155550123\tacme\t-\n",          // another case
		"7.0\tadd\t+14155550123\tacme\t-\n",          // an unknown kind
		"7.0\tnone\t\n",                              // the kind that is none
		"07.0\tset\t+14155550123\tacme\t-\n",         // leading zeros
		"7.00\tset\t+14155550123\tacme\t-\n",         //
		"7\tset\t+14155550123\tacme\t-\n",            // no index
		"+7.0\tset\t+14155550123\tacme\t-\n",         // a sign
		"0.1\tset\t+14155550123\tacme\t-\n",          // no event has revision 0
		"7.4294967296\tset\t+14155550123\tacme\t-\n", // an index of more than 32 bits
		"7.0\tset\t14155550123\tacme\t-\n",           // no plus
		"7.0\tset\t+014155550123\tacme\t-\n",         // a leading zero
		"7.0\tset\t+0\tacme\t-\n",                    // no number
		"7.0\tset\t+\tacme\t-\n",                     //
		"7.0\tset\t\tacme\t-\n",                      //
		"7.0\tset\t+1 415 555 0123\tacme\t-\n",       // a second spelling
		"7.0\tset\t+1415555012345678\tacme\t-\n",     // 16 digits
		"7.0\tset\t+14155550123\tAcme\t-\n",          // capital letters
		"7.0\tset\t+14155550123\tacme/\t-\n",         // no scope
		"7.0\tset\t+14155550123\tacme\t\n",           // no end and no dash
		"7.0\tset\t+14155550123\tacme\t2026-11-29\n", // a date
		"7.0\tset\t+14155550123\tacme\t2026-11-29T21:00:00+00:00\n",
		"7.0\tset\t+14155550123\tacme\t2026-11-29T22:00:00+01:00\n",
		"7.0\tset\t+14155550123\tacme\t2026-11-29T21:00:00.50Z\n",
		"7.0\tset\t+14155550123\tacme\t2026-11-29T21:00:00.0Z\n",
		"7.0\tset\t+14155550123\tacme\t2026-11-29T21:00:00,5Z\n",
		"7.0\tset\t+14155550123\tacme\t2026-11-29t21:00:00z\n",
		"7.0\tset\t+14155550123\tacme\t0001-01-01T00:00:00Z\n", // the time that is none
		"9.0\tlist\t3.0\t\tacme\t1\t-\n",                       // no name
		"9.0\tlist\t3.0\tpart ner\tacme\t1\t-\n",
		"9.0\tlist\t3.0\tpart\rner\tacme\t1\t-\n",
		"9.0\tlist\t3.0\tpartnér\tacme\t1\t-\n",
		"9.0\tlist\t3.0\t" + strings.Repeat("p", 65) + "\tacme\t1\t-\n",
		"9.0\tlist\t0.0\tpartner\tacme\t1\t-\n",     // no list
		"9.0\tlist\topt-out\tpartner\tacme\t1\t-\n", //
		"9.0\tlist\t3.0\tpartner\tacme\t01\t-\n",
		"9.0\tlist\t3.0\tpartner\tacme\t-1\t-\n",
		"9.0\tlist\t3.0\tpartner\tacme\t1\t" + Hash{}.encoded() + "\n",                        // the hash that is none
		"9.0\tlist\t3.0\tpartner\tacme\t1\t" + someSum[:len(someSum)-1] + "\n",                // without padding
		"9.0\tlist\t3.0\tpartner\tacme\t1\t" + strings.Replace(someSum, "8=", "9=", 1) + "\n", // other bits behind the last byte
		"9.0\tgone\t3.0\tpartner\tacme\n",
	} {
		if got, err := ParseChange(line); !errors.Is(err, ErrMalformed) || got != (Change{}) {
			t.Errorf("%q: %v, %v, want no change and ErrMalformed", line, got, err)
		}
	}
	if !strings.HasSuffix(someSum, "8=") {
		t.Errorf("the hash of this test ends with %q: its case of other bits tests nothing", someSum[40:])
	}
}

// encoded is the base64 of a hash, even of the one that is none.
func (h Hash) encoded() string { return strings.Repeat("A", 43) + "=" }

func FuzzChange(f *testing.F) {
	for _, c := range changes {
		f.Add(c.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := ParseChange(line)
		if err != nil {
			refused(t, line, err)
			return
		}
		if got := string(c.AppendText(nil)); got != line || len(got) > MaxLine {
			t.Fatalf("%q is written as %q", line, got)
		}
	})
}

// refused fails unless the error says that the text is malformed, and repeats no number of it.
func refused(t *testing.T, text string, err error) {
	t.Helper()
	if !errors.Is(err, ErrMalformed) {
		t.Fatalf("%q: %v, want ErrMalformed", text, err)
	}
	for field := range strings.FieldsFuncSeq(text, func(r rune) bool { return r < '0' || r > '9' }) {
		if len(field) >= 7 && strings.Contains(err.Error(), field) {
			t.Fatalf("%q: the error repeats a number: %v", text, err)
		}
	}
}

func TestHashesHaveOneText(t *testing.T) {
	t.Parallel()
	for _, h := range []Hash{{}, someHash} {
		if got, err := ParseHash(h.String()); got != h || err != nil {
			t.Errorf("%v: %v, %v", h, got, err)
		}
	}
	for _, s := range []string{"", "--", Hash{}.encoded(), strings.Replace(someSum, "8=", "9=", 1), someSum + "\n", someSum[:20] + "\n" + someSum[20:], someSum[:43], someSum + "="} {
		if got, err := ParseHash(s); !errors.Is(err, ErrMalformed) || got != (Hash{}) {
			t.Errorf("%q: %v, %v, want ErrMalformed", s, got, err)
		}
	}
}
