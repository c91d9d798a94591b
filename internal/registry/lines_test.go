package registry

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	text := "a\r\n\nbc\n" + long + "\n" + long + "y\n" + long + long + long + long + long + "\nd\r\r\n\re"
	want := []struct {
		text string
		err  error
	}{
		{"a", nil}, {"", nil}, {"bc", nil}, {long, nil}, {long, errLongLine}, {long, errLongLine}, {"d", nil}, {"", nil}, {"", nil}, {"e", nil},
	}
	readers := map[string]io.Reader{
		"whole":    strings.NewReader(text),
		"by bytes": iotest.OneByteReader(strings.NewReader(text)),
		"with EOF": iotest.DataErrReader(strings.NewReader(text)),
	}
	for name, src := range readers {
		l := newLines(src)
		for i, w := range want {
			line, err := l.next()
			if string(line) != w.text || !errors.Is(err, w.err) || l.number != int64(i+1) {
				t.Fatalf("%s: line %d (%d): got %d bytes, %v", name, i+1, l.number, len(line), err)
			}
			if last := i == len(want)-1; l.cut != last {
				t.Errorf("%s: line %d: cut is %v", name, i+1, l.cut)
			}
		}
		if _, err := l.next(); err != io.EOF {
			t.Errorf("%s: got %v, want EOF", name, err)
		}
	}
}

// Lines that end with CR, LF, CRLF or a mixture are the same lines, however the reads fall.
func TestLineEnds(t *testing.T) {
	for _, end := range []string{"\r", "\n", "\r\n", "\r\n\r", "\n\r\r\n"} {
		var text strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&text, "%d%s", i, end)
		}
		for _, whole := range []bool{true, false} {
			data := text.String()
			if !whole {
				data = strings.TrimRight(data, "\r\n")
			}
			for size := 1; size < 20; size++ {
				l := newLines(&pieces{data, size})
				for i := range 2000 {
					line, err := l.filled()
					if string(line) != fmt.Sprint(i) || err != nil || l.cut != (!whole && i == 1999) {
						t.Fatalf("%q in pieces of %d: line %d is %q, cut %v, %v", end, size, i, line, l.cut, err)
					}
				}
				if line, err := l.filled(); err != io.EOF {
					t.Fatalf("%q: %q, %v behind the end", end, line, err)
				}
			}
		}
	}
}

// pieces reads a text a few bytes at a time.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

// Lines that end with CR are all read from a file of many buffers.
func TestCRLinesOfManyBuffers(t *testing.T) {
	const count = 1_000_000
	l := newLines(strings.NewReader(strings.Repeat("x\r", count)))
	n := 0
	for {
		line, err := l.next()
		if err == io.EOF {
			break
		}
		if string(line) != "x" || err != nil {
			t.Fatalf("line %d is %q, %v", n+1, line, err)
		}
		n++
	}
	if n != count || l.number != count {
		t.Errorf("got %d lines", n)
	}
}

func TestLinesError(t *testing.T) {
	src := io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(io.ErrUnexpectedEOF))
	l := newLines(src)
	if line, err := l.next(); string(line) != "a" || err != nil {
		t.Fatalf("got %q, %v", line, err)
	}
	if line, err := l.next(); err != io.ErrUnexpectedEOF {
		t.Errorf("got %q, %v: a line that may be half is no line", line, err)
	}
}
