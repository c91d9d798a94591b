package feed

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// none is the text of a time or hash that is not there.
const none = "-"

func malformed(why string) error { return fmt.Errorf("%w: %s", ErrMalformed, why) }

// again compares a text with what its value is encoded to. It is what makes a parser strict: what was read leniently, such as a
// leading zero, does not come out the same.
func again(encoded []byte, text string) error {
	if string(encoded) != text {
		return malformed("not written as this version writes it: copy it unchanged")
	}
	return nil
}

// splitLine returns the fields of one line.
func splitLine(line string) ([]string, error) {
	body, ok := strings.CutSuffix(line, "\n")
	if !ok || strings.Contains(body, "\n") {
		return nil, malformed("one line ends with one line feed")
	}
	return strings.Split(body, "\t"), nil
}

// joinLine ends a line: it replaces the tab behind the last field.
func joinLine(b []byte) []byte {
	b[len(b)-1] = '\n'
	return b
}

func appendID(b []byte, id EventID) []byte {
	b = append(strconv.AppendUint(b, id.Revision, 10), '.')
	return strconv.AppendUint(b, uint64(id.Index), 10)
}

// FormatEventID returns the text of an event's id: "7.0" is the first event of revision 7.
func FormatEventID(id EventID) string { return string(appendID(nil, id)) }

// ParseEventID reads what FormatEventID writes. No event has revision 0.
func ParseEventID(s string) (EventID, error) {
	revision, index, ok := strings.Cut(s, ".")
	r, err := strconv.ParseUint(revision, 10, 64)
	i, err2 := strconv.ParseUint(index, 10, 32)
	id := EventID{Revision: r, Index: uint32(i)}
	if !ok || err != nil || err2 != nil || r == 0 || FormatEventID(id) != s {
		return EventID{}, malformed("an event's id is a revision, a dot and an index, such as 7.0")
	}
	return id, nil
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, none...)
	}
	return t.UTC().AppendFormat(b, time.RFC3339Nano)
}

// parseTime reads what appendTime writes.
func parseTime(s string) (time.Time, error) {
	if s == none {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || string(appendTime(nil, t)) != s {
		return time.Time{}, malformed("a time is RFC 3339 in UTC, such as 2026-11-29T21:00:00Z")
	}
	return t.UTC(), nil
}

// parseNumber reads a plus and 1 to 15 digits. It does not ask the numbering plan: a base that knows an older plan than the
// server must not lose a prohibition.
func parseNumber(s string) (phone.Number, error) {
	digits, ok := strings.CutPrefix(s, "+")
	u, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || len(digits) > phone.MaxDigits || phone.Number(u).E164() != s {
		return 0, malformed("a number is a plus and at most 15 digits")
	}
	return phone.Number(u), nil
}

// parseScope reads a scope in lower case.
func parseScope(s string) (Scope, error) {
	scope, err := policy.ParseScope(s)
	if err != nil || string(scope) != s {
		return "", malformed("a scope is a path such as acme/telecom, in lower case")
	}
	return scope, nil
}

// fields reads the fields of a line, or the lines of a note, one after the other. After the first error each returns a zero value.
type fields struct {
	next []string
	err  error
}

func (f *fields) take() string {
	if f.err != nil || len(f.next) == 0 {
		f.fail(malformed("a field or line is missing"))
		return ""
	}
	s := f.next[0]
	f.next = f.next[1:]
	return s
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// end returns the first error, or that there is more than was read.
func (f *fields) end() error {
	if len(f.next) > 0 {
		f.fail(malformed("more fields or lines than there are in one of its kind"))
	}
	return f.err
}

// after takes a line of a note and returns what is behind its word and one space.
func (f *fields) after(word string) string {
	line := f.take()
	value, ok := strings.CutPrefix(line, word+" ")
	if f.err == nil && !ok {
		f.fail(malformed("the line `" + word + "` is missing, or out of order"))
	}
	return value
}

// value parses a text, unless there was an error before.
func value[T any](f *fields, s string, parse func(string) (T, error)) (v T) {
	if f.err != nil {
		return v
	}
	v, err := parse(s)
	if err != nil {
		f.fail(err)
	}
	return v
}

// parseUint reads a decimal without a sign or leading zeros.
func parseUint(s string) (uint64, error) {
	u, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(u, 10) != s {
		return 0, malformed("a count or revision is a decimal number")
	}
	return u, nil
}

// isLine reports whether b is one line, with fields separated by tabs.
func isLine(b []byte, tabs int) bool {
	end := len(b) - 1
	return end >= 0 && bytes.IndexByte(b, '\n') == end && bytes.Count(b, []byte{'\t'}) == tabs
}
