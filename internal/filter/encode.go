package filter

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
)

// Encode writes h and the Set as it is when Encode is called: all that was added before the call, and nothing that is
// added later. Adders and Tests continue meanwhile. w gets pieces of 4 KiB and more.
func (s *Set) Encode(w io.Writer, h Header) error {
	if err := s.Clone().encode(w, h); err != nil {
		return fmt.Errorf("encode filter: %w", err)
	}
	return nil
}

// encode writes a Set that nothing is added to.
func (s *Set) encode(w io.Writer, h Header) error {
	p, err := s.prologue(h)
	if err != nil {
		return err
	}
	e := encoder{w: w, sum: sha256.New()}
	e.write(&p)
	s.eachLevel(func(l *level) { e.write(l.counts) })
	s.eachLevel(func(l *level) {
		for i := range l.parts {
			if l.counts[i] > 0 {
				e.partition(l.parts[i].Load())
			}
		}
	})
	e.bytes(e.sum.Sum(nil))
	return e.err
}

// encoder keeps the first error, after which it writes nothing.
type encoder struct {
	w   io.Writer
	sum hash.Hash
	buf []byte
	err error
}

func (e *encoder) write(v any) {
	if e.err != nil {
		return
	}
	e.buf, e.err = binary.Append(e.buf[:0], binary.LittleEndian, v)
	e.bytes(e.buf)
}

func (e *encoder) partition(p *partition) {
	e.buf = e.buf[:0]
	for i := range p {
		for _, w := range p[i] {
			e.buf = binary.LittleEndian.AppendUint64(e.buf, w)
		}
	}
	e.bytes(e.buf)
}

func (e *encoder) bytes(b []byte) {
	if e.err == nil {
		e.sum.Write(b)
		_, e.err = e.w.Write(b)
	}
}
