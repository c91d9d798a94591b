package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// headSize is how much of a file is read to detect its format, unpacked, in bytes.
const headSize = 64 << 10

// ErrFormat is the refusal to choose the format of files that may have more than one: the caller has to name it.
var ErrFormat = errors.New("the format cannot be detected")

// detect sets the format that all sources show. It reads their beginnings; of a
// pipe, what was read is kept for later.
func (r *Reader) detect() error {
	var first *Source // that shows a format: an empty file fits any
	for i := range r.sources {
		s := &r.sources[i]
		found, err := r.detectSource(s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		s.Format = found
		if found == "" {
			continue
		}
		if first == nil {
			first = s
		}
		if found != first.Format {
			return fmt.Errorf("%w: %s looks like %s and %s like %s: load them one by one, or use --format",
				ErrFormat, first.Name, first.Format, s.Name, found)
		}
	}
	if first == nil {
		return fmt.Errorf("%w from empty files: use --format %s", ErrFormat, FormatNames())
	}
	r.meter.Store(0)
	return r.use(first.Format)
}

// use sets the format of all sources.
func (r *Reader) use(f Format) (err error) {
	r.format, err = f.lookup()
	for i := range r.sources {
		r.sources[i].Format = f
	}
	return err
}

func (r *Reader) detectSource(s *Source) (Format, error) {
	l, err := r.head(s)
	if err != nil {
		return "", damaged(err)
	}
	return newSample(l, s, r.opts).format()
}

// head returns the beginning of a source as lines that have it at hand.
func (r *Reader) head(s *Source) (*lines, error) {
	src, err := r.openSource(s)
	if err != nil {
		return nil, err
	}
	if s.blocks {
		if src, err = s.peek(src); err != nil {
			return nil, err
		}
	}
	in, err := unpack(src, s.base)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	l := newLines(in)
	if err := l.start(); err != nil {
		return nil, err
	}
	for len(l.window()) < headSize && l.fill() {
	}
	if len(l.window()) == 0 && l.err != io.EOF {
		return nil, l.err
	}
	// Behind what is at hand any error is the one of reading the whole file.
	return l, nil
}

// peek returns the beginning of a stream that cannot be opened twice, which
// from then on is read by way of the source.
func (s *Source) peek(src io.ReadCloser) (io.ReadCloser, error) {
	head := make([]byte, headSize)
	n, err := io.ReadFull(src, head)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		src.Close()
		return nil, err
	}
	s.opened = plainContent{io.MultiReader(bytes.NewReader(head[:n]), src), src}
	return io.NopCloser(bytes.NewReader(head[:n])), nil
}
