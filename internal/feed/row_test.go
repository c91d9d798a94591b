package feed

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/phone"
)

var rows = []struct {
	line string
	want Row
}{
	{"+14155550123\tacme/telecom\topt-out\t-\n", Row{Number: number, Scope: "acme/telecom"}},
	{"+14155550123\t\t7.0\t2026-11-29T21:00:00.5Z\n", Row{Number: number, Source: Source{EventID{Revision: 7}}, Until: someTime}},
}

func TestRowsAreReadAsWritten(t *testing.T) {
	t.Parallel()
	for _, c := range rows {
		got, err := ParseRow(c.line)
		if string(c.want.AppendText(nil)) != c.line || got != c.want || err != nil {
			t.Errorf("%q: got %v, %v, written %q", c.line, got, err, c.want.AppendText(nil))
		}
	}
	for _, line := range []string{
		"", "\n", "+14155550123\tacme\topt-out\t-", "+14155550123\tacme\topt-out\t-\r\n", "+14155550123\tacme\topt-out\t-\t\n",
		"+14155550123\tacme\topt-out\n", "14155550123\tacme\topt-out\t-\n", "+14155550123\tacme\tOpt-Out\t-\n",
		"+14155550123\tacme\t\t-\n", "+14155550123\tacme\t0.0\t-\n", "+14155550123\tacme\t7\t-\n", "+14155550123\tACME\topt-out\t-\n",
	} {
		if got, err := ParseRow(line); !errors.Is(err, ErrMalformed) || got != (Row{}) {
			t.Errorf("%q: %v, %v, want no row and ErrMalformed", line, got, err)
		}
	}
}

func FuzzRow(f *testing.F) {
	for _, c := range rows {
		f.Add(c.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ParseRow(line)
		if err != nil {
			refused(t, line, err)
			return
		}
		if got := string(r.AppendText(nil)); got != line || len(got) > MaxLine {
			t.Fatalf("%q is written as %q", line, got)
		}
		if err := NewDigester().Add([]byte(line)); err != nil {
			t.Fatalf("%q is a row and not hashed: %v", line, err)
		}
	})
}

// Rows are ordered by number, then as their lines, and their digest is the SHA-256 of the lines.
func TestDigestIsThatOfSortedLines(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := map[Row]bool{}
		for range rapid.IntRange(0, 20).Draw(t, "rows") {
			set[Row{
				Number: phone.Number(rapid.Uint64Range(1, 999_999_999_999_999).Draw(t, "number")),
				Scope:  rapid.SampledFrom([]Scope{"", "a", "a/b", "a-b", "a.b", "a0", "b"}).Draw(t, "scope"),
				Source: Source{EventID{Revision: rapid.Uint64Range(0, 12).Draw(t, "list")}},
			}] = true
		}
		var sorted []Row
		var lines []string
		for r := range set {
			if r.Source.List.Revision == 0 {
				r.Source = Source{}
			}
			sorted, lines = append(sorted, r), append(lines, string(r.AppendText(nil)))
		}
		slices.SortFunc(sorted, Row.Compare)
		slices.SortFunc(lines, func(a, b string) int { return cmp.Or(cmp.Compare(numberIn(a), numberIn(b)), strings.Compare(a, b)) })
		d := NewDigester()
		for i, r := range sorted {
			if line := string(r.AppendText(nil)); line != lines[i] {
				t.Fatalf("row %d is %q, want %q", i, line, lines[i])
			}
			if err := d.Add([]byte(lines[i])); err != nil {
				t.Fatal(err)
			}
		}
		want := Digest{uint64(len(lines)), sha256.Sum256([]byte(strings.Join(lines, "")))}
		if got := d.Digest(); got != want || got.IsZero() {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// numberIn is the number that a line begins with.
func numberIn(line string) uint64 {
	digits, _, _ := strings.Cut(line[1:], "\t")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func TestDigesterRefusesRowsOutOfOrder(t *testing.T) {
	t.Parallel()
	first := Row{Number: number, Scope: "acme"}
	line := first.AppendText(nil)
	for name, c := range map[string]struct {
		row  Row
		want error
	}{
		"the same row":            {first, ErrOrder},
		"another end, later":      {Row{Number: number, Scope: "acme", Until: someTime}, ErrOrder},
		"a smaller number":        {Row{Number: number - 1, Scope: "acme"}, ErrOrder},
		"a scope before":          {Row{Number: number, Scope: ""}, ErrOrder},
		"a list before opt-outs":  {Row{Number: number, Scope: "acme", Source: Source{EventID{Revision: 7}}}, ErrOrder},
		"a longer scope":          {Row{Number: number, Scope: "acme/telecom"}, nil},
		"a larger number":         {Row{Number: number + 1, Scope: ""}, nil},
		"a number that begins so": {Row{Number: number * 10}, nil},
	} {
		d := NewDigester()
		if err := d.Add(line); err != nil {
			t.Fatal(err)
		}
		before := d.Digest()
		if err := d.Add(c.row.AppendText(nil)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if changed := d.Digest() != before; changed != (c.want == nil) {
			t.Errorf("%s: the digest changed: %v", name, changed)
		}
	}
	for _, bad := range []string{"", "\n", "+14155550123\tacme\topt-out\t-", "+14155550123\tacme\t-\n", "+1\ta\topt-out\t-\n+2\ta\topt-out\t-\n"} {
		if err := NewDigester().Add([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, want ErrMalformed", bad, err)
		}
	}
}

// Hashing a row allocates nothing, since a snapshot has millions.
func TestDigesterAllocatesNothing(t *testing.T) {
	d, buf, n := NewDigester(), make([]byte, 0, MaxLine), number
	d.last = make([]byte, 0, MaxLine)
	if got := testing.AllocsPerRun(100, func() {
		n++
		buf = Row{Number: n, Scope: "acme", Until: time.Unix(1e9, 0)}.AppendText(buf[:0])
		if err := d.Add(buf); err != nil {
			t.Error(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}
