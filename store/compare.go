package store

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"

	"github.com/dncd/dncd/internal/phone"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// Mode says what a load does to the list.
type Mode uint8

// The modes of a load; the numbers are stored.
const (
	Replace Mode = Mode(storev1.LoadMode_LOAD_MODE_REPLACE)  // the list becomes the load
	Add     Mode = Mode(storev1.LoadMode_LOAD_MODE_ADD)      // the load is added
	Remove  Mode = Mode(storev1.LoadMode_LOAD_MODE_REMOVE)   // the load is taken away
	Delta   Mode = Mode(storev1.LoadMode_LOAD_MODE_DELTA)    // additions and removals; a number in both stays
	Revert  Mode = Mode(storev1.LoadMode_LOAD_MODE_REVERT)   // the list becomes what it was; see Store.Revert
	OptOuts Mode = Mode(storev1.LoadMode_LOAD_MODE_OPT_OUTS) // of an ImportEntry alone: rows of opt-outs, of no list
	// Reload writes the view as it is again, after a load was abandoned. The store's own.
	Reload Mode = Mode(storev1.LoadMode_LOAD_MODE_RELOAD)
)

// change is what a load does to one block.
type change struct {
	block    uint64
	old, new bitmap
	stale    bool // it has a version later than what is visible, of a load that never switched
}

func (c *change) differs() bool { return c.old != c.new }

// loadInput is what a load is worked out from: the same input gives the same changes, however often.
type loadInput struct {
	list   *List  // at the visible it is compared with
	at     uint64 // timestamp of the walk: visible to compare, P-1 to write
	mode   Mode
	staged string // content file; "" for Reload and Revert
	sha    []byte // of the content file
	past   uint64 // of Revert: the older visible
}

// yieldBlocks is after how many blocks a load yields to other goroutines: some tens of microseconds. A goroutine that
// never waits keeps its processor for ten milliseconds, and a load has as many of them as there are cores. A yield
// changes threads, which costs some microseconds: at every 16 blocks it was a third of the load of a sparse list.
const yieldBlocks = 128

// eachChange walks the list and the staged content together and calls f for each block that either holds.
func (s *Store) eachChange(ctx context.Context, in loadInput, f func(*change) error) (err error) {
	defer readEnded(debug.SetPanicOnFault(true), &err)
	txn := s.db.NewTransactionAt(in.at, false)
	defer txn.Discard()
	cursor := s.newBlockCursor(txn, in.list)
	defer cursor.close()
	source, err := s.openSource(in)
	if err != nil {
		return err
	}
	defer source.close()
	var c change
	for i := 0; ; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i%yieldBlocks == 0 {
			runtime.Gosched()
		}
		ok, err := s.nextChange(&c, in, cursor, source)
		if err != nil || !ok {
			return err
		}
		if err := f(&c); err != nil {
			return err
		}
	}
}

func (s *Store) nextChange(c *change, in loadInput, cursor *blockCursor, source blockSource) (bool, error) {
	stored, found := cursor.next()
	brought, more := source.peek()
	if !found && !more {
		return false, nil
	}
	*c = change{}
	inStore := found && (!more || stored.block <= brought)
	inLoad := more && (!found || brought <= stored.block)
	if c.block = stored.block; inLoad {
		c.block = brought
	}
	if inStore {
		if err := s.unpackVisible(c, in.list, cursor, stored); err != nil {
			return false, err
		}
		cursor.advance()
	}
	var add, remove bitmap
	if inLoad {
		if err := source.take(&add, &remove); err != nil {
			return false, err
		}
	}
	c.new = in.mode.merge(&c.old, &add, &remove)
	return true, nil
}

// unpackVisible fills in the block as the list shows it, though a later version may lie there.
func (s *Store) unpackVisible(c *change, l *List, cursor *blockCursor, stored storedBlock) error {
	if stored.version <= l.Visible {
		p, err := cursor.packed()
		p.unpack(&c.old)
		return err
	}
	c.stale = true
	if l.Visible == 0 {
		return nil
	}
	visible, err := s.readBlock(l, stored.block)
	visible.unpack(&c.old)
	return err
}

func (m Mode) merge(old, add, remove *bitmap) (b bitmap) {
	for i := range b {
		switch m {
		case Replace, Revert:
			b[i] = add[i]
		case Add:
			b[i] = old[i] | add[i]
		case Remove:
			b[i] = old[i] &^ add[i]
		case Delta:
			b[i] = old[i]&^remove[i] | add[i]
		default:
			b[i] = old[i]
		}
	}
	return b
}

// comparison is what a load would change.
type comparison struct {
	added, removed, unchanged uint64
	outside                   uint64 // of the numbers after: those for whose regions the list does not speak
	prefixes                  []prefixCount
	longest                   int    // digits of the longest prefix
	result                    []byte // SHA-256 of the numbers after
}

type prefixCount struct {
	prefix        string
	before, after uint64
}

func (c *comparison) before() uint64  { return c.unchanged + c.removed }
func (c *comparison) numbers() uint64 { return c.unchanged + c.added }

func (c *comparison) isUnchanged() bool { return c.added == 0 && c.removed == 0 }

// compare works out what the load would change, over all and in each prefix.
func (s *Store) compare(ctx context.Context, in loadInput, prefixes []phone.Prefix, progress func(done uint64)) (*comparison, error) {
	set := phone.NewPrefixSet(prefixes)
	c := &comparison{prefixes: make([]prefixCount, set.Len())}
	for i, p := range set.All() {
		c.prefixes[i].prefix = p.String()
		c.longest = max(c.longest, p.Digits())
	}
	hash := newAscendingWriter(discard{})
	outside := outsiders{list: in.list}
	known := in.mode == Replace // the list becomes the content, which is hashed already
	var numbers []uint64
	err := s.eachChange(ctx, in, func(ch *change) error {
		c.count(ch, set)
		c.outside += outside.count(ch.block, &ch.new)
		progress(c.numbers() + c.removed)
		if known {
			return nil
		}
		numbers = ch.new.appendNumbers(numbers[:0], ch.block)
		return hash.add(numbers)
	})
	if err := errors.Join(err, hash.flush()); err != nil {
		return nil, err
	}
	c.rollUp(set)
	c.result = in.sha
	if !known {
		c.result = hash.sha.Sum(nil)
	}
	return c, nil
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func (c *comparison) count(ch *change, set phone.PrefixSet) {
	var kept, added, removed bitmap
	for i := range kept {
		kept[i] = ch.old[i] & ch.new[i]
		added[i] = ch.new[i] &^ ch.old[i]
		removed[i] = ch.old[i] &^ ch.new[i]
	}
	c.unchanged += uint64(kept.count())
	c.added += uint64(added.count())
	c.removed += uint64(removed.count())
	if set.Len() == 0 {
		return
	}
	c.countPrefixes(ch.block, &ch.old, set, func(p *prefixCount, n uint64) { p.before += n })
	c.countPrefixes(ch.block, &ch.new, set, func(p *prefixCount, n uint64) { p.after += n })
}

// countPrefixes adds the numbers of a block to the longest prefix that covers them. Nearly every block lies in one as a
// whole: no prefix that leaves four digits open begins or ends inside it, when its first and last number agree.
func (c *comparison) countPrefixes(block uint64, bits *bitmap, set phone.PrefixSet, add func(*prefixCount, uint64)) {
	first := set.Index(phone.Number(block << blockBits))
	last := set.Index(phone.Number(block<<blockBits + blockMask))
	coarse := len(strconv.FormatUint(block<<blockBits, 10))-c.longest >= 4
	if coarse && first == last {
		if first >= 0 {
			add(&c.prefixes[first], uint64(bits.count()))
		}
		return
	}
	for n := range bits.numbers(block) {
		if i := set.Index(phone.Number(n)); i >= 0 {
			add(&c.prefixes[i], 1)
		}
	}
}

// rollUp adds to a prefix what was counted under longer ones that begin with it. Those come behind it.
func (c *comparison) rollUp(set phone.PrefixSet) {
	prefixes := make([]phone.Prefix, 0, set.Len())
	for _, p := range set.All() {
		prefixes = append(prefixes, p)
	}
	for i, p := range slices.Backward(prefixes) {
		if outer := set.Index(phone.Number(p / 10)); outer >= 0 {
			c.prefixes[outer].before += c.prefixes[i].before
			c.prefixes[outer].after += c.prefixes[i].after
		}
	}
}

// held are the prefixes in which the list would hold a number.
func (c *comparison) held() []string {
	held := []string{}
	for _, p := range c.prefixes {
		if p.after > 0 {
			held = append(held, p.prefix)
		}
	}
	slices.Sort(held)
	return held
}

// byLoss puts the prefixes that lose most first.
func byLoss(a, b prefixCount) int {
	return cmp.Compare(int64(b.before)-int64(b.after), int64(a.before)-int64(a.after))
}
