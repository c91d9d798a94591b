package registry

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Why a call of a file has no time.
const (
	ReasonNoTime    = "no time"
	ReasonNoClock   = "no time of day: a call has a time, not only a date"
	ReasonNoZone    = "no time zone: say whose clock it is with --timezone"
	ReasonClockMove = "clocks change at that hour: write the time with its offset, such as +02:00"
)

// CallOptions say how the calls of a file are read.
type CallOptions struct {
	Time     string         // the column of the time, by title or by place from 1; empty: the one whose title says so
	Scope    string         // the column of the scope; empty: none
	Order    DateOrder      // of dates that end with the year; 0: such a date is none
	Location *time.Location // of times without a zone; nil: such a time is none
}

// Calls are the rows of a file of calls.
type Calls struct {
	*Rows
	opts        CallOptions
	time, scope int // columns, from 0; scope -1: none
}

// callTimeTitles say that a column has the time of a call, compared by titleKey.
var callTimeTitles = []string{
	"time", "call time", "called at", "call date", "call start", "start", "start time", "started at", "timestamp", "date time", "datetime", "date and time", "date",
	"heure", "heure d'appel", "date d'appel", "date de l'appel", "date appel", "date heure", "date et heure", "horodatage", "début",
}

// Calls finds the columns of the calls. It is called before the first row is read.
func (r *Rows) Calls(o CallOptions) (*Calls, error) {
	if r.table == nil || len(r.table.titles) == 0 {
		return nil, errors.New("a file of calls is csv with at least a column of numbers and one of times")
	}
	if len(r.table.numbers) > 1 {
		return nil, errors.New("a call is to one number: name one column with --column")
	}
	c := &Calls{Rows: r, opts: o, scope: -1}
	var err error
	if c.time, err = r.timeColumn(o.Time); err != nil {
		return nil, fmt.Errorf("column of the time: %w", err)
	}
	if o.Scope != "" {
		if c.scope, _, err = findColumn(r.table.titles, o.Scope); err != nil {
			return nil, fmt.Errorf("column of the scope: %w", err)
		}
	}
	return c, nil
}

// timeColumn is the column that was named, else the only one whose title says that it has the time.
func (r *Rows) timeColumn(want string) (int, error) {
	titles := r.table.titles
	if want != "" {
		column, _, err := findColumn(titles, want)
		return column, err
	}
	var found []int
	for i, title := range r.table.header {
		for _, known := range callTimeTitles {
			if titleKey(title) == titleKey(known) {
				found = append(found, i)
			}
		}
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("which column has it? use --time-column NAME or INDEX: the first line has %s", describe(titles))
	}
	return found[0], nil
}

// TimeColumn is the column of the time, by its title or its place.
func (c *Calls) TimeColumn() string { return c.table.name(c.time) }

// ScopeColumn is the column of the scope, by its title or its place; empty: none.
func (c *Calls) ScopeColumn() string {
	if c.scope < 0 {
		return ""
	}
	return c.table.name(c.scope)
}

// Location is that of times without a zone; nil: none.
func (c *Calls) Location() *time.Location { return c.opts.Location }

// Call reads a row: when the call began, and its scope. The reason says why there is no time.
func (c *Calls) Call(row *Row) (at time.Time, scope, reason string) {
	fields := row.Fields()
	if c.scope >= 0 && c.scope < len(fields) {
		scope = strings.TrimSpace(fields[c.scope])
	}
	if c.time >= len(fields) {
		return at, scope, ReasonNoTime
	}
	at, reason = parseCallTime(fields[c.time], c.opts.Order, c.opts.Location)
	return at, scope, reason
}

// parseCallTime reads a date with a time of day. Without a location it must name its zone. A time that a location has twice, or not at
// all, is none: which one it is would be a guess.
func parseCallTime(text string, order DateOrder, loc *time.Location) (time.Time, string) {
	utc, reason := parseDate(text, order, time.UTC)
	switch {
	case reason != "":
		return time.Time{}, reason
	case utc.IsZero():
		return time.Time{}, ReasonNoTime
	case !strings.ContainsAny(text, ":h"):
		return time.Time{}, ReasonNoClock
	}
	if other, _ := parseDate(text, order, time.FixedZone("", 3600)); other.Equal(utc) {
		return utc, "" // it names its zone
	}
	if loc == nil {
		return time.Time{}, ReasonNoZone
	}
	at, _ := parseDate(text, order, loc)
	if isUnclear(at, utc, loc) {
		return time.Time{}, ReasonClockMove
	}
	return at, ""
}

// isUnclear reports whether the clocks of a location show a time of day, here as one of UTC, never or twice.
func isUnclear(at, clock time.Time, loc *time.Location) bool {
	_, offset := at.In(loc).Zone()
	if !at.Add(time.Duration(offset) * time.Second).Equal(clock) {
		return true
	}
	for _, away := range []time.Duration{-3 * time.Hour, 3 * time.Hour} { // no clock moves further
		_, other := at.Add(away).In(loc).Zone()
		again := clock.Add(-time.Duration(other) * time.Second)
		if _, then := again.In(loc).Zone(); other != offset && then == other {
			return true
		}
	}
	return false
}
