package store

import (
	"cmp"
	"context"
	"iter"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/phone"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
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
	number   uint64 // of the block
	old, new block.Bitmap
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

// changes walks the list and the staged content together and yields each block that either holds. A change is valid until
// the next.
func (s *Store) changes(ctx context.Context, in loadInput) iter.Seq2[*change, error] {
	return func(yield func(*change, error) bool) {
		w, err := s.openChanges(in)
		if err != nil {
			yield(nil, err)
			return
		}
		defer w.close()
		for i := 0; ; i++ {
			if i%yieldBlocks == 0 {
				runtime.Gosched()
			}
			more, err := w.next()
			if err := cmp.Or(ctx.Err(), err); err != nil {
				yield(nil, err)
				return
			}
			if !more || !yield(&w.change, nil) {
				return
			}
		}
	}
}

// changeWalk walks a list and what a load brings, block by block.
type changeWalk struct {
	s      *Store
	in     loadInput
	cursor *blockCursor
	source blockSource
	change
}

func (s *Store) openChanges(in loadInput) (w *changeWalk, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	source, err := s.openSource(in)
	if err != nil {
		return nil, err
	}
	return &changeWalk{s: s, in: in, cursor: s.newBlockCursor(in.list, in.at), source: source}, nil
}

func (w *changeWalk) close() {
	w.source.close()
	w.cursor.close()
}

// next works out the next change; false at the end.
func (w *changeWalk) next() (more bool, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	stored, found := w.cursor.peek()
	brought, more := w.source.peek()
	if !found && !more {
		return false, nil
	}
	w.change = change{}
	inStore := found && (!more || stored.number <= brought)
	inLoad := more && (!found || brought <= stored.number)
	if w.number = stored.number; inLoad {
		w.number = brought
	}
	if inStore {
		if err := w.unpackShown(stored); err != nil {
			return false, err
		}
		w.cursor.advance()
	}
	var add, remove block.Bitmap
	if inLoad {
		if err := w.source.read(&add, &remove); err != nil {
			return false, err
		}
	}
	w.new = w.in.mode.merge(&w.old, &add, &remove)
	return true, nil
}

// unpackShown fills in the block as the list shows it, though a later version may be there.
func (w *changeWalk) unpackShown(stored storedBlock) error {
	l := w.in.list
	if stored.version <= l.Visible {
		p, err := w.cursor.packed()
		p.AddTo(&w.old)
		return err
	}
	w.stale = true
	if l.Visible == 0 {
		return nil
	}
	shown, err := w.s.readBlock(l, stored.number)
	shown.AddTo(&w.old)
	return err
}

func (m Mode) merge(old, add, remove *block.Bitmap) (b block.Bitmap) {
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
	hash := ascending.NewHash[uint64]()
	outside := outsiders{list: in.list}
	known := in.mode == Replace // the list becomes the content, which is hashed already
	var numbers []uint64
	for ch, err := range s.changes(ctx, in) {
		if err != nil {
			return nil, err
		}
		c.count(ch, set)
		c.outside += outside.count(ch.number, &ch.new)
		progress(c.numbers() + c.removed)
		if !known {
			numbers = ch.new.AppendNumbers(numbers[:0], ch.number)
			hash.Add(numbers)
		}
	}
	c.rollUp(set)
	c.result = in.sha
	if !known {
		c.result = hash.Sum()
	}
	return c, nil
}

func (c *comparison) count(ch *change, set phone.PrefixSet) {
	var kept, added, removed block.Bitmap
	for i := range kept {
		kept[i] = ch.old[i] & ch.new[i]
		added[i] = ch.new[i] &^ ch.old[i]
		removed[i] = ch.old[i] &^ ch.new[i]
	}
	c.unchanged += uint64(kept.Count())
	c.added += uint64(added.Count())
	c.removed += uint64(removed.Count())
	if set.Len() == 0 {
		return
	}
	c.countPrefixes(ch.number, &ch.old, set, func(p *prefixCount, n uint64) { p.before += n })
	c.countPrefixes(ch.number, &ch.new, set, func(p *prefixCount, n uint64) { p.after += n })
}

// countPrefixes adds the numbers of a block to the longest prefix that covers them. Nearly every block lies in one as a
// whole: no prefix that leaves four digits open begins or ends inside it, when its first and last number agree.
func (c *comparison) countPrefixes(number uint64, bits *block.Bitmap, set phone.PrefixSet, add func(*prefixCount, uint64)) {
	first := set.Index(phone.Number(number << block.Bits))
	last := set.Index(phone.Number(number<<block.Bits + block.Mask))
	coarse := len(strconv.FormatUint(number<<block.Bits, 10))-c.longest >= 4
	if coarse && first == last {
		if first >= 0 {
			add(&c.prefixes[first], uint64(bits.Count()))
		}
		return
	}
	for n := range bits.Numbers(number) {
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
