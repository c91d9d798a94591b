package registry

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// passText consumes what stands before the next tag. Inside an ac it is a
// reject, unless it is space or what a rejected ph holds. After the last tag it
// returns io.EOF.
func (d *ftcXML) passText() error {
	end, err := d.find(0, "<")
	switch {
	case err == io.EOF && !d.any:
		return errNoXML
	case err == io.EOF && d.root != "":
		return errXMLCut
	case err != nil && !errors.Is(err, errLongLine):
		return err
	}
	text := d.lines.window()[:end]
	told := d.told
	d.told = err != nil && told // a long text comes in pieces
	blank := len(text) - len(bytes.TrimLeft(text, xmlSpace))
	line := d.line + int64(bytes.Count(text[:blank], newline))
	d.skip(end)
	if blank < len(text) && d.area >= 0 && !told {
		d.reject(line, ReasonXMLOther, bytes.TrimSpace(text))
		d.told = err != nil
	}
	if err != nil {
		return errRejected
	}
	return nil
}

// tag consumes the tag that the window begins with and returns it. It ends with
// its >, or before the < of the next. Of a comment nothing is returned.
func (d *ftcXML) tag() ([]byte, error) {
	comment, err := d.passComment()
	if comment || err != nil {
		return nil, err
	}
	end, err := d.find(1, "<>")
	if err == io.EOF {
		return nil, errXMLCut
	}
	if err != nil && !errors.Is(err, errLongLine) {
		return nil, err
	}
	w := d.lines.window()
	if err == nil && w[end] == '>' {
		end++
	}
	d.skip(end)
	return w[:end], err
}

// passComment consumes a comment, if the window begins with one.
func (d *ftcXML) passComment() (bool, error) {
	for len(d.lines.window()) < 4 && d.lines.fill() {
	}
	if !bytes.HasPrefix(d.lines.window(), []byte("<!--")) {
		return false, nil
	}
	d.skip(4)
	for {
		w := d.lines.window()
		if end := bytes.Index(w, []byte("-->")); end >= 0 {
			d.skip(end + 3)
			return true, nil
		}
		d.skip(max(0, len(w)-2))
		if d.lines.fill() {
			continue
		}
		if d.lines.err != io.EOF {
			return true, d.lines.err
		}
		return true, errXMLCut
	}
}

// find returns where in the window, at from or behind, the first of some ASCII
// characters is. Without one it returns the end of what may be consumed with
// errLongLine, or with the error of the source at its end.
func (d *ftcXML) find(from int, chars string) (int, error) {
	for {
		w := d.lines.window()
		if i := bytes.IndexAny(w[min(from, len(w)):], chars); i >= 0 {
			return from + i, nil
		}
		if len(w) > maxLine {
			return len(w), errLongLine
		}
		from = max(from, len(w))
		if !d.lines.fill() {
			return len(d.lines.window()), d.lines.err
		}
	}
}

// skip consumes n bytes of the window.
func (d *ftcXML) skip(n int) {
	d.line += int64(bytes.Count(d.lines.window()[:n], newline))
	d.lines.skip(n, 0)
}

var newline = []byte("\n")

const xmlSpace = " \t\r\n"

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// xmlTag is a tag, valid as long as its text.
type xmlTag struct {
	name    string // lower case
	closing bool   // </name>
	empty   bool   // <name/>
	attrs   []xmlAttr
}

type xmlAttr struct {
	name  string // lower case
	value []byte
}

// parseTag reads a tag from < to >. Its > may be missing. Declarations and
// processing instructions are closing tags of no element.
func parseTag(raw []byte) xmlTag {
	body := bytes.Trim(raw, "<>"+xmlSpace)
	rest, closing := bytes.CutPrefix(body, []byte("/"))
	if len(rest) == 0 || rest[0] == '!' || rest[0] == '?' {
		return xmlTag{closing: true}
	}
	rest, empty := bytes.CutSuffix(rest, []byte("/"))
	rest = bytes.Trim(rest, xmlSpace)
	end := bytes.IndexAny(rest, xmlSpace+"/")
	if end < 0 {
		end = len(rest)
	}
	t := xmlTag{name: strings.ToLower(string(rest[:end])), closing: closing, empty: empty}
	for rest = trimAttr(rest[end:]); len(rest) > 0; rest = trimAttr(rest) {
		var a xmlAttr
		a, rest = cutAttr(rest)
		t.attrs = append(t.attrs, a)
	}
	return t
}

func trimAttr(text []byte) []byte { return bytes.TrimLeft(text, "/"+xmlSpace) }

// cutAttr reads name = 'value' from text that begins with the name, and returns
// what follows. A value without its second quote ends like one without quotes.
func cutAttr(text []byte) (xmlAttr, []byte) {
	end := bytes.IndexAny(text, "="+xmlSpace)
	if end < 0 {
		return xmlAttr{name: strings.ToLower(string(text))}, nil
	}
	a := xmlAttr{name: strings.ToLower(string(text[:end]))}
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(text[end:], xmlSpace), []byte("="))
	if !ok {
		return a, rest
	}
	rest = bytes.TrimLeft(rest, xmlSpace)
	if len(rest) > 0 && (rest[0] == '\'' || rest[0] == '"') {
		quote := rest[0]
		rest = rest[1:]
		if end := bytes.IndexByte(rest, quote); end >= 0 {
			a.value = rest[:end]
			return a, rest[end+1:]
		}
	}
	if end = bytes.IndexAny(rest, xmlSpace); end < 0 {
		end = len(rest)
	}
	a.value = rest[:end]
	return a, rest[end:]
}

func (t *xmlTag) attr(name string) ([]byte, bool) {
	for _, a := range t.attrs {
		if a.name == name {
			return a.value, true
		}
	}
	return nil, false
}

// digits returns the value of the attribute val, if it is that many digits.
func (t *xmlTag) digits(n int) (uint64, bool) {
	text, _ := t.attr("val")
	text = bytes.Trim(text, xmlSpace)
	if len(text) != n {
		return 0, false
	}
	return allDigits(text)
}
