package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dncd/dncd/internal/phone"
)

// The columns that a change list may have, as Options.Columns names them.
const (
	columnArea   = "area"   // the area code
	columnNumber = "number" // the seven digits behind it, or all ten without an area
	columnDate   = "date"   // of the change; not read
	columnAction = "action" // A or D
	columnNone   = "-"      // of any content
)

// ChangeColumns are the columns of a change list in the order of the FTC. No
// document of the FTC that can be cited says so: Options.Columns sets another.
const ChangeColumns = "area,number,date,action"

// changes reads the change list of the US registry: additions and deletions
// since the last download, comma-separated.
type changes struct {
	content
	split   splitter
	columns int // of each record
	area    int // index of the column, -1: none
	number  int
	action  int
	begun   bool // the first record was read
}

func openChange(in content) (decoder, error) {
	d := &changes{content: in, split: splitter{lines: in.lines, reject: in.reject, delim: ','}}
	if err := d.choose(in.opts.Columns); err != nil {
		return nil, err
	}
	if in.opts.Delimiter != 0 {
		var err error
		d.split.delim, err = checkDelimiter(in.opts.Delimiter)
		return d, err
	}
	return d, nil
}

// choose takes over the columns that were asked for.
func (d *changes) choose(columns string) error {
	if columns == "" {
		columns = ChangeColumns
	}
	names := strings.Split(strings.ToLower(columns), ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	for i, name := range names {
		known := slices.Contains([]string{columnArea, columnNumber, columnDate, columnAction, columnNone}, name)
		if !known || name != columnNone && slices.Contains(names[:i], name) {
			return fmt.Errorf("--columns %q: use area, number, date and action once each, and - for others", columns)
		}
	}
	d.columns = len(names)
	d.area = slices.Index(names, columnArea)
	d.number = slices.Index(names, columnNumber)
	d.action = slices.Index(names, columnAction)
	if d.number < 0 || d.action < 0 {
		return fmt.Errorf("--columns %q: number and action must be among them", columns)
	}
	return nil
}

// next refuses to pass over a removal: see Reader.Next.
func (d *changes) next(batch []phone.Number) (int, error) {
	var removed [1]phone.Number
	added, n, err := d.nextChanges(batch, removed[:])
	if n > 0 {
		return 0, errRemoval
	}
	return added, err
}

func (d *changes) nextChanges(add, remove []phone.Number) (added, removed int, err error) {
	for added < len(add) && removed < len(remove) {
		number, removal, err := d.one()
		switch {
		case errors.Is(err, errRejected):
		case err == io.EOF && added+removed > 0:
			return added, removed, nil
		case err != nil:
			return 0, 0, err
		case removal:
			remove[removed] = number
			removed++
		default:
			add[added] = number
			added++
		}
	}
	return added, removed, nil
}

// one reads one record.
func (d *changes) one() (number phone.Number, removal bool, err error) {
	first := !d.begun
	d.begun = true
	rec, err := d.split.next()
	if err != nil {
		return 0, false, err
	}
	if first && isHeader(rec.all(), d.columns) {
		return d.one()
	}
	number, removal, reason := d.change(&rec)
	if reason == "" {
		return number, removal, nil
	}
	if rec.cut {
		reason = ReasonCut
	}
	d.reject(rec.line, reason, rec.text)
	return 0, false, errRejected
}

// change reads a record, or returns the reason why it is none.
func (d *changes) change(rec *entry) (phone.Number, bool, string) {
	_, whole := rec.column(d.columns - 1)
	digits, ok := d.digits(rec)
	if !whole || !rec.last(d.columns-1) || !ok {
		return 0, false, ReasonNotChange
	}
	number, err := phone.FromDigits(1e10 + digits)
	if err != nil {
		return 0, false, phone.Reason(err)
	}
	switch text, _ := rec.column(d.action); string(bytes.TrimSpace(text)) {
	case "A", "a":
		return number, false, ""
	case "D", "d":
		return number, true, ""
	}
	return 0, false, ReasonAction
}

// digits returns the ten digits of a record.
func (d *changes) digits(rec *entry) (uint64, bool) {
	field, _ := rec.column(d.number)
	text := bytes.TrimSpace(field)
	if d.area < 0 {
		return ftcDigits(text)
	}
	field, _ = rec.column(d.area)
	code := bytes.TrimSpace(field)
	area, ok := allDigits(code)
	local, ok2 := allDigits(text)
	return area*1e7 + local, ok && ok2 && len(code) == 3 && len(text) == 7
}

// isHeader reports whether a record has that many titles and nothing else.
func isHeader(fields []string, columns int) bool {
	return len(fields) == columns && !slices.ContainsFunc(fields, func(field string) bool {
		return !isTitle(field) || strings.ContainsAny(field, "0123456789")
	})
}
