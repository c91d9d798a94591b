package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"
)

// A block holds those of 4096 consecutive numbers that are on a list, as a sorted array of offsets or as a bitmap,
// whichever is shorter. It is read as it lies: a lookup decodes nothing.
const (
	blockBits  = 12
	blockSize  = 1 << blockBits
	blockMask  = blockSize - 1
	bitmapLen  = blockSize / 64
	maxInArray = blockSize / 8 / 2 // above it a bitmap is shorter
)

const (
	blockArray     byte = 1
	blockBitmap    byte = 2
	blockElsewhere byte = 3 // Badger holds its place in the file of its load, see blockPlace

	maxPacked = 1 + blockSize/8 // the longest form of a block
)

// bitmap is a block in memory: bit i is block*4096+i.
type bitmap [bitmapLen]uint64

func (b *bitmap) set(offset uint64) { b[offset>>6] |= 1 << (offset & 63) }

func (b *bitmap) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// numbers yields the numbers of the block, ascending.
func (b *bitmap) numbers(block uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for i, w := range b {
			for ; w != 0; w &= w - 1 {
				if !yield(block<<blockBits + uint64(i<<6+bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// appendNumbers appends the numbers of the block, ascending.
func (b *bitmap) appendNumbers(to []uint64, block uint64) []uint64 {
	for i, w := range b {
		base := block<<blockBits + uint64(i<<6)
		for ; w != 0; w &= w - 1 {
			to = append(to, base+uint64(bits.TrailingZeros64(w)))
		}
	}
	return to
}

// encode appends the stored form, unsealed. An empty block is an empty array.
func (b *bitmap) encode(to []byte) []byte {
	if b.count() > maxInArray {
		to = append(to, blockBitmap)
		for _, w := range b {
			to = binary.LittleEndian.AppendUint64(to, w)
		}
		return to
	}
	to = append(to, blockArray)
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			to = binary.LittleEndian.AppendUint16(to, uint16(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return to
}

// packed is a block in its stored form, unsealed and checked; nil is an absent block.
type packed []byte

// parsePacked checks the form of a block.
func parsePacked(key, payload []byte) (packed, error) {
	ok := len(payload) > 0
	if ok {
		switch body := payload[1:]; payload[0] {
		case blockArray:
			ok = len(body)%2 == 0 && len(body) <= 2*maxInArray
		case blockBitmap:
			ok = len(payload) == maxPacked
		default:
			ok = false
		}
	}
	if !ok {
		return nil, damagedKey(key)
	}
	return packed(payload), nil
}

func (p packed) contains(n uint64) bool {
	if len(p) == 0 {
		return false
	}
	offset := n & blockMask
	if p[0] == blockBitmap {
		return p[1+offset>>3]&(1<<(offset&7)) != 0
	}
	lo, hi := 0, (len(p)-1)/2
	for lo < hi {
		mid := (lo + hi) / 2
		switch v := uint64(binary.LittleEndian.Uint16(p[1+2*mid:])); {
		case v == offset:
			return true
		case v < offset:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return false
}

// unpack adds the numbers of the block to b.
func (p packed) unpack(b *bitmap) {
	if len(p) == 0 {
		return
	}
	body := p[1:]
	if p[0] == blockBitmap {
		for i := range b {
			b[i] |= binary.LittleEndian.Uint64(body[8*i:])
		}
		return
	}
	for ; len(body) >= 2; body = body[2:] {
		b.set(uint64(binary.LittleEndian.Uint16(body)) & blockMask)
	}
}

// listed reports whether n is on l, read at l's own timestamp.
func (s *Store) listed(l *List, n uint64, past bool) (bool, error) {
	p, err := s.block(l, n>>blockBits, past)
	return p.contains(n), err
}

// block returns a block of l, of the past without the cache; nil when there is none.
func (s *Store) block(l *List, block uint64, past bool) (packed, error) {
	if past {
		return s.readBlock(l, block)
	}
	return s.blocks.get(l, block)
}

// readBlock reads one block of the store; nil when there is none.
func (s *Store) readBlock(l *List, block uint64) (p packed, err error) {
	defer readEnded(debug.SetPanicOnFault(true), &err)
	txn := s.db.NewTransactionAt(l.Visible, false)
	defer txn.Discard()
	item, err := txn.Get(blockKey(l.ID, block))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read block: %w", err)
	}
	return s.packedOf(l, item, nil)
}

// packedOf reads the block of an item. It uses buf when that is large enough.
func (s *Store) packedOf(l *List, item *badger.Item, buf []byte) (p packed, err error) {
	key := item.Key()
	err = item.Value(func(v []byte) error {
		payload, err := unseal(key, v)
		if err != nil {
			return err
		}
		if len(payload) > 0 && payload[0] == blockElsewhere {
			payload, err = s.readPlaced(loadID{l.ID, item.Version()}, key, payload, buf)
		} else {
			payload = append(buf[:0], payload...)
		}
		if err != nil {
			return fmt.Errorf("read block: %w", err)
		}
		p, err = parsePacked(key, payload)
		return err
	})
	return p, err
}

// storedBlock is one block met in an iteration.
type storedBlock struct {
	block   uint64
	version uint64
}

// blockCursor walks the blocks of a list as of one timestamp, in order.
type blockCursor struct {
	s   *Store
	l   *List
	it  *badger.Iterator
	buf []byte
}

func (s *Store) newBlockCursor(txn *badger.Txn, l *List) *blockCursor {
	opt := badger.DefaultIteratorOptions
	opt.Prefix = blockPrefix(l.ID)
	opt.PrefetchValues = false // values lie in mapped tables: nothing to wait for
	it := txn.NewIterator(opt)
	it.Rewind()
	return &blockCursor{s: s, l: l, it: it, buf: make([]byte, 0, maxPacked)}
}

// next returns the next block, ok false at the end.
func (c *blockCursor) next() (b storedBlock, ok bool) {
	if !c.it.Valid() {
		return storedBlock{}, false
	}
	item := c.it.Item()
	return storedBlock{binary.BigEndian.Uint64(item.Key()[1+listIDBytes:]), item.Version()}, true
}

// packed reads the next block; its bytes are valid until the next call. The blocks of a load that was abandoned may be
// gone: only those that the list shows are read.
func (c *blockCursor) packed() (packed, error) { return c.s.packedOf(c.l, c.it.Item(), c.buf) }

// advance moves to the next block.
func (c *blockCursor) advance() { c.it.Next() }

func (c *blockCursor) close() { c.it.Close() }

// eachBlock calls f for every block of l as of timestamp at, in order. The bitmap is used again for the next.
func (s *Store) eachBlock(l *List, at uint64, f func(block uint64, bits *bitmap) error) (err error) {
	defer readEnded(debug.SetPanicOnFault(true), &err)
	if at == 0 {
		return nil
	}
	txn := s.db.NewTransactionAt(at, false)
	defer txn.Discard()
	c := s.newBlockCursor(txn, l)
	defer c.close()
	var b bitmap
	for ; ; c.advance() {
		stored, ok := c.next()
		if !ok {
			return nil
		}
		p, err := c.packed()
		if err != nil {
			return err
		}
		b = bitmap{}
		p.unpack(&b)
		if err := f(stored.block, &b); err != nil {
			return err
		}
	}
}
