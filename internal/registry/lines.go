package registry

import (
	"bytes"
	"errors"
	"io"
)

const (
	// maxLine bounds a line, and a csv record of several lines, in bytes.
	maxLine = 64 << 10
	// lineBuffer holds the longest line with its end and then some.
	lineBuffer = 256 << 10
)

// errLongLine comes with the start of a line longer than maxLine.
var errLongLine = errors.New("line too long")

// lines splits a file into lines without copying them. A line ends with LF, CRLF or CR, as programs of Unix, of
// Windows and of the old Macintosh write it, in any mixture. The last line may have no end: that is what cut reports.
type lines struct {
	src      io.Reader
	buf      []byte
	pos, end int
	lf       int    // there is no LF in buf from pos to here
	number   int64  // of the line returned last, from 1
	cut      bool   // the line returned last has no line end
	err      error  // of src, once seen
	text     []byte // a line that had to be decoded
}

func newLines(src io.Reader) *lines {
	return &lines{src: src, buf: make([]byte, lineBuffer)}
}

// window returns the bytes at hand, for a decoder that reads whole lines from
// them itself and then calls skip.
func (l *lines) window() []byte { return l.buf[l.pos:l.end] }

// skip passes over n bytes of the window, which hold that many whole lines.
func (l *lines) skip(n int, lines int64) {
	l.pos += n
	l.number += lines
	l.cut = false
}

// next returns the next line without its end, in UTF-8, valid until the next call. It returns io.EOF after the last
// line. For a line that is too long it returns errLongLine with its start, and skips the rest.
func (l *lines) next() ([]byte, error) {
	from := 0 // bytes of the window already searched
	for {
		end, size := l.lineEnd(from)
		w := l.window()
		switch {
		case size > 0:
			return l.take(w[:end], end+size)
		case len(w) > maxLine:
			return l.long(w[:maxLine])
		case l.err == io.EOF:
			return l.last()
		case l.err != nil:
			return nil, l.err
		}
		from = end
		l.fill()
	}
}

// lineEnd looks in the window, from where it was searched before, and returns where the line ends and the size of its
// end: 0 when that is not at hand, with how far the window was searched.
func (l *lines) lineEnd(from int) (end, size int) {
	w := l.window()
	until := l.nextLF()
	cr := bytes.IndexByte(w[from:until], '\r')
	switch cr += from; {
	case cr < from && until < len(w):
		return until, 1
	case cr < from:
		return until, 0
	case cr+1 < len(w) && w[cr+1] == '\n':
		return cr, 2
	case cr+1 == len(w) && l.err == nil: // an LF may follow
		return cr, 0
	}
	return cr, 1
}

// nextLF returns the position of the first LF in the window, or the window's size if it has none. It reads each byte
// once, although lines that end with CR call it again.
func (l *lines) nextLF() int {
	l.lf = max(l.lf, l.pos)
	if i := bytes.IndexByte(l.buf[l.lf:l.end], '\n'); i >= 0 {
		l.lf += i
	} else {
		l.lf = l.end
	}
	return l.lf - l.pos
}

// take consumes n bytes and returns the line that they begin with.
func (l *lines) take(line []byte, n int) ([]byte, error) {
	l.skip(n, 1)
	if len(line) > maxLine {
		return line[:maxLine], errLongLine
	}
	return l.decode(line), nil
}

// last returns what follows the last line end.
func (l *lines) last() ([]byte, error) {
	w := l.window()
	if len(w) == 0 {
		return nil, io.EOF
	}
	l.skip(len(w), 1)
	l.cut = true
	return l.decode(w), nil
}

// long passes over a line whose start is given, up to its end or the file's.
func (l *lines) long(start []byte) ([]byte, error) {
	start = bytes.Clone(start)
	for {
		end, size := l.lineEnd(0)
		switch {
		case size > 0 || l.err == io.EOF:
			l.skip(end+size, 1)
			return start, errLongLine
		case l.err != nil:
			return nil, l.err
		}
		l.pos += end
		l.fill()
	}
}

// fill reads more into the buffer, behind what is at hand, and reports whether
// it got any.
func (l *lines) fill() bool {
	if l.err != nil {
		return false
	}
	if l.pos > 0 {
		l.end = copy(l.buf, l.buf[l.pos:l.end])
		l.lf = max(l.lf-l.pos, 0)
		l.pos = 0
	}
	for range 100 {
		n, err := l.src.Read(l.buf[l.end:])
		l.end += n
		l.err = err
		if n > 0 || err != nil {
			return n > 0
		}
	}
	l.err = io.ErrNoProgress
	return false
}

// filled returns the next line that holds more than spaces.
func (l *lines) filled() ([]byte, error) {
	line, err := l.next()
	for err == nil && len(bytes.TrimSpace(line)) == 0 {
		line, err = l.next()
	}
	return line, err
}
