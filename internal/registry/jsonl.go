package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dncd/dncd/internal/phone"
)

// objects reads one JSON object a line, as `dnc export` writes them, and takes its number. Keys may
// come in any order, and others are passed over.
type objects struct {
	content
	members []jsonMember // of the line at hand
}

// jsonMember is a key of an object and its value: a string's text, else as the file has it; "" for null.
type jsonMember struct{ key, text string }

func openObjects(in content) (decoder, error) { return &objects{content: in}, nil }

func (d *objects) next(batch []phone.Number) (int, error) {
	return fill(batch, d.one)
}

func (d *objects) one() (phone.Number, error) {
	line, err := d.lines.filled()
	if errors.Is(err, errLongLine) {
		return 0, d.refuse(ReasonTooLong, line)
	}
	if err != nil {
		return 0, err
	}
	number, reason := d.number(line)
	if reason != "" {
		return 0, d.refuse(reason, line)
	}
	return number, nil
}

// number returns a line's number, or the reason why it has none.
func (d *objects) number(line []byte) (phone.Number, string) {
	if text, ok := exported(line); ok && d.opts.Column == "" {
		return parseValue(text, d.opts.Region, false)
	}
	var reason string
	if d.members, reason = parseObject(line, d.lines.cut, d.members[:0]); reason != "" {
		return 0, reason
	}
	text, reason := numberOf(d.members, d.opts.Column)
	if reason != "" {
		return 0, reason
	}
	return parseValue([]byte(text), d.opts.Region, false)
}

// exported returns the number of a line that is just what an export of a list writes: most are.
func exported(line []byte) ([]byte, bool) {
	text, ok := bytes.CutPrefix(line, []byte(`{"number":"+`))
	text, whole := bytes.CutSuffix(text, []byte(`"}`))
	if !ok || !whole || len(text) == 0 {
		return nil, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return nil, false
		}
	}
	return line[len(`{"number":"`) : len(line)-len(`"}`)], true
}

// parseObject appends the members of the object that a line is, or returns the reason why it is none.
// A line that the file ends in (cut) is whole when its object is.
func parseObject(line []byte, cut bool, members []jsonMember) ([]jsonMember, string) {
	line = bytes.TrimSpace(line)
	if !json.Valid(line) && cut {
		return members, ReasonCut
	}
	if !json.Valid(line) || line[0] != '{' {
		return members, ReasonNotObject
	}
	in := json.NewDecoder(bytes.NewReader(line))
	_, err := in.Token()
	for err == nil && in.More() {
		var m jsonMember
		m, err = nextMember(in)
		members = append(members, m)
	}
	if err != nil {
		return members, ReasonNotObject
	}
	return members, ""
}

func nextMember(in *json.Decoder) (m jsonMember, err error) {
	key, err := in.Token()
	if err != nil {
		return m, err
	}
	m.key, _ = key.(string)
	var raw json.RawMessage
	if err := in.Decode(&raw); err != nil {
		return m, err
	}
	switch raw[0] {
	case '"':
		err = json.Unmarshal(raw, &m.text)
	case 'n': // null
	default:
		m.text = string(raw)
	}
	return m, err
}

// numberOf returns the text of the number: of the key that was asked for, else of the only one that can
// only mean it.
func numberOf(members []jsonMember, want string) (text, reason string) {
	matches := obvious
	if want != "" {
		matches = func(key string) bool { return plainTitle(key) == plainTitle(want) }
	}
	reason = ReasonNoKey
	for _, m := range members {
		switch {
		case !matches(m.key):
		case reason == "":
			return "", ReasonKeys
		default:
			text, reason = strings.TrimSpace(m.text), ""
		}
	}
	return text, reason
}

// objects accepts lines of which some are objects with a number, and none says that numbers are taken away.
func (p *sample) objects() (Format, error) {
	if p.lines[0][0] == '[' || !json.Valid([]byte(p.lines[0])) {
		return "", fmt.Errorf("%w: of JSON only an object a line is read: write it so, or save it as csv", ErrFormat)
	}
	var records [][]string
	numbers := 0
	for _, line := range p.lines {
		members, reason := parseObject([]byte(line), false, nil)
		if reason != "" {
			continue
		}
		if _, reason := numberOf(members, p.opts.Column); reason == "" {
			numbers++
		}
		records = append(records, texts(members))
	}
	switch {
	case numbers == 0:
		return "", fmt.Errorf(`%w: of JSON objects only those with a "number" are read: say --column KEY if it has another name`, ErrFormat)
	case hasActions(records):
		return "", p.unsure("a key looks like additions and deletions, and all would be taken for numbers of the list", JSONL)
	}
	return JSONL, nil
}

func texts(members []jsonMember) []string {
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = m.text
	}
	return list
}
