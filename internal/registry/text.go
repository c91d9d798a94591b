package registry

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// The encoding of a text is detected like this:
//
//   - A byte order mark decides between UTF-8 and UTF-16, which is what Excel
//     calls "Unicode text". UTF-16 without a mark is recognised by its zeros: every
//     second byte of plain letters and digits.
//   - Without a mark, or with that of UTF-8, a line that is valid UTF-8 is UTF-8,
//     and any other line is Windows-1252. Each line is judged separately: files
//     are assembled from exports of several programs, and a line in one encoding
//     is almost never valid in the other by chance. It cannot change a number,
//     since digits are the same bytes in both.

// start passes over a byte order mark and refuses content that is not text.
func (l *lines) start() error {
	for len(l.window()) < 4 && l.fill() {
	}
	head := l.window()
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		l.skip(3, 0)
	case bytes.HasPrefix(head, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(head, []byte("\x00\x00\xfe\xff")):
		return errors.New("the text is UTF-32: save it as UTF-8")
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		l.fromUTF16(unicode.LittleEndian, unicode.ExpectBOM)
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		l.fromUTF16(unicode.BigEndian, unicode.ExpectBOM)
	case bytes.IndexByte(head, 0) >= 0:
		if order, ok := l.unmarkedUTF16(); ok {
			l.fromUTF16(order, unicode.IgnoreBOM)
		}
	}
	return l.refuseBinary()
}

// unmarkedUTF16 finds the byte order of UTF-16 without a mark: most of its first characters are ASCII, with a zero byte
// on the same side, and none is zero itself.
func (l *lines) unmarkedUTF16() (unicode.Endianness, bool) {
	const sample = 512
	for len(l.window()) < sample && l.fill() {
	}
	head := l.window()[:min(len(l.window()), sample)]
	var little, big int
	for ; len(head) > 1; head = head[2:] {
		switch {
		case head[0] == 0 && head[1] == 0:
			return unicode.LittleEndian, false
		case head[1] == 0 && isText(head[0]):
			little++
		case head[0] == 0 && isText(head[1]):
			big++
		default:
			little, big = little-1, big-1
		}
	}
	if big > 0 && little > 0 {
		return unicode.LittleEndian, false
	}
	if big > 0 {
		return unicode.BigEndian, true
	}
	return unicode.LittleEndian, little > 0
}

func isText(c byte) bool { return c >= ' ' && c < 0x7f || c == '\t' || c == '\r' || c == '\n' }

// fromUTF16 reads the rest, and what is at hand, through a decoder. What is
// not UTF-16, such as half a character at the end, becomes U+FFFD, which no
// number has.
func (l *lines) fromUTF16(order unicode.Endianness, mark unicode.BOMPolicy) {
	decoder := unicode.UTF16(order, mark).NewDecoder()
	src := l.src
	if l.err != nil {
		src = failed{l.err}
	}
	l.src = transform.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(l.window())), src), decoder)
	l.pos, l.end, l.lf, l.err = 0, 0, 0, nil
}

// failed is a source that has ended.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// packings are the files that people give instead of the text inside.
var packings = [...]struct{ magic, name string }{
	{"PK\x03\x04", "a zip within another file, or on standard input"},
	{"PK\x05\x06", "a zip within another file, or on standard input"},
	{string(gzipMagic), "compressed twice"},
	{string(zstdMagic), "compressed twice"},
	{"BZh", "compressed with bzip2"},
	{"\xfd7zXZ", "compressed with xz"},
	{"7z\xbc\xaf", "a 7z archive"},
	{"Rar!", "a rar archive"},
}

func (l *lines) refuseBinary() error {
	for _, p := range packings {
		if bytes.HasPrefix(l.window(), []byte(p.magic)) {
			return errors.New(p.name + ": unpack it first")
		}
	}
	if bytes.HasPrefix(l.window(), []byte("\xd0\xcf\x11\xe0")) {
		return errors.New("an office document: save it as csv")
	}
	if l.isTar() {
		return errors.New("a tar archive: unpack it first")
	}
	return nil
}

// isTar looks for the mark of a tar, whose first block has NUL bytes before it.
func (l *lines) isTar() bool {
	const at, mark = 257, "ustar"
	for len(l.window()) < at+len(mark) && bytes.IndexByte(l.window(), 0) >= 0 && l.fill() {
	}
	w := l.window()
	return len(w) >= at+len(mark) && string(w[at:at+len(mark)]) == mark
}

// decode returns a line as UTF-8, valid until the next.
func (l *lines) decode(line []byte) []byte {
	if utf8.Valid(line) {
		return line
	}
	l.text = l.text[:0]
	for _, c := range line {
		l.text = utf8.AppendRune(l.text, charmap.Windows1252.DecodeByte(c))
	}
	return l.text
}
