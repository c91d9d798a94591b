package registry

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/dncd/dncd/internal/phone"
)

// ftcXML reads the XML of the US registry, and of the Canadian one:
//
//	<list type='full' level='ac' val='415'>
//	<ac val='415'>
//	<ph val='5550100' />
//	</ac>
//	</list>
//
// It scans for tags by hand, because encoding/xml refuses the examples that the
// registries print, which are not always well-formed: quotes of either kind or
// none, either case, any space, elements that are not closed, a tag whose end is
// missing. What it counts it counts strictly: a ph is a number or a reject, and
// so is what else stands inside an ac.
type ftcXML struct {
	content
	line int64  // where the window begins, from 1
	root string // the outermost element, while it is open
	any  bool   // there was an element
	told bool   // the text that follows belongs to what was rejected already
	area int    // of the ac that is open; -1: none
	base uint64 // its numbers start here
}

var (
	errXMLCut = errors.New("the XML is cut off: fetch the file again")
	errNoXML  = errors.New("no XML in it: cut off, or a file of another format")
)

func openXML(in content) (decoder, error) {
	return &ftcXML{content: in, line: 1, area: -1}, nil
}

func (d *ftcXML) next(batch []phone.Number) (int, error) {
	n := 0
	for {
		n += d.fast(batch[n:])
		if n == len(batch) {
			return n, nil
		}
		number, err := d.slow()
		switch {
		case err == nil && number != 0:
			batch[n] = number
			n++
		case err == io.EOF && n > 0:
			return n, nil
		case err != nil && !errors.Is(err, errRejected):
			return 0, err
		}
	}
}

// The longest regular element is <ph val='NNNNNNN' />.
const phElement = 20

const (
	phStart   = 0x3d6c61762068703c // "<ph val=" as a little-endian word
	lowerCase = 0x0020202000202000 // or-ed to it makes its letters lower case
)

// fast reads regular elements, and the space between, from the window.
func (d *ftcXML) fast(batch []phone.Number) int {
	if d.area < 0 {
		return 0
	}
	w := d.lines.window()
	p, n := 0, 0
	for n < len(batch) && len(w)-p >= phElement {
		if c := w[p]; isSpace(c) {
			if c == '\n' {
				d.line++
			}
			p++
			continue
		}
		local, size := regularPh(w[p : p+phElement : p+phElement])
		if size == 0 {
			break
		}
		batch[n] = phone.Number(d.base + local)
		n++
		p += size
	}
	d.lines.skip(p, 0)
	if n > 0 {
		d.areas[d.area] = true
	}
	return n
}

// regularPh returns the digits and the size of the tag that text begins with; 0
// for any but the regular ones.
func regularPh(text []byte) (local uint64, size int) {
	quote := text[8]
	if binary.LittleEndian.Uint64(text)|lowerCase != phStart || quote != '\'' && quote != '"' || text[16] != quote {
		return 0, 0
	}
	local, ok := sevenDigits(binary.LittleEndian.Uint64(text[9:]))
	size = 17
	if text[size] == ' ' {
		size++
	}
	if text[size] == '/' {
		size++
	}
	if !ok || text[size] != '>' {
		return 0, 0
	}
	return local, size + 1
}

// slow reads the text up to a tag, and the tag. The number is 0 when the tag
// is none of a number.
func (d *ftcXML) slow() (phone.Number, error) {
	if err := d.passText(); err != nil {
		return 0, err
	}
	line := d.line
	raw, err := d.tag()
	if errors.Is(err, errLongLine) {
		d.told = true
		d.reject(line, ReasonTooLong, raw)
		return 0, errRejected
	}
	if err != nil {
		return 0, err
	}
	number, reason, err := d.take(parseTag(raw))
	if reason != "" {
		d.told = !bytes.HasSuffix(raw, []byte("/>"))
		d.reject(line, reason, raw)
		return 0, errRejected
	}
	return number, err
}

// take does what a tag says. It returns a number, 0 for a tag of another kind,
// or the reason why a tag is a reject.
func (d *ftcXML) take(t xmlTag) (phone.Number, string, error) {
	switch {
	case t.closing:
		d.leave(t.name)
		return 0, "", nil
	case t.name == "ph":
		return d.number(t)
	case t.name == "ac":
		d.enter(t)
	case t.name == "list" && !isFull(t):
		return 0, "", errors.New("the XML says that it is not a full list: only type='full' is read")
	case d.area >= 0:
		return 0, ReasonXMLOther, nil
	}
	d.any = true
	if d.root == "" && !t.empty {
		d.root = t.name
	}
	return 0, "", nil
}

func (d *ftcXML) number(t xmlTag) (phone.Number, string, error) {
	local, ok := t.digits(7)
	switch {
	case !ok || len(t.attrs) > 1: // another attribute could say that it was removed
		return 0, ReasonXMLNumber, nil
	case d.area < 0:
		return 0, ReasonXMLArea, nil
	}
	d.areas[d.area] = true
	return phone.Number(d.base + local), "", nil
}

func (d *ftcXML) enter(t xmlTag) {
	d.area = -1
	code, ok := t.digits(3)
	base, known := areaBase(int(code))
	if ok && known && !t.empty {
		d.area, d.base = int(code), base
	}
}

func (d *ftcXML) leave(name string) {
	if name == "ac" || name == d.root {
		d.area = -1
	}
	if name == d.root {
		d.root = ""
	}
}

// isFull reports whether a list is not of another type, such as changes, whose
// numbers may be deletions.
func isFull(t xmlTag) bool {
	kind, ok := t.attr("type")
	return !ok || bytes.EqualFold(kind, []byte("full"))
}
