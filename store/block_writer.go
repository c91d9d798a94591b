package store

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/nice"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/compare"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
)

const (
	// blockCommitBytes is how much of a load goes to the database in one commit, and blockFileBytes to its file: large enough
	// for speed, small enough that a person's opt-out does not wait behind it.
	blockCommitBytes = 128 << 10
	blockFileBytes   = 1 << 20

	// commitsAhead is how many commits of a load may wait for the disk while the next blocks are worked out.
	commitsAhead = 4

	loadBatch = 1 << 13 // numbers that go to the filter together
)

// blockWriter writes the changed blocks of a load to its file, and their places at its timestamp, in commits that are
// split the same way every time, and builds the filter of the whole result at the same time. put is called by one goroutine;
// the disk and the filter have goroutines of their own.
type blockWriter struct {
	s        *Store
	list     policy.EventID
	prepared uint64
	file     *block.Writer // of the committing goroutine
	size     int64         // of the file, with the blocks so far
	part     *blockPart
	parts    chan *blockPart // to the committing goroutine
	batch    []uint64
	batches  chan []uint64 // to the filter's goroutines
	free     chan []uint64 // batches that come back
	filter   *filter.Builder
	tasks    sync.WaitGroup
	failed   chan error // the first error of a commit

	commits uint32
	crc     uint32
	numbers uint64
	changed []uint64 // blocks written with other content, ascending
}

// blockPart is the blocks of one commit.
type blockPart struct {
	txn    *badger.Txn
	bytes  int    // of keys and values
	placed []byte // blocks for the file
	at     int64  // their place in it
	blocks uint32
	crc    uint32
}

func (p *blockPart) full() bool {
	return p.bytes >= blockCommitBytes || len(p.placed) >= blockFileBytes
}

func newBlockWriter(s *Store, list policy.EventID, prepared, numbers uint64) *blockWriter {
	workers := min(runtime.NumCPU(), runtime.GOMAXPROCS(0))
	w := &blockWriter{
		s: s, list: list, prepared: prepared,
		file:    s.files.Create(block.LoadID{List: list, Prepared: prepared}),
		parts:   make(chan *blockPart, commitsAhead),
		batch:   make([]uint64, 0, loadBatch+block.Size),
		batches: make(chan []uint64, workers),
		free:    make(chan []uint64, 2*workers),
		filter:  filter.NewBuilder(numbers, s.opt.FilterFPR),
		failed:  make(chan error, 1),
	}
	w.tasks.Go(w.commitParts)
	for range workers {
		w.tasks.Go(w.fillFilter)
	}
	return w
}

// put adds one block of the result.
func (w *blockWriter) put(c *compare.Change) error {
	before := len(w.batch)
	w.batch = c.New.AppendNumbers(w.batch, c.Number)
	w.numbers += uint64(len(w.batch) - before)
	if len(w.batch) >= loadBatch {
		w.passBatch()
	}
	if c.Differs() {
		w.changed = append(w.changed, c.Number)
	} else if !c.Stale {
		return nil
	}
	return w.add(c.Number, &c.New)
}

func (w *blockWriter) passBatch() {
	w.batches <- w.batch
	select {
	case w.batch = <-w.free:
	default:
		w.batch = make([]uint64, 0, loadBatch+block.Size)
	}
}

func (w *blockWriter) fillFilter() {
	nice.Goroutine()
	for batch := range w.batches {
		w.filter.Add(batch)
		runtime.Gosched() // see yieldBlocks
		select {
		case w.free <- batch[:0]:
		default:
		}
	}
}

func (w *blockWriter) add(number uint64, bits *block.Bitmap) error {
	if w.part == nil {
		w.part = &blockPart{txn: w.s.db.NewTransactionAt(w.prepared, true), at: w.size}
	}
	p := w.part
	key := keys.Block(w.list, number)
	value := seal.Value(key, w.place(p, key, bits))
	if err := p.txn.Set(key, value); err != nil {
		return fmt.Errorf("write block: %w", err)
	}
	p.crc = blockCRC(p.crc, key, value)
	p.blocks++
	if p.bytes += len(key) + len(value); !p.full() {
		return nil
	}
	return w.passPart()
}

// place puts a block into the file and returns its place, or, of a short one, the block itself.
func (w *blockWriter) place(p *blockPart, key []byte, bits *block.Bitmap) []byte {
	start := len(p.placed)
	p.placed = bits.AppendPacked(p.placed)
	packed := p.placed[start:]
	if len(packed) <= block.MaxInline {
		p.placed = p.placed[:start]
		return slices.Clone(packed)
	}
	at := block.Place{At: w.size, Length: len(packed), CRC: seal.CRC(key, packed)}
	w.size += int64(len(packed))
	return at.Encode()
}

// blockCRC adds a block's key and sealed value to the CRC of its commit.
func blockCRC(crc uint32, key, value []byte) uint32 { return seal.ChainCRC(crc, seal.CRC(key, value)) }

// passPart hands the blocks so far to be committed.
func (w *blockWriter) passPart() error {
	select {
	case err := <-w.failed:
		return err
	case w.parts <- w.part:
		w.part = nil
		return nil
	}
}

// commitParts commits one part after the other, until one fails.
func (w *blockWriter) commitParts() {
	var err error
	for p := range w.parts {
		if err == nil {
			if err = w.commit(p); err != nil {
				w.failed <- err
			}
		}
		p.txn.Discard()
	}
}

// commit makes a part durable: its blocks, then their places with the proof.
func (w *blockWriter) commit(p *blockPart) error {
	if err := w.s.writableFor(int64(p.bytes + len(p.placed))); err != nil {
		return err
	}
	f := w.s.opt.faults
	if err := f.do(stepBlockFile, func() error { return w.file.Write(p.placed, p.at) }); err != nil {
		return err
	}
	fileBytes := uint64(p.at) + uint64(len(p.placed))
	b, err := proto.Marshal(&storev1.BlockCommit{Crc: p.crc, Blocks: p.blocks, FileBytes: fileBytes})
	if err != nil {
		return fmt.Errorf("write blocks: %w", err)
	}
	key := keys.Commit(w.list, w.prepared, w.commits)
	if err := p.txn.Set(key, seal.Value(key, b)); err != nil {
		return fmt.Errorf("write blocks: %w", err)
	}
	if err := f.do(stepBlocks, func() error { return w.s.commitAt(p.txn, w.prepared) }); err != nil {
		w.s.fail(err)
		return errors.Join(ErrReadOnly, fmt.Errorf("write blocks: %w", err))
	}
	w.s.written.Add(uint64(p.bytes))
	w.crc = seal.ChainCRC(w.crc, p.crc)
	w.commits++
	return nil
}

// end waits until all is on disk and returns the filter, or drops the rest after a failure.
func (w *blockWriter) end(failed error) (*filter.Set, error) {
	if failed == nil && w.part != nil {
		failed = w.passPart()
	}
	if w.part != nil {
		w.part.txn.Discard()
	}
	w.batches <- w.batch
	close(w.parts)
	close(w.batches)
	w.tasks.Wait()
	failed = errors.Join(failed, w.file.Close())
	select {
	case err := <-w.failed:
		failed = errors.Join(failed, err)
	default:
	}
	if failed != nil {
		return nil, failed
	}
	return w.filter.Build(), nil
}

// wrote reports whether the load changed a block.
func (w *blockWriter) wrote(number uint64) bool {
	_, found := slices.BinarySearch(w.changed, number)
	return found
}
