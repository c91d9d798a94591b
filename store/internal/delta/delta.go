// Package delta keeps in a file what came to a list and what went from it, in parts. The file is a copy of what the database
// knows: it is made again when it is needed again.
package delta

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/store/internal/fault"
)

// PartNumbers is how many numbers a part holds. The last of the additions, and the last of the removals, may hold fewer.
const PartNumbers = 8192

// Part is some of the numbers that came, or some that went.
type Part struct {
	Removed   bool   // they went
	Numbers   int    // how many there are
	Ascending []byte // see package ascending; each part is a run of its own
}

// Delta is what came and what went. It never changes, and may be read by many.
type Delta struct {
	Added, Removed uint64
	Bytes          int64

	f      *os.File
	places []place
}

// place is where a part is in the file.
type place struct {
	at      int64
	length  int
	numbers int
	removed bool
	crc     uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Builder makes a Delta. Use Create.
type Builder struct {
	d       *Delta
	w       *bufio.Writer
	numbers []uint64 // of the part in the making
	removed bool
	run     []byte
}

// Create begins a file, in place of one that is there.
func Create(path string) (*Builder, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep a difference: %w", err)
	}
	return &Builder{d: &Delta{f: f}, w: bufio.NewWriterSize(f, 1<<16)}, nil
}

// Add adds numbers that came, ascending over all calls. They come before those that went.
func (b *Builder) Add(numbers ...uint64) error {
	b.d.Added += uint64(len(numbers))
	return b.add(numbers)
}

// Remove adds numbers that went, ascending over all calls.
func (b *Builder) Remove(numbers ...uint64) error {
	if !b.removed {
		if err := b.endPart(); err != nil {
			return err
		}
		b.removed = true
	}
	b.d.Removed += uint64(len(numbers))
	return b.add(numbers)
}

func (b *Builder) add(numbers []uint64) error {
	for len(numbers) > 0 {
		n := min(len(numbers), PartNumbers-len(b.numbers))
		b.numbers = append(b.numbers, numbers[:n]...)
		numbers = numbers[n:]
		if len(b.numbers) < PartNumbers {
			continue
		}
		if err := b.endPart(); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) endPart() error {
	if len(b.numbers) == 0 {
		return nil
	}
	b.run = ascending.Append(b.run[:0], 0, b.numbers...)
	b.d.places = append(b.d.places, place{
		at: b.d.Bytes, length: len(b.run), numbers: len(b.numbers), removed: b.removed, crc: crc32.Checksum(b.run, castagnoli),
	})
	b.d.Bytes += int64(len(b.run))
	b.numbers = b.numbers[:0]
	if _, err := b.w.Write(b.run); err != nil {
		return fmt.Errorf("keep a difference: %w", err)
	}
	return nil
}

// End returns the difference.
func (b *Builder) End() (*Delta, error) {
	if err := b.endPart(); err != nil {
		return nil, err
	}
	if err := b.w.Flush(); err != nil {
		return nil, fmt.Errorf("keep a difference: %w", err)
	}
	return b.d, nil
}

// Abandon drops what was made so far.
func (b *Builder) Abandon() error { return b.d.Close() }

// Parts is how many parts there are: those of the additions, then those of the removals.
func (d *Delta) Parts() int { return len(d.places) }

// Part reads the i-th part. Its error is fault.ErrDamaged for a part that is not what was written.
func (d *Delta) Part(i int) (Part, error) {
	p := d.places[i]
	run := make([]byte, p.length)
	if _, err := d.f.ReadAt(run, p.at); err != nil {
		return Part{}, fmt.Errorf("read a difference: %w", err)
	}
	if crc32.Checksum(run, castagnoli) != p.crc {
		return Part{}, fmt.Errorf("%w: a kept difference of a list is not what was written", fault.ErrDamaged)
	}
	return Part{Removed: p.removed, Numbers: p.numbers, Ascending: run}, nil
}

// Close deletes the file.
func (d *Delta) Close() error { return errors.Join(d.f.Close(), os.Remove(d.f.Name())) }
