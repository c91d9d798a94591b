package registry

import (
	"errors"
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
		{"a", nil}, {"", nil}, {"bc", nil}, {long, nil}, {long, errLongLine}, {long, errLongLine}, {"d\r", nil}, {"\re", nil},
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
