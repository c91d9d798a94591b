package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
)

// block returns a block of l at l's own timestamp, of the past without the cache; nil when there is none.
func (s *Store) block(l *List, number uint64, past bool) (block.Packed, error) {
	if past {
		return s.readBlock(l, number)
	}
	return s.blocks.get(l, number)
}

// readBlock reads one block of the store; nil when there is none.
func (s *Store) readBlock(l *List, number uint64) (p block.Packed, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := s.db.NewTransactionAt(l.ContentRevision, false)
	defer txn.Discard()
	item, err := txn.Get(keys.Block(l.ID, number))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read block: %w", err)
	}
	return s.packedOf(l, item, nil)
}

// packedOf reads the block of an item. It uses buf when that is large enough.
func (s *Store) packedOf(l *List, item *badger.Item, buf []byte) (p block.Packed, err error) {
	key := item.Key()
	err = item.Value(func(v []byte) error {
		payload, err := seal.Open(key, v)
		if err != nil {
			return err
		}
		if block.IsPlace(payload) {
			payload, err = s.files.Read(block.LoadID{List: l.ID, Prepared: item.Version()}, key, payload, buf)
		} else {
			payload = append(buf[:0], payload...)
		}
		if err != nil {
			return fmt.Errorf("read block: %w", err)
		}
		p, err = block.Parse(key, payload)
		return err
	})
	return p, err
}

// storedBlock is one block met in an iteration.
type storedBlock struct {
	number  uint64
	version uint64
}

// blockCursor walks the blocks of a list as of one timestamp, in order.
type blockCursor struct {
	s   *Store
	l   *List
	txn *badger.Txn
	it  *badger.Iterator
	buf []byte
}

func (s *Store) newBlockCursor(l *List, at uint64) *blockCursor {
	opt := badger.DefaultIteratorOptions
	opt.Prefix = keys.BlockPrefix(l.ID)
	opt.PrefetchValues = false // values are in mapped tables: nothing to wait for
	txn := s.db.NewTransactionAt(at, false)
	it := txn.NewIterator(opt)
	it.Rewind()
	return &blockCursor{s: s, l: l, txn: txn, it: it, buf: make([]byte, 0, block.MaxPacked)}
}

// peek returns the next block, ok false at the end.
func (c *blockCursor) peek() (b storedBlock, ok bool) {
	if !c.it.Valid() {
		return storedBlock{}, false
	}
	item := c.it.Item()
	return storedBlock{binary.BigEndian.Uint64(item.Key()[1+keys.ListIDBytes:]), item.Version()}, true
}

// packed reads the next block; its bytes are valid until the next call. The blocks of a load that was abandoned may be
// gone: only those that the list shows are read.
func (c *blockCursor) packed() (block.Packed, error) { return c.s.packedOf(c.l, c.it.Item(), c.buf) }

// advance moves to the next block.
func (c *blockCursor) advance() { c.it.Next() }

func (c *blockCursor) close() {
	c.it.Close()
	c.txn.Discard()
}

// listBlock is a block of a list, by its number.
type listBlock struct {
	number uint64
	bits   block.Bitmap
}

// listBlocks yields the blocks of l as of timestamp at, in order. Each is valid until the next.
func (s *Store) listBlocks(l *List, at uint64) iter.Seq2[*listBlock, error] {
	return func(yield func(*listBlock, error) bool) {
		if at == 0 {
			return
		}
		c, err := s.openBlocks(l, at)
		if err != nil {
			yield(nil, err)
			return
		}
		defer c.close()
		var b listBlock
		for {
			more, err := c.read(&b)
			if err != nil {
				yield(nil, err)
				return
			}
			if !more || !yield(&b, nil) {
				return
			}
		}
	}
}

// openBlocks is newBlockCursor for a caller that catches no damage.
func (s *Store) openBlocks(l *List, at uint64) (c *blockCursor, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	return s.newBlockCursor(l, at), nil
}

// read reads the next block and moves behind it; false at the end.
func (c *blockCursor) read(b *listBlock) (more bool, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	stored, more := c.peek()
	if !more {
		return false, nil
	}
	p, err := c.packed()
	if err != nil {
		return false, err
	}
	b.number, b.bits = stored.number, block.Bitmap{}
	p.AddTo(&b.bits)
	c.advance()
	return true, nil
}

// dropBlockFile deletes the blocks of a load that was abandoned: no list shows them.
func (s *Store) dropBlockFile(id block.LoadID) {
	s.warnIf("delete the blocks of an abandoned load", s.files.Remove(id))
}

// sweepBlockFiles deletes the blocks of abandoned loads that a crash left.
func (s *Store) sweepBlockFiles() {
	files, err := os.ReadDir(s.files.Dir)
	s.warnIf("find the blocks of abandoned loads", disk.IgnoreMissing(err))
	v := s.View()
	for _, f := range files {
		id, ok := block.ParseFileName(f.Name())
		if !ok {
			continue
		}
		if e, err := v.importAt(id.List, id.Prepared); err == nil && e.State == ImportAbandoned {
			s.dropBlockFile(id)
		}
	}
}
