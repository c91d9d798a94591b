package registry

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitter splits csv into records as encoding/csv does without LazyQuotes, but that
// a quote inside a cell without quotes is a character, as in 5" screen, and within bounds: a quote that
// is never closed costs the record it is in, not the rest of the file.
type splitter struct {
	lines  *lines
	delim  byte
	reject func(line int64, reason string, text []byte)
	hollow bool // lines of delimiters are records too, not only those that hold something

	again []textLine // lines to be read again, after a record that was none
	text  []byte     // of the record at hand, when it has quotes that only parser can read
	bare  []byte     // of the record at hand, without its quotes

	parser *csv.Reader // reads source, one record at a time
	source bytes.Reader
}

// entry is one record, valid until the next is read.
type entry struct {
	line   int64
	text   []byte   // as the file has it, without the line end
	bare   []byte   // the fields, unquoted, with the delimiter between them
	fields []string // unquoted, instead of bare: of a record that cannot be written without quotes
	delim  byte
	cut    bool // the file ends in its last field, which may be incomplete
	open   bool // the file ends here without a line end
}

type textLine struct {
	number int64
	text   []byte
	cut    bool
	long   bool // only its start is here
}

// next returns the next record that is not blank; errRejected for one that
// went to the rejects.
func (r *splitter) next() (entry, error) {
	for {
		line, err := r.line()
		if err != nil {
			return entry{}, err
		}
		if line.long {
			r.reject(line.number, ReasonTooLong, line.text)
			return entry{}, errRejected
		}
		if r.empty(line.text) && !(r.hollow && bytes.IndexByte(line.text, r.delim) >= 0) {
			continue
		}
		if bytes.IndexByte(line.text, '"') >= 0 {
			return r.quoted(line)
		}
		return entry{line: line.number, text: line.text, bare: line.text, delim: r.delim, cut: line.cut, open: line.cut}, nil
	}
}

func (r *splitter) line() (textLine, error) {
	if len(r.again) > 0 {
		first := r.again[0]
		r.again = r.again[1:]
		return first, nil
	}
	text, err := r.lines.next()
	long := errors.Is(err, errLongLine)
	if err != nil && !long {
		return textLine{}, err
	}
	return textLine{r.lines.number, text, r.lines.cut, long}, nil
}

// empty reports whether a line has no content: office programs leave lines of
// delimiters behind.
func (r *splitter) empty(line []byte) bool {
	for _, c := range line {
		if c != r.delim && c != ' ' && c != '\t' {
			return false
		}
	}
	return true
}

// quoted reads the record that begins with first, which has quotes and may go
// on over further lines. When the quotes do not match, first is rejected and
// the further lines are read again as records of their own.
func (r *splitter) quoted(first textLine) (entry, error) {
	if bare, ok := r.unquote(first.text); ok {
		cut := first.cut && !bytes.HasSuffix(first.text, []byte{'"'})
		return entry{line: first.number, text: first.text, bare: bare, delim: r.delim, cut: cut, open: first.cut}, nil
	}
	q := r.follow(quotes{}, first.text)
	if !q.any && !q.bad { // only quotes within cells, which cannot be written like this
		return entry{line: first.number, text: first.text, fields: strings.Split(string(first.text), string(r.delim)), delim: r.delim, cut: first.cut, open: first.cut}, nil
	}
	r.text = append(r.text[:0], first.text...)
	size := len(r.text)
	rest, last, err := r.gather(q)
	if err != nil {
		return entry{}, err
	}
	fields, ok := r.parse()
	if last.inside || last.bad || !ok {
		r.again = slices.Concat(rest, r.again)
		r.reject(first.number, whyUnpaired(first, q), r.text[:size])
		return entry{}, errRejected
	}
	open := first.cut || len(rest) > 0 && rest[len(rest)-1].cut
	return entry{line: first.number, text: r.text, fields: fields, delim: r.delim, cut: open && !last.closed, open: open}, nil
}

// whyUnpaired is the reason why a record whose quotes do not match is none: the quote that is missing may have followed.
func whyUnpaired(first textLine, q quotes) string {
	if first.cut && q.inside {
		return ReasonCut
	}
	return ReasonQuotes
}

// quotes is how those of a record stand up to some place.
type quotes struct {
	any    bool // a cell has quotes around it
	inside bool // such a cell is open at the end of the line
	closed bool // such a cell was the last
	bad    bool // they stand where none may
}

// follow continues over a line. A quote with nothing but space before it is bad: it was probably meant to begin its
// cell.
func (r *splitter) follow(q quotes, line []byte) quotes {
	for {
		if !q.inside && !bytes.HasPrefix(line, []byte{'"'}) {
			cell, rest, more := bytes.Cut(line, []byte{r.delim})
			q.closed, q.bad = false, bytes.HasPrefix(bytes.TrimLeft(cell, " \t"), []byte{'"'})
			if !more || q.bad {
				return q
			}
			line = rest
			continue
		}
		if !q.inside {
			q.any, q.inside, line = true, true, line[1:]
		}
		end := bytes.IndexByte(line, '"')
		switch {
		case end < 0:
			return q
		case end+1 == len(line):
			q.inside, q.closed = false, true
			return q
		case line[end+1] == r.delim:
			q.inside = false
		case line[end+1] != '"':
			q.bad = true
			return q
		}
		line = line[end+2:]
	}
}

// unquote returns a record without its quotes, if they only stand around whole fields that need
// none: most programs put them around each. All else is the parser's.
func (r *splitter) unquote(line []byte) ([]byte, bool) {
	r.bare = slices.Grow(r.bare[:0], len(line))[:len(line)]
	n, inside := 0, false
	for i, c := range line {
		switch {
		case c != '"':
			if c == r.delim && inside {
				return nil, false
			}
			r.bare[n] = c
			n++
		case inside && i+1 < len(line) && line[i+1] != r.delim, !inside && i > 0 && line[i-1] != r.delim:
			return nil, false
		case !inside && i+1 < len(line) && mayBeSpace(line[i+1]):
			return nil, false
		default:
			inside = !inside
		}
	}
	return r.bare[:n], !inside
}

// mayBeSpace reports whether a field that begins so may need its quotes: some programs trim space.
func mayBeSpace(b byte) bool { return b <= ' ' || b >= utf8.RuneSelf }

// gather appends lines to the text until its quotes are paired, and returns
// them. It gives up at the file's end and at a record of more than maxLine.
func (r *splitter) gather(q quotes) ([]textLine, quotes, error) {
	var rest []textLine
	for q.inside && !q.bad {
		line, err := r.line()
		if err == io.EOF {
			return rest, q, nil
		}
		if err != nil {
			return nil, q, err
		}
		line.text = bytes.Clone(line.text)
		rest = append(rest, line)
		if line.long || len(r.text)+len(line.text) > maxLine {
			return rest, q, nil
		}
		r.text = append(append(r.text, '\n'), line.text...)
		q = r.follow(q, line.text)
	}
	return rest, q, nil
}

// parse returns the fields of the text, which is one whole record.
func (r *splitter) parse() ([]string, bool) {
	if r.parser == nil {
		r.parser = csv.NewReader(&r.source)
		r.parser.Comma = rune(r.delim)
		r.parser.FieldsPerRecord = -1
		r.parser.ReuseRecord = true
		r.parser.LazyQuotes = true // of those that follow took for characters
	}
	n := len(r.text)
	r.text = append(r.text, '\n')
	r.source.Reset(r.text)
	r.text = r.text[:n]
	fields, err := r.parser.Read()
	if err != nil {
		r.parser = nil // it may hold a part of this record
		return nil, false
	}
	return fields, true
}

// column returns a field, from 0, and whether the record has it.
func (rec *entry) column(i int) ([]byte, bool) {
	if rec.fields != nil {
		if i >= len(rec.fields) {
			return nil, false
		}
		return []byte(rec.fields[i]), true
	}
	rest := rec.bare
	for ; i > 0; i-- {
		end := bytes.IndexByte(rest, rec.delim)
		if end < 0 {
			return nil, false
		}
		rest = rest[end+1:]
	}
	if end := bytes.IndexByte(rest, rec.delim); end >= 0 {
		return rest[:end], true
	}
	return rest, true
}

// last reports whether a field is the record's last, where a file that was cut
// short ends.
func (rec *entry) last(i int) bool {
	_, more := rec.column(i + 1)
	return !more
}

// filledFrom reports whether the field i, or one behind it, holds more than spaces.
func (rec *entry) filledFrom(i int) bool {
	if rec.fields != nil {
		return strings.TrimSpace(strings.Join(rec.fields[min(i, len(rec.fields)):], "")) != ""
	}
	if bytes.Count(rec.bare, []byte{rec.delim}) < i {
		return false
	}
	rest := rec.bare
	for ; i > 0; i-- {
		rest = rest[bytes.IndexByte(rest, rec.delim)+1:]
	}
	return len(bytes.TrimLeftFunc(rest, func(c rune) bool { return c == rune(rec.delim) || unicode.IsSpace(c) })) > 0
}

// all returns the fields, copied.
func (rec *entry) all() []string {
	if rec.fields != nil {
		return slices.Clone(rec.fields)
	}
	var list []string
	for _, field := range bytes.Split(rec.bare, []byte{rec.delim}) {
		list = append(list, string(field))
	}
	return list
}
