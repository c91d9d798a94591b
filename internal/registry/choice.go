package registry

import "fmt"

// Choice says how the columns of a file were read, to the person who gave the file: nothing is guessed in silence.
type Choice struct {
	File string
	// Numbers are the columns of the number, and Fields those of the rest of an opt-out; a column by its title, and
	// as "column 2" where it has none. Of jsonl they are keys, as far as lines had them.
	Numbers []string
	Fields  []FieldColumn
	// Unused are the other columns.
	Unused []UnusedColumn
	// DateOrder is the order of dates that do not begin with their year: the requested one, or the one that the file's
	// own dates show. 0: the file has no such date.
	DateOrder DateOrder
	// Rows is how many rows the file has, as far as it was read.
	Rows int64

	// Layout is how its rows are written.
	Layout Layout
}

// Layout is how the rows of a file are written, for who writes some of them again.
type Layout struct {
	Objects   bool     // JSON, one object a line: the rest is not set
	Header    []string // nil: the file has none
	Width     int      // columns
	Numbers   []int    // the columns of the number, from 0
	Delimiter rune
}

// FieldColumn is the column of a field.
type FieldColumn struct {
	Field  RecordField
	Column string
}

// UnusedColumn is a column that counts for nothing.
type UnusedColumn struct {
	Column string
	// LooksLikeNumbers says that most of its first cells look like phone numbers.
	LooksLikeNumbers bool
}

// chooser is a decoder that has to choose.
type chooser interface {
	choice() Choice
}

// Choices says how the columns of the files were read, as far as they were read: of csv, and of opt-outs.
func (r *Reader) Choices() []Choice {
	if c, ok := r.decoder.(chooser); ok {
		return append(r.choices[:len(r.choices):len(r.choices)], r.choiceOf(c))
	}
	return r.choices
}

// choiceOf is that of the source being read.
func (r *Reader) choiceOf(c chooser) Choice {
	choice := c.choice()
	choice.File, choice.Rows = r.sources[r.at].Name, r.totals.Rows()-r.rowsBefore
	return choice
}

// choice implements chooser.
func (t *table) choice() Choice {
	return t.choose(nil)
}

// choose says what columns were read as, including those of the given fields.
func (t *table) choose(fields []fieldAt) Choice {
	c := Choice{Layout: Layout{Header: t.header, Width: len(t.titles), Numbers: t.numbers, Delimiter: rune(t.split.delim)}}
	used := map[int]bool{}
	for _, column := range t.numbers {
		c.Numbers = append(c.Numbers, t.name(column))
		used[column] = true
	}
	for _, f := range fields {
		if f.column >= 0 {
			c.Fields = append(c.Fields, FieldColumn{f.field, t.name(f.column)})
			used[f.column] = true
		}
	}
	for i, title := range t.titles {
		if !used[i] && titleKey(title) != titleKey(ReasonTitle) {
			c.Unused = append(c.Unused, UnusedColumn{t.name(i), t.looks[i] > looksOther})
		}
	}
	return c
}

// name is a column's title, or its place: what is no title may be a phone number.
func (t *table) name(column int) string {
	if t.header == nil || !isTitle(t.titles[column]) {
		return fmt.Sprintf("column %d", column+1)
	}
	return t.titles[column]
}
