package feed

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// Kind says what a change does to the rows of a subscriber.
type Kind uint8

// The kinds of change. The zero Kind is none.
const (
	_         Kind = iota
	Set            // an opt-out: the row of its number and scope has this end now
	Remove         // a withdrawal: the opt-outs of its number and scope are gone
	ListSet        // a list has other numbers now
	ListMoved      // a list applies at another scope now
	ListGone       // a list was deleted: its rows are gone
	ListDoubt      // a list was unloaded by a repair: no row is removed
)

var kindNames = [...]string{Set: "set", Remove: "remove", ListSet: "list", ListMoved: "move", ListGone: "gone", ListDoubt: "doubt"}

// String is the second field of a change's line.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return "none"
	}
	return kindNames[k]
}

func parseKind(s string) (Kind, error) {
	for k := Set; int(k) < len(kindNames); k++ {
		if kindNames[k] == s {
			return k, nil
		}
	}
	return 0, malformed("a change is of the kind set, remove, list, move, gone or doubt")
}

// Change is what one event of the journal means to a subscriber.
type Change struct {
	ID   EventID
	Kind Kind

	Number phone.Number // of Set and Remove
	Scope  Scope        // of all but ListGone and ListDoubt
	Until  time.Time    // of Set: the row's, after the revision of the event; zero: never

	List    EventID // of the kinds about a list
	Name    string  // the list's, for people: the id counts
	Numbers uint64  // of ListSet: how many the list has now
	SHA256  Hash    // of ListSet: of these numbers; zero: not known
}

// AppendText appends the change's line. Fields that its kind does not have are left out.
func (c Change) AppendText(b []byte) []byte {
	b = append(appendID(b, c.ID), '\t')
	b = append(append(b, c.Kind.String()...), '\t')
	switch c.Kind {
	case Set, Remove:
		b = append(c.Number.AppendE164(b), '\t')
		b = append(append(b, c.Scope...), '\t')
		if c.Kind == Set {
			b = append(appendTime(b, c.Until), '\t')
		}
	case ListSet, ListMoved, ListGone, ListDoubt:
		b = append(appendID(b, c.List), '\t')
		b = append(append(b, c.Name...), '\t')
		b = c.appendContent(b)
	}
	return joinLine(b)
}

// appendContent appends what the kinds about a list differ in.
func (c Change) appendContent(b []byte) []byte {
	if c.Kind == ListSet || c.Kind == ListMoved {
		b = append(append(b, c.Scope...), '\t')
	}
	if c.Kind == ListSet {
		b = append(strconv.AppendUint(b, c.Numbers, 10), '\t')
		b = append(c.SHA256.append(b), '\t')
	}
	return b
}

// ParseChange reads one line that AppendText writes.
func ParseChange(line string) (Change, error) {
	parts, err := splitLine(line)
	f := &fields{next: parts, err: err}
	c := Change{ID: value(f, f.take(), ParseEventID), Kind: value(f, f.take(), parseKind)}
	switch c.Kind {
	case Set, Remove:
		c.Number = value(f, f.take(), parseNumber)
		c.Scope = value(f, f.take(), parseScope)
		if c.Kind == Set {
			c.Until = value(f, f.take(), parseTime)
		}
	case ListSet, ListMoved, ListGone, ListDoubt:
		c.List = value(f, f.take(), ParseEventID)
		c.Name = value(f, f.take(), parseName)
		c.parseContent(f)
	}
	if err := f.end(); err != nil {
		return Change{}, fmt.Errorf("change: %w", err)
	}
	if err := again(c.AppendText(nil), line); err != nil {
		return Change{}, fmt.Errorf("change: %w", err)
	}
	return c, nil
}

func (c *Change) parseContent(f *fields) {
	if c.Kind == ListSet || c.Kind == ListMoved {
		c.Scope = value(f, f.take(), parseScope)
	}
	if c.Kind == ListSet {
		c.Numbers = value(f, f.take(), parseUint)
		c.SHA256 = value(f, f.take(), ParseHash)
	}
}

// parseName reads the name of a list. It accepts more than a list is named today, so that a subscriber follows a server with
// other rules.
func parseName(s string) (string, error) {
	printable := func(r rune) bool { return r > ' ' && r <= '~' }
	if s == "" || len(s) > policy.MaxName || strings.ContainsFunc(s, func(r rune) bool { return !printable(r) }) {
		return "", malformed("a list's name is 1 to 64 printable characters")
	}
	return s, nil
}
