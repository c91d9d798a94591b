package registry

import (
	"bytes"
	"errors"
	"strings"
	"time"
)

// recordObjects reads opt-outs as one JSON object a line, as an export writes them. Keys are told as
// the titles of a csv are.
type recordObjects struct {
	objects
	opts     RecordOptions
	fields   map[string]RecordField // of the keys that were met
	channels channelMemory
}

// startsObject reports whether the content begins with a JSON object.
func startsObject(l *lines) bool {
	for len(l.window()) < 64 && l.fill() {
	}
	return bytes.HasPrefix(bytes.TrimSpace(l.window()), []byte("{"))
}

func openRecordObjects(in content, opts RecordOptions) decoder {
	return &recordObjects{objects: objects{content: in}, opts: opts, fields: map[string]RecordField{}, channels: channelMemory{}}
}

func (d *recordObjects) fill(batch []Record) (int, error) {
	return fill(batch, d.one)
}

func (d *recordObjects) one() (Record, error) {
	line, err := d.lines.filled()
	if errors.Is(err, errLongLine) {
		return Record{}, d.refuse(ReasonTooLong, line)
	}
	if err != nil {
		return Record{}, err
	}
	row, reason := d.row(line)
	if reason != "" {
		return Record{}, d.refuse(reason, line)
	}
	row.Line = d.lines.number
	if d.opts.KeepText {
		row.Text = string(line)
	}
	return row, nil
}

// row reads the members of a line, or returns the reason why they are no record.
func (d *recordObjects) row(line []byte) (row Record, reason string) {
	if d.members, reason = parseObject(line, d.lines.cut, d.members[:0]); reason != "" {
		return row, reason
	}
	text, reason := numberOf(d.members, d.opts.Columns[FieldNumber])
	if reason != "" {
		return row, reason
	}
	if row.Number, reason = parseValue([]byte(text), d.opts.Region, false); reason != "" {
		return row, reason
	}
	values, reason := d.values()
	if reason != "" {
		return row, reason
	}
	row.Scope, row.Desk, row.Evidence, row.Note = values[FieldScope], values[FieldDesk], values[FieldEvidence], values[FieldNote]
	row.ChannelText = values[FieldChannel]
	row.Channel = d.channels.of(row.ChannelText)
	if row.ReceivedAt, reason = d.date(values[FieldReceivedAt]); reason != "" {
		return row, reason
	}
	row.ExpiresAt, reason = d.date(values[FieldExpiresAt])
	return row, reason
}

func (d *recordObjects) date(text string) (time.Time, string) {
	if text == "" {
		return time.Time{}, ""
	}
	return parseDate(text, d.opts.DateOrder, d.opts.Location)
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
	field, ok := d.fields[key]
	if !ok {
		field = d.meaning(key)
		if len(d.fields) < most {
			d.fields[key] = field
		}
	}
	return field
}

func (d *recordObjects) meaning(key string) RecordField {
	for _, f := range recordFields() {
		switch want := d.opts.Columns[f.name]; {
		case f.name == FieldNumber, want == "-":
		case want != "" && plainTitle(want) == plainTitle(key), want == "" && f.means(key):
			return f.name
		}
	}
	return ""
}
