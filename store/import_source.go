package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/store/internal/block"
)

// blockSource yields what a load brings, block by block, ascending.
type blockSource interface {
	// peek is the block that comes next; false at the end.
	peek() (uint64, bool)
	// read fills in what the next block adds and removes, and moves behind it.
	read(add, remove *block.Bitmap) error
	close()
}

// openSource opens what a load is worked out from.
func (s *Store) openSource(in loadInput) (blockSource, error) {
	switch in.mode {
	case Reload:
		return emptySource{}, nil
	case Revert:
		return s.openRevertSource(in.list, in.revertTo), nil
	}
	return openContent(in.staged, in.mode == Delta || in.mode == Respell)
}

// emptySource is a load that brings nothing.
type emptySource struct{}

func (emptySource) peek() (uint64, bool)          { return 0, false }
func (emptySource) read(_, _ *block.Bitmap) error { return nil }
func (emptySource) close()                        {}

// contentSource reads a content file.
type contentSource struct {
	file    *os.File
	r       *ascending.Reader
	at      uint64 // the number that is next
	more    bool
	changes bool // entries of a delta: see deltaEntry
}

func openContent(path string, changes bool) (*contentSource, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStage, err)
	}
	b := &contentSource{file: f, r: ascending.NewReader(f), changes: changes}
	if err := b.next(); err != nil {
		f.Close()
		return nil, err
	}
	return b, nil
}

// next moves to the next number.
func (b *contentSource) next() error {
	at, err := b.r.Next()
	b.at, b.more = at, err == nil
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrStage, err)
	}
	return nil
}

// deltaEntry is how the stage of a delta holds a number: the last bit says whether it is removed.
func deltaEntry(number uint64, removed bool) uint64 {
	if removed {
		return number<<1 | 1
	}
	return number << 1
}

func (b *contentSource) number() (n uint64, removed bool) {
	if b.changes {
		return b.at >> 1, b.at&1 == 1
	}
	return b.at, false
}

func (b *contentSource) peek() (uint64, bool) {
	n, _ := b.number()
	return n >> block.Bits, b.more
}

func (b *contentSource) read(add, remove *block.Bitmap) error {
	number, _ := b.peek()
	for b.more {
		n, removed := b.number()
		if n>>block.Bits != number {
			return nil
		}
		if removed {
			remove.Set(n & block.Mask)
		} else {
			add.Set(n & block.Mask)
		}
		if err := b.next(); err != nil {
			return err
		}
	}
	return nil
}

func (b *contentSource) close() { b.file.Close() }

// revertSource reads a list as it was at an older content revision.
type revertSource struct {
	cursor *blockCursor
	at     storedBlock
	more   bool
}

func (s *Store) openRevertSource(l *List, revision uint64) *revertSource {
	b := &revertSource{cursor: s.newBlockCursor(l, revision)}
	b.at, b.more = b.cursor.peek()
	return b
}

func (b *revertSource) peek() (uint64, bool) { return b.at.number, b.more }

func (b *revertSource) read(add, _ *block.Bitmap) error {
	p, err := b.cursor.packed()
	if err != nil {
		return err
	}
	p.AddTo(add)
	b.cursor.advance()
	b.at, b.more = b.cursor.peek()
	return nil
}

func (b *revertSource) close() { b.cursor.close() }
