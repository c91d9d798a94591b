package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/stage"
	"github.com/dncd/dncd/store/internal/state"
)

// compareDir holds what bases say that they block, while it is compared.
const compareDir = "compare"

// Comparison is the numbers that a base blocks, by its own export, on their way to be compared with what it acknowledged. They are
// on disk until Close. It is not for concurrent use.
type Comparison struct {
	s     *Store
	dir   string
	log   *stage.Log[Chunk]
	began time.Time
}

// CompareQuery says whose export it is, and what to do with it.
type CompareQuery struct {
	Subscriber policy.EventID
	TakenAt    time.Time // when the export was taken; zero: now
	Removals   bool      // report Removable numbers
	Rejected   uint64    // entries of the export that were read as no number
	Request    Request   // that the comparison is recorded for
}

// DifferenceKind is what a difference is, numbered as the contract's dnc.v1.DifferenceKind.
type DifferenceKind uint8

// The kinds of differences.
const (
	DifferenceUnspecified DifferenceKind = iota
	Missing                              // acknowledged as applied, in force when the export was taken, and not in it
	InFlight                             // in force, not in the export, and not expected in it
	Removable                            // in the export, blocked by no row any more, and withdrawn
)

// Difference is one number that an export has and should not have, or the other way round.
type Difference struct {
	Number  phone.Number
	Kind    DifferenceKind
	Scope   policy.Scope // of a row that blocks it; of a removable number, where it was withdrawn
	List    *List        // of that row; nil: opt-outs
	Since   time.Time    // when the opt-out was recorded, the list's content loaded, or the number withdrawn
	InForce bool         // a row blocks it now
}

// Compared is what a comparison found.
type Compared struct {
	ID           policy.EventID // of the event that recorded it
	Time         time.Time      // of that event
	TakenAt      time.Time
	Epoch        uint64
	Acknowledged uint64 // the position acknowledged as applied in that epoch; 0: none was
	UpTo         uint64 // compared with what was recorded up to here

	Numbers  uint64 // of the export, each once
	Rejected uint64 // its entries that were read as no number
	Expected uint64 // numbers that had to be in it
	Missing  uint64 // of these, those that were not
	InFlight uint64
	Extra    uint64 // of the export, those that no row blocks

	NumbersSHA256 [sha256.Size]byte // of the export, as of a list's content
	MissingSHA256 [sha256.Size]byte
	Elapsed       time.Duration
	InDoubt       []policy.EventID // lists of the filter that could not be compared
}

// CompareWrite is a comparison, and the write that recorded it.
type CompareWrite struct {
	Receipt
	Found     Compared
	Removable uint64 // numbers that were reported as such
}

// BeginComparison begins to take an export. Errors: ErrDiskFull, ErrReadOnly, ErrDamaged.
func (s *Store) BeginComparison() (*Comparison, error) {
	if err := s.writableFor(0); err != nil {
		return nil, err
	}
	all := filepath.Join(s.dir, compareDir)
	if err := os.MkdirAll(all, 0o700); err != nil {
		return nil, disk.WriteError("compare", err)
	}
	dir, err := os.MkdirTemp(all, "")
	if err != nil {
		return nil, disk.WriteError("compare", err)
	}
	log, err := stage.Open(filepath.Join(dir, chunksFile), stage.NewNumbers())
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &Comparison{s: s, dir: dir, log: log, began: time.Now()}, nil
}

// Close deletes what was put.
func (c *Comparison) Close() {
	c.s.warnIf("drop what was compared", errors.Join(c.log.Close(), os.RemoveAll(c.dir)))
}

// dropComparisons deletes what an earlier process left.
func (s *Store) dropComparisons() error { return os.RemoveAll(filepath.Join(s.dir, compareDir)) }

// Put adds numbers of the export, which it may put in another order. Errors: ErrTooLarge, ErrDiskFull, ErrReadOnly.
func (c *Comparison) Put(numbers []uint64) error {
	for _, n := range numbers {
		if n == 0 || n > maxE164 {
			return ErrNumber
		}
	}
	if err := c.s.writableFor(int64(8 * len(numbers))); err != nil {
		return err
	}
	return c.s.opt.faults.do(stepCompare, func() error {
		return c.log.Append(Chunk{Seq: c.log.Last + 1, Numbers: numbers})
	})
}

// Numbers is how many were put, repeats among them.
func (c *Comparison) Numbers() uint64 { return c.log.Entries }

// Run compares what was put, reports each difference by ascending number, and records what it found. It reports its progress in
// numbers. Errors: ErrSubscriberNotFound, ErrDamaged, those of every write, of the context and of report.
func (c *Comparison) Run(ctx context.Context, q CompareQuery, report func(Difference) error, progress func(numbers uint64)) (w CompareWrite, err error) {
	v := c.s.View()
	sub := v.Subscribers().ByID(q.Subscriber)
	if sub == nil {
		return w, ErrSubscriberNotFound
	}
	exported, found, err := c.sorted(ctx)
	if err != nil {
		return w, err
	}
	defer exported.Close()
	cmp, err := c.s.newComparer(ctx, v, sub, q)
	if err != nil {
		return w, err
	}
	cmp.report, cmp.progress = report, progress
	if err := cmp.run(exported); err != nil {
		return w, err
	}
	result := cmp.result
	result.Numbers, result.NumbersSHA256 = found.Numbers, found.Sum()
	result.Rejected, result.Elapsed = q.Rejected, time.Since(c.began)
	if w.Receipt, err = c.s.record(ctx, result.event(sub), q.Request); err != nil {
		return w, err
	}
	result.ID, result.Time = w.ID, w.Time
	w.Found, w.Removable = result, cmp.removable
	return w, nil
}

// sorted puts the numbers into a file in order, each once. The file has no name, so that a killed process leaves none.
func (c *Comparison) sorted(ctx context.Context) (f *os.File, w *stage.Writer, err error) {
	if err := c.s.writableFor(c.log.Size); err != nil {
		return nil, nil, err
	}
	f, err = os.CreateTemp(c.dir, "sorted-*")
	if err != nil {
		return nil, nil, disk.WriteError("compare", err)
	}
	os.Remove(f.Name())
	w = stage.NewWriter(f)
	err = c.s.opt.faults.do(stepCompare, func() error { return stage.Sort(ctx, c.log, c.dir, w) })
	if err = errors.Join(err, w.Flush()); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, nil, disk.WriteError("compare", err)
	}
	return f, w, nil
}

func (r *Compared) event(sub *Subscriber) *storev1.Event {
	m := &storev1.BaseCompared{
		Subscriber: state.Ref(sub.ID), TakenAt: state.Nano(r.TakenAt), Epoch: r.Epoch, Acknowledged: r.Acknowledged, UpTo: r.UpTo,
		Numbers: r.Numbers, Rejected: r.Rejected, Expected: r.Expected, Missing: r.Missing, InFlight: r.InFlight, Extra: r.Extra,
		NumbersSha256: r.NumbersSHA256[:], MissingSha256: r.MissingSHA256[:], Elapsed: int64(r.Elapsed),
	}
	for _, id := range r.InDoubt {
		m.InDoubt = append(m.InDoubt, state.ListRef(id))
	}
	return &storev1.Event{Change: &storev1.Event_BaseCompared{BaseCompared: m}}
}

// comparedOf reads a comparison that was recorded; nil for none.
func comparedOf(m *storev1.ComparedState) *Compared {
	if m == nil {
		return nil
	}
	w := m.GetWhat()
	r := &Compared{
		ID: policy.EventID{Revision: m.GetRevision(), Index: m.GetIndex()}, Time: state.Time(m.GetTime()), TakenAt: state.Time(w.GetTakenAt()),
		Epoch: w.GetEpoch(), Acknowledged: w.GetAcknowledged(), UpTo: w.GetUpTo(),
		Numbers: w.GetNumbers(), Rejected: w.GetRejected(), Expected: w.GetExpected(), Missing: w.GetMissing(), InFlight: w.GetInFlight(), Extra: w.GetExtra(),
		Elapsed: time.Duration(w.GetElapsed()),
	}
	copy(r.NumbersSHA256[:], w.GetNumbersSha256())
	copy(r.MissingSHA256[:], w.GetMissingSha256())
	for _, ref := range w.GetInDoubt() {
		r.InDoubt = append(r.InDoubt, state.ListID(ref))
	}
	return r
}

// expectedUpTo is the last revision that an export must hold: what the base acknowledged as applied, and was recorded before the
// export was taken. A base that acknowledged nothing in this epoch must hold everything of that time.
func (s *Store) expectedUpTo(v *View, sub *Subscriber, takenAt time.Time) (acknowledged, upTo uint64, err error) {
	if upTo, err = s.RevisionAt(takenAt); err != nil {
		return 0, 0, fmt.Errorf("compare: %w", err)
	}
	upTo = min(upTo, v.revision)
	if ack := sub.Acknowledged(feed.Applied); ack != nil {
		return ack.Revision, min(upTo, ack.Revision), nil
	}
	return 0, upTo, nil
}
