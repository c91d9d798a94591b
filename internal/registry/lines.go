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

// lines splits a file into lines without copying them. A line ends with LF or
// CRLF. The last line may have no end: that is what cut reports.
type lines struct {
	src      io.Reader
	buf      []byte
	pos, end int
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

// next returns the next line without its end, in UTF-8, valid until the next
// call. It returns io.EOF after the last, and errLongLine with the start of a line that
// is too long, the rest of which it passes over.
func (l *lines) next() ([]byte, error) {
	from := 0 // bytes of the window already searched
	for {
		w := l.window()
		if i := bytes.IndexByte(w[from:], '\n'); i >= 0 {
			return l.take(w[:from+i], from+i+1)
		}
		if len(w) > maxLine {
			return l.long(w[:maxLine])
		}
		from = len(w)
		if l.fill() {
			continue
		}
		if l.err != io.EOF {
			return nil, l.err
		}
		return l.last()
	}
}

// take consumes n bytes and returns line without the CR of its end.
func (l *lines) take(line []byte, n int) ([]byte, error) {
	l.skip(n, 1)
	if len(line) > maxLine {
		return line[:maxLine], errLongLine
	}
	return l.decode(bytes.TrimSuffix(line, []byte("\r"))), nil
}

// last returns what follows the last line end.
func (l *lines) last() ([]byte, error) {
	w := l.window()
	if len(w) == 0 {
		return nil, io.EOF
	}
	l.skip(len(w), 1)
	line, whole := bytes.CutSuffix(w, []byte("\r"))
	l.cut = !whole
	return l.decode(line), nil
}

// long passes over a line whose start is given, up to its end or the file's.
func (l *lines) long(start []byte) ([]byte, error) {
	start = bytes.Clone(start)
	for {
		w := l.window()
		if i := bytes.IndexByte(w, '\n'); i >= 0 {
			l.skip(i+1, 1)
			return start, errLongLine
		}
		l.pos = l.end
		if l.fill() {
			continue
		}
		if l.err != io.EOF {
			return nil, l.err
		}
		l.skip(0, 1)
		return start, errLongLine
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
