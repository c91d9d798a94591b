package registry

import (
	"bytes"
	"errors"

	"github.com/dncd/dncd/internal/phone"
)

// csv accepts a table in which the column of the number is plain and no other
// says that numbers are taken away.
func (p *sample) csv(t *table) (Format, error) {
	records := t.sample(sampleLines)
	if len(records) == 0 {
		return "", p.unsure("the lines are no records", CSV, Plain)
	}
	ahead := records[1:min(len(records), lookRecords)]
	found, err := findColumns(records[0], p.opts.Column, looksOf(ahead, len(records[0]), p.opts.Region))
	if err != nil {
		if p.dated && p.opts.Column == "" && !isTitle(p.lines[0]) {
			return FTC, nil
		}
		return "", err
	}
	if found.header && p.most(isFTCLine) {
		return "", p.unsure("the lines look like the FTC's, the first does not", FTC, CSV)
	}
	if found.header {
		records = records[1:]
	}
	if hasActions(records) {
		return "", p.unsure("a column looks like additions and deletions", FTCChange, CSV)
	}
	return CSV, nil
}

func (p *sample) table() *table {
	in := content{lines: newLines(bytes.NewReader(p.text)), opts: p.opts, reject: func(int64, string, []byte) {}, account: new(Totals)}
	return &table{content: in, split: splitter{lines: in.lines, reject: in.reject}}
}

// sample returns the fields of the next records, at most most of them.
func (t *table) sample(most int) [][]string {
	var list [][]string
	for len(list) < most {
		rec, err := t.split.next()
		switch {
		case err == nil:
			list = append(list, rec.all())
		case !errors.Is(err, errRejected) || len(list) == 0: // the first must be right
			return list
		}
	}
	return list
}

// hasActions reports whether a column has nothing but actions in it.
func hasActions(records [][]string) bool {
	if len(records) == 0 {
		return false
	}
	for i := range records[0] {
		all := true
		for _, fields := range records {
			all = all && i < len(fields) && isAction(fields[i])
		}
		if all {
			return true
		}
	}
	return false
}

func isAction(field string) bool {
	switch plainTitle(field) {
	case "a", "d", "i", "u", "r", "+", "-", "add", "added", "addition", "del", "delete", "deleted", "deletion",
		"insert", "remove", "removed", "removal", "ajout", "suppression":
		return true
	}
	return false
}

// tryChanges counts the records that are changes, and the others.
func (p *sample) tryChanges() (changes, others int) {
	in := p.table().content
	in.reject = func(int64, string, []byte) { others++ }
	d, err := openChange(in)
	if err != nil {
		return 0, 1
	}
	var add, remove [sampleLines]phone.Number
	added, removed, err := d.(changer).nextChanges(add[:], remove[:])
	if err != nil {
		return 0, others
	}
	return added + removed, others
}
