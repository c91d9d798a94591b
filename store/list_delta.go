package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/delta"
)

// feedDir holds differences of lists while feeds read them.
const feedDir = "feed"

// maxDeltaBytes bounds the differences that are kept and that nobody reads.
const maxDeltaBytes = 512 << 20

// contentStep is from one content of a list to a later one.
type contentStep struct {
	list     policy.EventID
	from, to uint64 // content revisions; from 0: nothing
}

func (c contentStep) fileName() string {
	return fmt.Sprintf("%d-%d-%d-%d", c.list.Revision, c.list.Index, c.from, c.to)
}

// deltas are the differences that feeds read, each worked out once. The zero value has none.
type deltas struct {
	mu      sync.Mutex
	kept    map[contentStep]*keptDelta
	uses    uint64 // counts up: the order of use
	maximum int64  // bytes kept that nobody reads; 0: maxDeltaBytes
}

// keptDelta is one difference, and who reads it.
type keptDelta struct {
	*delta.Delta
	made    chan struct{} // closed when it is there, or err is
	err     error
	readers int
	used    uint64
}

// sharedDelta returns what came to a list and went from it. release must be called when it is no longer read. Errors:
// ErrDamaged, ErrClosed, ErrDiskFull, and the context's, also that of the caller who is working it out.
func (s *Store) sharedDelta(ctx context.Context, step contentStep) (d *delta.Delta, release func(), err error) {
	for {
		k, first := s.deltas.join(step)
		if first {
			k.Delta, k.err = s.makeDelta(ctx, step)
			close(k.made)
		}
		select {
		case <-k.made:
		case <-ctx.Done():
			return nil, nil, errors.Join(ctx.Err(), s.deltas.leave(step, k))
		}
		if k.err == nil {
			return k.Delta, func() { s.warnIf("drop a difference of a list", s.deltas.leave(step, k)) }, nil
		}
		err := s.deltas.leave(step, k)
		if first || ctx.Err() != nil {
			return nil, nil, errors.Join(k.err, err)
		}
	}
}

// join adds a reader to a difference. The first one makes it.
func (d *deltas) join(step contentStep) (k *keptDelta, first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept == nil {
		d.kept = map[contentStep]*keptDelta{}
	}
	d.uses++
	if k = d.kept[step]; k == nil {
		k, first = &keptDelta{made: make(chan struct{})}, true
		d.kept[step] = k
	}
	k.readers++
	k.used = d.uses
	return k, first
}

// leave takes a reader away. A difference that could not be made is forgotten: the next reader tries again.
func (d *deltas) leave(step contentStep, k *keptDelta) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	k.readers--
	select {
	case <-k.made:
	default:
		return nil
	}
	if k.err != nil {
		if d.kept[step] == k {
			delete(d.kept, step)
		}
		return nil
	}
	return d.trim()
}

// trim drops the differences that were used longest ago, while too much is kept that nobody reads.
func (d *deltas) trim() error {
	most := d.maximum
	if most == 0 {
		most = maxDeltaBytes
	}
	for {
		var oldest contentStep
		idle := int64(0)
		for step, k := range d.kept {
			if k.readers > 0 || k.Delta == nil {
				continue
			}
			idle += k.Bytes
			if o := d.kept[oldest]; o == nil || k.used < o.used {
				oldest = step
			}
		}
		if idle <= most {
			return nil
		}
		k := d.kept[oldest]
		delete(d.kept, oldest)
		if err := k.Close(); err != nil {
			return err
		}
	}
}

// makeDelta works a difference out into a file.
func (s *Store) makeDelta(ctx context.Context, step contentStep) (d *delta.Delta, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	if err := s.checkSpace(0); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, feedDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep a difference: %w", err)
	}
	b, err := delta.Create(filepath.Join(dir, step.fileName()))
	if err != nil {
		return nil, err
	}
	defer func() {
		if d == nil {
			s.warnIf("drop a difference of a list", b.Abandon())
		}
	}()
	came := func(old, now *block.Bitmap, i int) uint64 { return now[i] &^ old[i] }
	went := func(old, now *block.Bitmap, i int) uint64 { return old[i] &^ now[i] }
	if err := s.eachDifference(ctx, step, came, b.Add); err != nil {
		return nil, err
	}
	if err := s.eachDifference(ctx, step, went, b.Remove); err != nil {
		return nil, err
	}
	if err := s.watch.intact(); err != nil { // else a block that was not found may be there
		return nil, err
	}
	return b.End()
}

// eachDifference calls add with the numbers that pick takes from each block that changed, in order.
func (s *Store) eachDifference(
	ctx context.Context, step contentStep, pick func(old, now *block.Bitmap, word int) uint64, add func(...uint64) error,
) error {
	before := &List{ID: step.list, ContentRevision: step.from}
	c := s.newBlockCursor(&List{ID: step.list, ContentRevision: step.to}, step.to)
	defer c.close()
	var numbers []uint64
	for i := 0; ; i++ {
		if i%yieldBlocks == 0 {
			runtime.Gosched()
		}
		if err := s.feedStopped(ctx); err != nil {
			return err
		}
		at, more := c.peek()
		if !more {
			return nil
		}
		if at.version > step.from {
			var old, now, picked block.Bitmap
			if err := c.readBoth(before, &old, &now); err != nil {
				return err
			}
			for w := range picked {
				picked[w] = pick(&old, &now, w)
			}
			numbers = picked.AppendNumbers(numbers[:0], at.number)
			if err := add(numbers...); err != nil {
				return err
			}
		}
		c.advance()
	}
}

// feedStopped returns why a feed may read no further: its caller has gone, or the store is closing.
func (s *Store) feedStopped(ctx context.Context) error {
	if s.isClosing() {
		return ErrClosed
	}
	return ctx.Err()
}

// readBoth reads the cursor's block, and what it was before.
func (c *blockCursor) readBoth(before *List, old, now *block.Bitmap) error {
	at, _ := c.peek()
	packed, err := c.packed()
	if err != nil {
		return err
	}
	packed.AddTo(now)
	if before.ContentRevision == 0 {
		return nil
	}
	packed, err = c.s.readBlock(before, at.number)
	packed.AddTo(old)
	return err
}

// dropDeltas deletes what an earlier process left, and what is kept at the end.
func (s *Store) dropDeltas() error { return os.RemoveAll(filepath.Join(s.dir, feedDir)) }
