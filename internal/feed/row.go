package feed

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"time"

	"github.com/dncd/dncd/internal/phone"
)

// Source says where a row comes from: the opt-outs, or one list. The zero Source is the opt-outs.
type Source struct{ List EventID }

const optOut = "opt-out"

// String is "opt-out", or the list's id.
func (s Source) String() string { return string(s.append(nil)) }

func (s Source) append(b []byte) []byte {
	if s == (Source{}) {
		return append(b, optOut...)
	}
	return appendID(b, s.List)
}

// ParseSource reads what String writes.
func ParseSource(s string) (Source, error) {
	if s == optOut {
		return Source{}, nil
	}
	id, err := ParseEventID(s)
	return Source{id}, err
}

// Row is one prohibition that a subscriber holds: the number may not be called at the scope and below.
type Row struct {
	Number phone.Number
	Scope  Scope
	Source Source
	Until  time.Time // the latest end in force; zero: never
}

// AppendText appends the row's line.
func (r Row) AppendText(b []byte) []byte {
	b = append(r.Number.AppendE164(b), '\t')
	b = append(append(b, r.Scope...), '\t')
	b = append(r.Source.append(b), '\t')
	return append(appendTime(b, r.Until), '\n')
}

// ParseRow reads one line that AppendText writes.
func ParseRow(line string) (Row, error) {
	parts, err := splitLine(line)
	f := &fields{next: parts, err: err}
	r := Row{
		Number: value(f, f.take(), parseNumber),
		Scope:  value(f, f.take(), parseScope),
		Source: value(f, f.take(), ParseSource),
		Until:  value(f, f.take(), parseTime),
	}
	if err := f.end(); err != nil {
		return Row{}, fmt.Errorf("row: %w", err)
	}
	if err := again(r.AppendText(nil), line); err != nil {
		return Row{}, fmt.Errorf("row: %w", err)
	}
	return r, nil
}

// Compare orders rows by number, as integers, and rows of one number as their lines, bytewise.
func (r Row) Compare(o Row) int {
	var a, b [2 * MaxLine]byte
	return compareLines(r.AppendText(a[:0]), o.AppendText(b[:0]))
}

// compareLines orders the lines of rows. Numbers have no leading zero: the longer one is the larger.
func compareLines(a, b []byte) int {
	return cmp.Or(cmp.Compare(bytes.IndexByte(a, '\t'), bytes.IndexByte(b, '\t')), bytes.Compare(a, b))
}

// MaxLine is more than the bytes of any line of rows and changes: the scope has 255.
const MaxLine = 512

// Digest says what a set of rows is: how many, and the SHA-256 over their lines in order. That of a position has the rows
// in force at the time of its revision: one whose end is at or before it is left out. The zero Digest is none; that of no
// rows has a hash.
type Digest struct {
	Count  uint64
	SHA256 Hash
}

// IsZero reports whether d is none.
func (d Digest) IsZero() bool { return d == Digest{} }

// Digester hashes the lines of rows. Use NewDigester.
type Digester struct {
	sum   hash.Hash
	count uint64
	last  []byte
}

// NewDigester returns the digester of no rows.
func NewDigester() *Digester { return &Digester{sum: sha256.New()} }

// Add adds the line of a row. It returns ErrOrder unless the line comes after the last one and is of another number, scope or
// source: a set has one row for each.
func (d *Digester) Add(line []byte) error {
	if !isLine(line, 3) {
		return malformed("a row is one line of four fields")
	}
	if d.count > 0 && compareLines(d.last, line) >= 0 {
		return fmt.Errorf("%w: row %d does not come after the one before it", ErrOrder, d.count+1)
	}
	if bytes.Equal(rowKey(d.last), rowKey(line)) {
		return fmt.Errorf("%w: row %d has the number, scope and source of the one before it", ErrOrder, d.count+1)
	}
	d.last = append(d.last[:0], line...)
	d.count++
	d.sum.Write(line)
	return nil
}

// rowKey is a row's line up to its last field.
func rowKey(line []byte) []byte { return line[:max(0, bytes.LastIndexByte(line, '\t'))] }

// Digest returns that of the rows so far.
func (d *Digester) Digest() Digest { return Digest{d.count, Hash(d.sum.Sum(nil))} }
