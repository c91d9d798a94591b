package filter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	// ErrCorrupt says that a file is damaged, cut short or no filter at all.
	ErrCorrupt = errors.New("filter file is damaged")
	// ErrVersion says that a file is whole or not, but of another format, layout
	// or hash than this program reads.
	ErrVersion = errors.New("filter file is of another version")
)

// Header identifies the set that a file holds, and its state. The store writes it and compares it; this package only carries it.
type Header struct {
	Set       string   // e.g. "records", or a list's id; at most 255 bytes
	JournalID [16]byte // the journal that Revision counts in
	Revision  uint64   // the file holds at least all that was in the set at it
	Chain     [32]byte // the journal's chain hash at Revision
}

// A file is, all integers little-endian: a prologue; for each level, for each
// partition, the count of its numbers (uint64); the 4 KiB of each partition with
// a count that is not 0, in the same order; the SHA-256 of all of that.
const (
	version   = 1
	maxName   = 255
	maxParts  = maxCapacity // one number a partition is the least there can be
	proSize   = 8 + 6*4 + 3*8 + 16 + 8 + 32 + 1 + maxName
	countSize = 8
	sumSize   = 32
)

var magic = [8]byte{'d', 'n', 'c', 'f', 'i', 'l', 't', '\n'}

// prologue is the first proSize bytes of a file.
type prologue struct {
	Magic                 [8]byte
	Version, Layout, Hash uint32
	K, Levels, Zero       uint32
	Parts, PerPart, Len   uint64
	JournalID             [16]byte
	Revision              uint64
	Chain                 [32]byte
	NameLen               uint8
	Name                  [maxName]byte
}

func (s *Set) prologue(h Header) (prologue, error) {
	if s.empty() {
		return prologue{}, errors.New("a nil or zero set has no filter to write")
	}
	if len(h.Set) > maxName {
		return prologue{}, fmt.Errorf("the set's name has %d bytes, at most %d are allowed", len(h.Set), maxName)
	}
	p := prologue{
		Magic: magic, Version: version, Layout: layoutID, Hash: hashID,
		K: uint32(s.k), Levels: uint32(s.Chain()),
		Parts: uint64(s.parts), PerPart: s.perPart, Len: s.Len(),
		JournalID: h.JournalID, Revision: h.Revision, Chain: h.Chain,
		NameLen: uint8(len(h.Set)),
	}
	copy(p.Name[:], h.Set)
	return p, nil
}

func (p *prologue) header() Header {
	return Header{
		Set: string(p.Name[:p.NameLen]), JournalID: p.JournalID,
		Revision: p.Revision, Chain: p.Chain,
	}
}

// parsePrologue refuses what no Encode of this version could have written.
// size is the file's.
func parsePrologue(b []byte, size int64) (*prologue, error) {
	var p prologue
	if _, err := binary.Decode(b, binary.LittleEndian, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if p.Magic != magic {
		return nil, fmt.Errorf("%w: it does not begin as a filter file", ErrCorrupt)
	}
	if p.Version != version || p.Layout != layoutID || p.Hash != hashID {
		return nil, fmt.Errorf("%w: version %d, layout %d, hash %d; this program reads %d, %d, %d",
			ErrVersion, p.Version, p.Layout, p.Hash, version, layoutID, hashID)
	}
	return &p, p.check(uint64(size))
}

func (p *prologue) check(size uint64) error {
	switch {
	case p.K < 1 || p.K > maxK, p.Zero != 0,
		p.PerPart < 1 || p.PerPart > partLines*lineBits,
		len(bytes.TrimRight(p.Name[p.NameLen:], "\x00")) > 0:
		return fmt.Errorf("%w: impossible parameters", ErrCorrupt)
	case p.Levels < 1 || p.Levels > maxChain, p.Parts < 1 || p.Parts > maxParts,
		proSize+p.counts()*countSize+sumSize > size:
		return fmt.Errorf("%w: its size does not fit its header", ErrCorrupt)
	}
	return nil
}

func (p *prologue) counts() uint64 { return uint64(p.Levels) * p.Parts }

func (p *prologue) shape() shape {
	return shape{k: uint(p.K), perPart: p.PerPart, parts: int(p.Parts)}
}
