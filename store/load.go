package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// blockCommitBytes is how much of a load is committed at once: large enough for speed, small enough that a person's
// opt-out does not wait behind it.
const blockCommitBytes = 128 << 10

// startLoads finishes what a crash interrupted, in the background. Content that no load waits for goes at once, before
// any import can work out its own.
func (s *Store) startLoads() {
	s.sweepStage(0)
	s.run(s.sweepStages)
	for _, l := range s.View().Lists() {
		if l.Pending != 0 {
			s.run(func() { s.resumeLoad(l) })
		}
	}
}

func (s *Store) resumeLoad(l *List) {
	ctx, release, err := s.imports.take(context.Background(), l.ID)
	if err != nil {
		return
	}
	defer release()
	receipt, err := s.finishLoad(ctx, l.ID, l.Pending, func(uint64) {})
	if err != nil {
		s.warnIf("finish the load that was interrupted", err)
		return
	}
	s.log.Info("finished the load that was interrupted", "list", l.Name, "revision", receipt.ID.Revision)
}

// finishLoad writes the blocks of a prepared load and switches to it. A full disk makes it wait; a stage that is
// missing or damaged, or a person who takes over, makes it give up: then the load is abandoned and the view reloaded.
func (s *Store) finishLoad(ctx context.Context, id policy.EventID, prepared uint64, progress func(done uint64)) (Receipt, error) {
	for {
		receipt, err := s.tryLoad(ctx, id, prepared, progress)
		switch {
		case errors.Is(err, errStage):
			return Receipt{}, errors.Join(err, s.abandonLoad(ctx, id, prepared))
		case errors.Is(err, ErrDiskFull), errors.Is(err, ErrBusy):
			if err := s.pause(ctx, time.Second); err != nil {
				return Receipt{}, err
			}
		default:
			return receipt, err
		}
	}
}

// pause waits, unless the load is taken over or the store closes.
func (s *Store) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return ErrClosed
	case <-time.After(d):
		return nil
	}
}

func (s *Store) tryLoad(ctx context.Context, id policy.EventID, prepared uint64, progress func(done uint64)) (Receipt, error) {
	l := s.View().listByID(id)
	if l == nil || l.Pending != prepared {
		return Receipt{}, errMoved
	}
	load := l.state.GetPendingLoad()
	in := loadInput{list: l, at: prepared - 1, mode: Mode(load.GetMode())}
	if in.mode != Reload {
		in.staged = s.contentPath(id, load.GetContent())
		if err := verifyContent(in.staged, load.GetContent()); err != nil {
			return Receipt{}, err
		}
	}
	w := &blockWriter{s: s, list: id, prepared: prepared, filter: filter.NewBuilder(load.GetNumbers(), s.opt.FilterFPR)}
	err := s.eachChange(ctx, in, func(c *change) error {
		if s.isClosing() {
			return ErrClosed
		}
		progress(w.numbers)
		return w.put(c)
	})
	if err = errors.Join(err, w.flush(err)); err != nil {
		return Receipt{}, err
	}
	return s.switchTo(l, load, w)
}

// switchTo makes the load visible, with its filter; the cache keeps what did not change.
func (s *Store) switchTo(l *List, load *storev1.Load, w *blockWriter) (Receipt, error) {
	if w.numbers != load.GetNumbers() {
		return Receipt{}, fmt.Errorf("%w: a load of %d numbers came to %d", errStage, load.GetNumbers(), w.numbers)
	}
	f := w.buildFilter()
	s.blocks.carry(l, w.prepared, w.wrote)
	receipt, err := s.submit(context.Background(), &write{
		event: &storev1.Event{Change: &storev1.Event_LoadSwitched{LoadSwitched: &storev1.LoadSwitched{
			List: listRef(l.ID), Prepared: w.prepared, Commits: w.commits, Crc: w.crc,
		}}},
		filter: f,
	})
	if err != nil {
		return receipt, err
	}
	if len(load.GetContent()) > 0 {
		os.Remove(s.contentPath(l.ID, load.GetContent()))
	}
	if now := s.View().listByID(l.ID); now != nil && now.Visible == w.prepared {
		s.warnIf("save a list's filter", s.saveListFilter(now, f))
		s.dropListFilters(now.ID, listFilterName(now))
	}
	return receipt, nil
}

// abandonLoad frees the list from a load that will not switch, and reloads the view, so that no later version of a
// block stays behind.
func (s *Store) abandonLoad(ctx context.Context, id policy.EventID, prepared uint64) error {
	_, err := s.submit(ctx, &write{event: &storev1.Event{Change: &storev1.Event_LoadAbandoned{
		LoadAbandoned: &storev1.LoadAbandoned{List: listRef(id), Prepared: prepared},
	}}})
	if err != nil {
		return err
	}
	return s.reload(ctx, id)
}

// reload writes the current view of a list over the versions that a load left behind.
func (s *Store) reload(ctx context.Context, id policy.EventID) error {
	l := s.View().listByID(id)
	if l == nil || l.Visible == 0 {
		return nil
	}
	load := withoutSources(l.state.GetLoad())
	load.Mode, load.Content = storev1.LoadMode_LOAD_MODE_RELOAD, nil
	receipt, err := s.prepare(ctx, l, load, Request{})
	if err != nil {
		return err
	}
	_, err = s.finishLoad(ctx, id, receipt.ID.Revision, func(uint64) {})
	return err
}

func (s *Store) prepare(ctx context.Context, l *List, load *storev1.Load, r Request) (Receipt, error) {
	return s.record(ctx, &storev1.Event{Change: &storev1.Event_LoadPrepared{
		LoadPrepared: &storev1.LoadPrepared{List: listRef(l.ID), Load: load, Base: l.Visible},
	}}, r)
}

// blockWriter writes the changed blocks of a load at its timestamp, in commits that are split the same way every
// time, and gathers the filter of the whole result.
type blockWriter struct {
	s        *Store
	list     policy.EventID
	prepared uint64
	filter   *filter.Builder
	batch    []uint64

	txn     *badger.Txn
	bytes   int
	blocks  uint32
	partCRC uint32

	commits uint32
	crc     uint32
	numbers uint64
	changed []uint64 // blocks written with other content, ascending
}

// put adds one block of the result.
func (w *blockWriter) put(c *change) error {
	before := len(w.batch)
	w.batch = c.new.appendNumbers(w.batch, c.block)
	w.numbers += uint64(len(w.batch) - before)
	if len(w.batch) >= filterBatch {
		w.filter.Add(w.batch)
		w.batch = w.batch[:0]
	}
	if c.differs() {
		w.changed = append(w.changed, c.block)
	} else if !c.stale {
		return nil
	}
	return w.write(c.block, &c.new)
}

func (w *blockWriter) write(block uint64, bits *bitmap) error {
	if w.txn == nil {
		w.txn = w.s.db.NewTransactionAt(w.prepared, true)
	}
	key := blockKey(w.list, block)
	value := seal(key, bits.encode(make([]byte, 0, 1+blockSize/8+crcBytes)))
	if err := w.txn.Set(key, value); err != nil {
		return fmt.Errorf("write block: %w", err)
	}
	w.partCRC = blockCRC(w.partCRC, key, value)
	w.blocks++
	if w.bytes += len(key) + len(value); w.bytes >= blockCommitBytes {
		return w.commit()
	}
	return nil
}

// blockCRC adds a block's key and sealed value to the CRC of its commit.
func blockCRC(crc uint32, key, value []byte) uint32 { return chainCRC(crc, valueCRC(key, value)) }

// commit makes the blocks so far durable, with their proof.
func (w *blockWriter) commit() error {
	if err := w.s.writableFor(int64(w.bytes)); err != nil {
		return err
	}
	b, err := proto.Marshal(&storev1.BlockCommit{Crc: w.partCRC, Blocks: w.blocks})
	if err != nil {
		return fmt.Errorf("write blocks: %w", err)
	}
	key := commitKey(w.list, w.prepared, w.commits)
	if err := w.txn.Set(key, seal(key, b)); err != nil {
		return fmt.Errorf("write blocks: %w", err)
	}
	if err := w.txn.CommitAt(w.prepared, nil); err != nil {
		w.s.fail(err)
		return errors.Join(ErrReadOnly, fmt.Errorf("write blocks: %w", err))
	}
	w.s.written.Add(uint64(w.bytes))
	w.crc = chainCRC(w.crc, w.partCRC)
	w.commits++
	w.txn, w.bytes, w.blocks, w.partCRC = nil, 0, 0, 0
	return nil
}

// flush commits the rest, or drops it after a failure.
func (w *blockWriter) flush(failed error) error {
	if w.txn == nil {
		return nil
	}
	defer func() {
		if w.txn != nil {
			w.txn.Discard()
		}
	}()
	if failed != nil {
		return nil
	}
	return w.commit()
}

func (w *blockWriter) buildFilter() *filter.Set {
	w.filter.Add(w.batch)
	return w.filter.Build()
}

// wrote reports whether the load changed a block.
func (w *blockWriter) wrote(block uint64) bool {
	_, found := slices.BinarySearch(w.changed, block)
	return found
}

// writableFor is asked before a load writes so many bytes.
func (s *Store) writableFor(bytes int64) error {
	if err := s.health.state().Cause; err != nil && !errors.Is(err, ErrDiskFull) {
		return err
	}
	return s.checkSpace(bytes)
}
