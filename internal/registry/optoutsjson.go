package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// recordObjects reads opt-outs as one JSON object a line, as an export writes them. Keys are recognised like the titles
// of a csv.
type recordObjects struct {
	objects
	opts     RecordOptions
	keys     map[string]RecordField // what those that were met mean
	rest     Record                 // of the line at hand, without its number
	dates    dates
	some     bool   // a number was found
	keyed    bool   // a line had its key
	before   Totals // of the files before
	channels channelMemory
}

// startsObject reports whether the content begins with a JSON object.
func startsObject(l *lines) bool {
	for len(l.window()) < 64 && l.fill() {
	}
	return bytes.HasPrefix(bytes.TrimSpace(l.window()), []byte("{"))
}

func openRecordObjects(in content, opts RecordOptions) decoder {
	return &recordObjects{
		objects: objects{content: in}, opts: opts, keys: map[string]RecordField{}, channels: channelMemory{}, before: *in.account,
		dates: newDates(in, &opts),
	}
}

func (d *recordObjects) fill(batch []Record) (int, error) {
	return fill(batch, d.one)
}

func (d *recordObjects) one() (Record, error) {
	for len(d.texts) == 0 {
		if err := d.advance(); err != nil {
			return Record{}, err
		}
	}
	text := d.texts[0]
	d.texts = d.texts[1:]
	number, err := d.number([]byte(text), d.line)
	if err != nil {
		return Record{}, err
	}
	d.some = true
	row := d.rest
	row.Number = number
	return row, nil
}

// advance reads the next line.
func (d *recordObjects) advance() error {
	line, err := d.lines.filled()
	switch {
	case err == io.EOF:
		return d.end()
	case errors.Is(err, errLongLine):
		return d.refuse(ReasonTooLong, line)
	case err != nil:
		return err
	}
	if reason := d.divide(line, d.opts.Columns[FieldNumber]); reason == ReasonKeys {
		return fmt.Errorf("line %d: more than one key could be the number: use --column with the one that is, or with several separated by commas", d.lines.number)
	} else if reason != "" {
		return d.refuse(reason, line)
	}
	d.keyed = true
	if d.rest, err = d.row(); err != nil {
		return err
	}
	if reason := d.opts.unread(&d.rest); reason != "" {
		d.texts = nil // its numbers go with it
		return d.refuse(reason, line)
	}
	d.rest.Line = d.lines.number
	if d.opts.KeepText {
		d.rest.Text = string(line)
	}
	return nil
}

// end returns io.EOF after the last line, or says that none had a number.
func (d *recordObjects) end() error {
	if d.some || d.keyed && d.account.Rejects > d.before.Rejects {
		return io.EOF
	}
	return errNoNumber
}

// row reads the members of a line but the number.
func (d *recordObjects) row() (row Record, err error) {
	values, reason := d.values()
	if reason != "" {
		row.Remarks = []string{reason}
		return row, nil
	}
	row.Scope, row.Desk, row.Evidence, row.Note = values[FieldScope], values[FieldDesk], values[FieldEvidence], values[FieldNote]
	row.ChannelText = values[FieldChannel]
	row.Channel = d.channels.of(row.ChannelText)
	received := d.opts.received()
	if row.ReceivedAt, err = d.date(received, values[received], &row); err != nil {
		return row, err
	}
	row.ExpiresAt, err = d.date(FieldExpiresAt, values[FieldExpiresAt], &row)
	if d.opts.Consents {
		row.readConsent(func(f RecordField) string { return values[f] })
	}
	return row, err
}

func (d *recordObjects) date(field RecordField, text string, row *Record) (when time.Time, err error) {
	when, reason, err := d.dates.parse(text)
	if reason != "" {
		row.remark(field, reason)
	}
	return when, err
}

// values are the texts by field. A key that is the field's own name comes before any other that means it.
func (d *recordObjects) values() (map[RecordField]string, string) {
	values, own := map[RecordField]string{}, map[RecordField]bool{}
	for _, m := range d.members {
		field := d.field(m.key)
		if field == "" {
			continue
		}
		isOwn := m.key == string(field)
		if _, twice := values[field]; twice && isOwn == own[field] {
			return nil, ReasonKeys
		} else if !twice || isOwn {
			values[field], own[field] = strings.TrimSpace(m.text), isOwn
		}
	}
	return values, ""
}

// field is the one that a key means, with a memory: a file has few. It is "" for the number, and for a
// key that means none.
func (d *recordObjects) field(key string) RecordField {
	const most = 1000
	field, ok := d.keys[key]
	if !ok {
		field = d.meaning(key)
		if len(d.keys) < most {
			d.keys[key] = field
		}
	}
	return field
}

// choice implements chooser.
func (d *recordObjects) choice() Choice {
	c := Choice{DateOrder: d.dates.order, Layout: Layout{Objects: true}}
	for _, key := range slices.Sorted(maps.Keys(d.keys)) {
		switch field := d.keys[key]; {
		case d.isNumber(key):
			c.Numbers = append(c.Numbers, key)
		case field != "":
			c.Fields = append(c.Fields, FieldColumn{field, key})
		case titleKey(key) != titleKey(ReasonTitle):
			c.Unused = append(c.Unused, UnusedColumn{Column: key})
		}
	}
	return c
}

// isNumber reports whether a key is the number's.
func (d *recordObjects) isNumber(key string) bool {
	want := d.opts.Columns[FieldNumber]
	if want == "" {
		return obvious(key)
	}
	return named(want)(key) || slices.ContainsFunc(strings.Split(want, ","), func(one string) bool { return named(one)(key) })
}

func (d *recordObjects) meaning(key string) RecordField {
	for _, f := range recordFields(d.opts.Consents) {
		switch want := d.opts.Columns[f.name]; {
		case f.name == FieldNumber, want == "-":
		case want != "" && plainTitle(want) == plainTitle(key), want == "" && f.means(key):
			return f.name
		}
	}
	return ""
}
