package ascending

import (
	"encoding/binary"
	"errors"
	"io"
)

// Reader reads a run from a stream of bytes. Use NewReader.
type Reader struct {
	r    io.Reader
	buf  []byte
	from int // buf[from:to] was read ahead
	to   int
	err  error // why the reading ended
	at   uint64
}

// NewReader reads the run in r to its end, 256 KiB at a time.
func NewReader(r io.Reader) *Reader { return &Reader{r: r, buf: make([]byte, 1<<18)} }

// Next returns the next number. Errors: io.EOF after the last one, io.ErrUnexpectedEOF if the run ends inside a number,
// ErrCorrupt, and those of the underlying reader.
func (r *Reader) Next() (uint64, error) {
	if r.to-r.from < binary.MaxVarintLen64 {
		r.fill()
	}
	step, n := binary.Uvarint(r.buf[r.from:r.to])
	switch {
	case n > 0 && r.at+step >= r.at:
		r.from += n
		r.at += step
		return r.at, nil
	case n != 0 || r.to-r.from >= binary.MaxVarintLen64:
		return 0, ErrCorrupt
	case errors.Is(r.err, io.EOF) && r.from < r.to:
		return 0, io.ErrUnexpectedEOF
	}
	return 0, r.err
}

// fill reads more, so that the buffer holds the whole next difference unless the stream ends.
func (r *Reader) fill() {
	r.to = copy(r.buf, r.buf[r.from:r.to])
	r.from = 0
	for r.err == nil && r.to < binary.MaxVarintLen64 {
		var n int
		n, r.err = r.r.Read(r.buf[r.to:])
		r.to += n
	}
}
