package filter

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Decode reads a Set that Encode wrote. It reads size bytes, which is the size of the whole file, and takes about that
// much memory. Its error is ErrVersion for a file of another version, ErrCorrupt for a file that is damaged or does not
// have that size, and otherwise r's own.
func Decode(r io.Reader, size int64) (*Set, Header, error) {
	s, h, err := decode(r, size)
	if err != nil {
		return nil, Header{}, fmt.Errorf("decode filter: %w", err)
	}
	return s, h, nil
}

func decode(r io.Reader, size int64) (*Set, Header, error) {
	if size < proSize+sumSize {
		return nil, Header{}, fmt.Errorf("%w: it is too short", ErrCorrupt)
	}
	d := decoder{
		r:   bufio.NewReaderSize(io.LimitReader(r, size), int(min(size, 1<<18))),
		sum: sha256.New(),
		buf: make([]byte, partBytes),
	}
	head, err := d.next(proSize)
	if err != nil {
		return nil, Header{}, err
	}
	p, err := parsePrologue(head, size)
	if err != nil {
		return nil, Header{}, err
	}
	s, err := d.set(p, size)
	return s, p.header(), err
}

// DecodeHeader reads only the header of a file of that size. It cannot know whether the file is complete; only Decode
// does. Its errors are those of Decode.
func DecodeHeader(r io.Reader, size int64) (Header, error) {
	head := make([]byte, proSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return Header{}, fmt.Errorf("decode filter header: %w: %w", ErrCorrupt, err)
	}
	p, err := parsePrologue(head, size)
	if err != nil {
		return Header{}, fmt.Errorf("decode filter header: %w", err)
	}
	return p.header(), nil
}

// decoder reads and hashes, a partition at a time at most.
type decoder struct {
	r   *bufio.Reader
	sum hash.Hash
	buf []byte
}

// next returns the next n bytes, at most partBytes, valid until the next call.
func (d *decoder) next(n int) ([]byte, error) {
	b := d.buf[:n]
	switch _, err := io.ReadFull(d.r, b); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: it ends early", ErrCorrupt)
	case err != nil:
		return nil, err
	}
	d.sum.Write(b)
	return b, nil
}

// set reads what follows the prologue.
func (d *decoder) set(p *prologue, size int64) (*Set, error) {
	s := newSet(p.shape())
	filled, err := d.counts(s, p)
	if err != nil {
		return nil, err
	}
	if proSize+p.counts()*countSize+filled*partBytes+sumSize != uint64(size) {
		return nil, fmt.Errorf("%w: its size does not fit its counts", ErrCorrupt)
	}
	for l := &s.first; l != nil; l = l.next.Load() {
		if err := d.partitions(l); err != nil {
			return nil, err
		}
	}
	want := d.sum.Sum(nil)
	got, err := d.next(sumSize)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return nil, fmt.Errorf("%w: its SHA-256 is another", ErrCorrupt)
	}
	return s, nil
}

// counts reads the counts of all levels, and returns how many partitions follow.
func (d *decoder) counts(s *Set, p *prologue) (filled uint64, err error) {
	var sum uint64
	l := &s.first
	for n := range p.Levels {
		if n > 0 {
			l = s.after(l)
		}
		for i := range l.counts {
			b, err := d.next(countSize)
			if err != nil {
				return 0, err
			}
			l.counts[i] = binary.LittleEndian.Uint64(b)
			sum += l.counts[i]
			if l.counts[i] > 0 {
				filled++
			}
		}
	}
	if sum != p.Len {
		return 0, fmt.Errorf("%w: its counts do not add up", ErrCorrupt)
	}
	s.n.Store(sum)
	return filled, nil
}

func (d *decoder) partitions(l *level) error {
	for i := range l.parts {
		if l.counts[i] == 0 {
			continue
		}
		b, err := d.next(partBytes)
		if err != nil {
			return err
		}
		l.parts[i].Store(partitionOf(b))
	}
	return nil
}

// partitionOf makes a partition of its partBytes bytes.
func partitionOf(b []byte) *partition {
	p := new(partition)
	for i := range p {
		line := b[i*lineWords*8:][:lineWords*8]
		for j := range p[i] {
			p[i][j] = binary.LittleEndian.Uint64(line[j*8:])
		}
	}
	return p
}
