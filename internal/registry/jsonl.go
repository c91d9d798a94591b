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
	line    []byte       // its text
	texts   []string     // its numbers that are still to be read
}

// jsonMember is a key of an object and its value: a string's text, else as the file has it; "" for null.
type jsonMember struct{ key, text string }

func openObjects(in content) (decoder, error) { return &objects{content: in}, nil }

func (d *objects) next(batch []phone.Number) (int, error) {
	return fill(batch, d.one)
}

func (d *objects) one() (phone.Number, error) {
	for len(d.texts) == 0 {
		line, err := d.lines.filled()
		if errors.Is(err, errLongLine) {
			return 0, d.refuse(ReasonTooLong, line)
		}
		if err != nil {
			return 0, err
		}
		if text, ok := exported(line); ok && d.opts.Column == "" {
			return d.number(text, line)
		}
		if reason := d.divide(line, d.opts.Column); reason != "" {
			return 0, d.refuse(reason, line)
		}
	}
	text := d.texts[0]
	d.texts = d.texts[1:]
	return d.number([]byte(text), d.line)
}

// divide takes the texts of the numbers from a line, or returns the reason why it has none.
func (d *objects) divide(line []byte, want string) (reason string) {
	if d.members, reason = parseObject(line, d.lines.cut, d.members[:0]); reason != "" {
		return reason
	}
	texts, reason := numbersOf(d.members, want)
	if reason != "" {
		return reason
	}
	d.line, d.texts = line, texts
	d.account.beside += int64(len(texts) - 1)
	return ""
}

// number reads one number of a line. Its error is errRejected for none.
func (d *objects) number(text, line []byte) (phone.Number, error) {
	number, reason := parseValue(text, d.opts.Region, false)
	switch {
	case reason == "":
		return number, nil
	case isVoid(text):
		d.account.Empty++
	default:
		return 0, d.refuse(reason, line)
	}
	return 0, errRejected
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

// numbersOf returns the texts of the numbers: of the keys that were asked for, separated by commas, else of the only one
// that can only mean it. A key that is missing counts as empty where another is there.
func numbersOf(members []jsonMember, want string) (texts []string, reason string) {
	if want == "" {
		text, reason := numberOf(members, obvious)
		return []string{text}, reason
	}
	if text, reason := numberOf(members, named(want)); reason == "" || !strings.Contains(want, ",") {
		return []string{text}, reason
	}
	there := false
	for key := range strings.SplitSeq(want, ",") {
		text, reason := numberOf(members, named(key))
		if reason == ReasonKeys {
			return nil, reason
		}
		there = there || reason == ""
		texts = append(texts, text)
	}
	if !there {
		return nil, ReasonNoKey
	}
	return texts, ""
}

// named reports whether a key is the one with a name.
func named(want string) func(key string) bool {
	return func(key string) bool { return plainTitle(key) == plainTitle(want) }
}

// numberOf returns the text of the only key that matches.
func numberOf(members []jsonMember, matches func(key string) bool) (text, reason string) {
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

// objects accepts lines if some are objects with a number and none says that numbers are removed.
func (p *sample) objects() (Format, error) {
	if !json.Valid([]byte(p.lines[0])) {
		return "", fmt.Errorf("%w: of JSON only an object a line is read: write it so, or save it as csv", ErrFormat)
	}
	var records [][]string
	numbers := 0
	for _, line := range p.lines {
		members, reason := parseObject([]byte(line), false, nil)
		if reason != "" {
			continue
		}
		if _, reason := numbersOf(members, p.opts.Column); reason == "" {
			numbers++
		}
		records = append(records, texts(members))
	}
	switch {
	case numbers == 0:
		return "", fmt.Errorf(`%w: of JSON objects only those with a "number" are read: use --column KEY if it has another name`, ErrFormat)
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
