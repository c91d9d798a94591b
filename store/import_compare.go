package store

import (
	"cmp"
	"context"
	"iter"
	"runtime"
	"runtime/debug"

	"github.com/dncd/dncd/internal/phone"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/compare"
)

// Mode says what a load does to the list.
type Mode uint8

// The modes of a load; the numbers are stored.
const (
	Replace  Mode = Mode(storev1.LoadMode_LOAD_MODE_REPLACE)  // the list becomes the load
	Add      Mode = Mode(storev1.LoadMode_LOAD_MODE_ADD)      // the load is added
	Remove   Mode = Mode(storev1.LoadMode_LOAD_MODE_REMOVE)   // the load is taken away
	Delta    Mode = Mode(storev1.LoadMode_LOAD_MODE_DELTA)    // additions and removals; a number in both stays
	Revert   Mode = Mode(storev1.LoadMode_LOAD_MODE_REVERT)   // the list becomes what it was; see Store.Revert
	OptOuts  Mode = Mode(storev1.LoadMode_LOAD_MODE_OPT_OUTS) // only of an ImportEntry: rows of opt-outs, of no list
	Consents Mode = Mode(storev1.LoadMode_LOAD_MODE_CONSENTS) // the same: rows of consents
	// Reload writes the view as it is again, after a load was abandoned. The store's own.
	Reload Mode = Mode(storev1.LoadMode_LOAD_MODE_RELOAD)
	// Respell replaces former spellings by the present digits; see respell.go. The store's own.
	Respell Mode = Mode(storev1.LoadMode_LOAD_MODE_RESPELL)
)

// loadInput is what a load is worked out from: the same input gives the same changes, however often.
type loadInput struct {
	list     *List  // as it is compared
	at       uint64 // timestamp of the walk: the content revision to compare, P-1 to write
	mode     Mode
	staged   string // content file; "" for Reload and Revert
	sha      []byte // of the content file
	revertTo uint64 // of Revert: the older content revision
}

// yieldBlocks is after how many blocks a load yields to other goroutines: some tens of microseconds. A goroutine that
// never waits keeps its processor for ten milliseconds, and a load has as many of them as there are cores. A yield
// changes threads, which costs some microseconds: at every 16 blocks it was a third of the load of a sparse list.
const yieldBlocks = 128

// changes walks the list and the staged content together and yields each block that either holds. A change is valid until
// the next.
func (s *Store) changes(ctx context.Context, in loadInput) iter.Seq2[*compare.Change, error] {
	return func(yield func(*compare.Change, error) bool) {
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
			if !more || !yield(&w.Change, nil) {
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
	compare.Change
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
	w.Change = compare.Change{}
	inStore := found && (!more || stored.number <= brought)
	inLoad := more && (!found || brought <= stored.number)
	if w.Number = stored.number; inLoad {
		w.Number = brought
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
	w.New = w.in.mode.merge(&w.Old, &add, &remove)
	return true, nil
}

// unpackShown fills in the block as the list shows it, though a later version may be there.
func (w *changeWalk) unpackShown(stored storedBlock) error {
	l := w.in.list
	if stored.version <= l.ContentRevision {
		p, err := w.cursor.packed()
		p.AddTo(&w.Old)
		return err
	}
	w.Stale = true
	if l.ContentRevision == 0 {
		return nil
	}
	shown, err := w.s.readBlock(l, stored.number)
	shown.AddTo(&w.Old)
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
		case Delta, Respell:
			b[i] = old[i]&^remove[i] | add[i]
		default:
			b[i] = old[i]
		}
	}
	return b
}

// compare works out what the load would change, over all and in each prefix.
func (s *Store) compare(ctx context.Context, in loadInput, prefixes []phone.Prefix, progress func(done uint64)) (*compare.Comparison, error) {
	known := in.mode == Replace // the list becomes the content, which is hashed already
	c := compare.NewCounter(&in.list.List, prefixes, !known)
	for ch, err := range s.changes(ctx, in) {
		if err != nil {
			return nil, err
		}
		c.Add(ch)
		progress(c.Numbers() + c.Removed)
	}
	result := c.End()
	if known {
		result.Result = in.sha
	}
	return result, nil
}
