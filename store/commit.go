package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// Limits of the committer. A group stays below Badger's transaction limit (15 % of a memtable) and its revision below
// the largest value.
const (
	queueLen       = 8192
	maxGroupEvents = 1000
	maxGroupBytes  = 512 << 10 // of state; one event adds at most maxEventBytes and one record set
	maxEventBytes  = 256 << 10
	maxRevision    = 384 << 10 // bytes of events and their stories before the last one
)

// write is one event on its way, with what goes along.
type write struct {
	ctx    context.Context
	event  *storev1.Event
	bytes  []byte // the event's, as the journal takes it
	story  Story
	tale   *tale
	filter *filter.Set // of a load that switches
	done   chan answer // holds one
	batch  *batch      // of rows, in place of all of the above but ctx
}

// encode makes the event's bytes, outside the committer, once. Errors: ErrTooLarge.
func (w *write) encode() (err error) {
	if w.bytes, err = proto.Marshal(w.event); err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if len(w.bytes) > maxEventBytes {
		return ErrTooLarge
	}
	return nil
}

// tell gives a write its answer, once. A batch takes no other one than what ended it: see batch.answer.
func (w *write) tell(a answer) {
	if w.batch != nil {
		w.batch.answer(0, a.err)
		return
	}
	w.done <- a
}

type answer struct {
	receipt Receipt
	err     error
}

// Receipt says what a write led to.
type Receipt struct {
	ID        policy.EventID // of the event
	JournalID string
	Time      time.Time // of the event
	Duplicate bool      // the request id, or a unique opt-out, was known: this is the receipt of the first time
	Ended     int       // opt-outs that a withdrawal ended
}

// submit has an event committed, and returns once it is durable or refused. When ctx ends first the outcome is
// unknown, unless the group had not started: then nothing is written.
func (s *Store) submit(ctx context.Context, w *write) (Receipt, error) {
	if err := s.admit(ctx, w); err != nil {
		return Receipt{}, err
	}
	select {
	case s.queue <- w:
		return s.outcome(ctx, w)
	default:
		return Receipt{}, ErrBusy
	}
}

// submitInTurn is submit, but waits for room instead of ErrBusy: for events that end long work.
func (s *Store) submitInTurn(ctx context.Context, w *write) (Receipt, error) {
	if err := s.admit(ctx, w); err != nil {
		return Receipt{}, err
	}
	select {
	case s.queue <- w:
		return s.outcome(ctx, w)
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	case <-s.stopped:
		return Receipt{}, ErrClosed
	}
}

// outcome waits for the answer to a write that is queued.
func (s *Store) outcome(ctx context.Context, w *write) (Receipt, error) {
	select {
	case a := <-w.done:
		return a.receipt, a.err
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	case <-s.stopped:
	}
	select {
	case a := <-w.done:
		return a.receipt, a.err
	default:
		return Receipt{}, ErrClosed
	}
}

func (s *Store) admit(ctx context.Context, w *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.isClosing() {
		return ErrClosed
	}
	if err := s.health.stopped(); err != nil {
		return err
	}
	w.ctx, w.done = ctx, make(chan answer, 1)
	return w.encode()
}

// commitLoop is the committer: the only goroutine that commits revisions. Whatever waits when it wakes becomes one.
func (s *Store) commitLoop() {
	defer close(s.stopped)
	var left *write // had no room in the group before
	for !s.isClosing() {
		if first := s.nextWrite(left); first != nil {
			left = s.commitGroup(first)
		}
	}
	if left != nil {
		left.tell(answer{err: ErrClosed})
	}
	s.refuseWaiting()
}

// nextWrite is the write that begins a group: left, or the first to come; nil when something else came first, or the store
// closes. What runs between two groups is asked for first, so it waits for one of them at most, however many writes there
// are. Rows of many wait for as long as single writes fill every group: see waiting.
func (s *Store) nextWrite(left *write) *write {
	select {
	case f := <-s.control:
		f()
	default:
	}
	if s.isClosing() { // meanwhile: what waits is refused
		return nil
	}
	if left != nil {
		return left
	}
	select {
	case w := <-s.queue:
		return w
	case w := <-s.rows:
		return w
	case f := <-s.control:
		f()
	case <-s.closing:
	}
	return nil
}

// between runs f in the committer, between two groups, and waits for it. It reports false when the store closes first.
func (s *Store) between(f func()) bool {
	done := make(chan struct{})
	select {
	case s.control <- func() { f(); close(done) }:
		<-done
		return true
	case <-s.closing:
		return false
	}
}

func (s *Store) refuseWaiting() {
	for {
		select {
		case w := <-s.queue:
			w.tell(answer{err: ErrClosed})
		case w := <-s.rows:
			w.tell(answer{err: ErrClosed})
		default:
			return
		}
	}
}

// group is a revision in the making.
type group struct {
	s       *Store
	base    *View
	txn     *badger.Txn
	a       *applier
	events  int
	body    []byte // of the revision: its events
	tales   []*tale
	filters map[policy.EventID]*filter.Set // of lists that switch
	taken   []taken
	parts   []part // of batches
	bytes   int    // of events and stories
}

// taken is a write that is answered with its group.
type taken struct {
	w       *write
	out     outcome
	refusal error
}

// commitGroup commits first and what waits behind it as one revision, and returns the write that had no room.
func (s *Store) commitGroup(first *write) (left *write) {
	if err := s.writableNow(); err != nil {
		first.tell(answer{err: err})
		return nil
	}
	g := s.newGroup()
	defer g.txn.Discard()
	left, err := g.fill(first)
	if err == nil {
		err = g.commit()
	}
	for _, t := range g.taken {
		g.answer(t, err)
	}
	for _, p := range g.parts {
		p.batch.answer(p.upTo, err)
	}
	return left
}

// fill takes first and what waits, and returns what had no room. Rows of many come after those of a person who waits, and
// not more of them than the next person should wait for.
func (g *group) fill(first *write) (left *write, err error) {
	rows := first
	if first.batch == nil {
		rows, err = nil, g.take(first)
	}
	for err == nil && !g.full() {
		w := g.s.waiting()
		if w == nil {
			break
		}
		err = g.take(w)
	}
	for singles := g.events; err == nil && !g.full() && g.events-singles < batchRows; {
		if rows == nil {
			rows = g.s.waitingRows()
		}
		if rows == nil {
			break
		}
		if err = g.takeRows(rows); rows.batch.isTaken() {
			rows = nil
		}
	}
	return rows, err
}

// writableNow is asked before each group: after a failed commit or on a full disk nothing is written.
func (s *Store) writableNow() error {
	if err := s.health.stopped(); err != nil {
		return err
	}
	if err := s.checkClock(); err != nil {
		return err
	}
	return s.checkSpace(maxGroupBytes)
}

// waiting is the next write of a person that waits, nil for none.
func (s *Store) waiting() *write {
	select {
	case w := <-s.queue:
		return w
	default:
		return nil
	}
}

// waitingRows is the next batch that waits, nil for none.
func (s *Store) waitingRows() *write {
	select {
	case w := <-s.rows:
		return w
	default:
		return nil
	}
}

func (s *Store) newGroup() *group {
	base := s.View()
	now, ahead := base.Clock()
	txn := s.db.NewTransactionAt(base.revision, true)
	a := newApplier(txn, base.revision+1, now.UnixNano(), int64(ahead))
	a.skipUnheld(base.records)
	return &group{s: s, base: base, txn: txn, a: a, body: startRevision(a.time, a.ahead), filters: map[policy.EventID]*filter.Set{}}
}

func (g *group) full() bool {
	return g.events >= maxGroupEvents || g.a.bytes >= maxGroupBytes || g.bytes >= maxRevision
}

// take applies one write to the group. A refused one leaves no trace, and is answered with the group all the same: what
// refuses it may be an event before it, which is not durable yet. An error that is no refusal may have left half an event
// in the transaction, and ends the group.
func (g *group) take(w *write) error {
	if w.gone() {
		return nil
	}
	out, err := g.apply(w.event)
	g.taken = append(g.taken, taken{w, out, err})
	switch {
	case isRefusal(err):
		return nil
	case err != nil:
		g.s.noteDamage(err)
		return err
	case out.repeats():
		return nil
	}
	g.events++
	g.body = appendEvent(g.body, w.bytes)
	g.bytes += len(w.bytes)
	if w.tale != nil {
		g.tales = append(g.tales, w.tale)
		g.bytes += len(w.tale.entry)
	}
	if c := w.event.GetLoadSwitched(); c != nil && w.filter != nil {
		g.filters[eventID(c.GetList().GetRevision(), int(c.GetList().GetIndex()))] = w.filter
	}
	return nil
}

func (g *group) apply(e *storev1.Event) (out outcome, err error) {
	defer readEnded(debug.SetPanicOnFault(true), &err)
	return g.a.apply(g.events, e)
}

// gone answers a write whose caller's time is over, and reports that.
func (w *write) gone() bool {
	err := w.ctx.Err()
	if err != nil {
		w.tell(answer{err: err})
	}
	return err != nil
}

var refusals = []error{
	ErrNothingToWithdraw, ErrTooManyRecords, ErrRequestReused,
	ErrListExists, ErrListNotFound, ErrImportRunning, errMoved,
}

func isRefusal(err error) bool {
	return err != nil && slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) })
}

// commit makes the group durable and visible. After ErrSystem nothing was written; after another error the outcome is unknown,
// and nothing is written any more.
func (g *group) commit() error {
	err := g.s.watch.intact() // else what was applied rests on reads that may have found nothing where something is
	if errors.Is(err, ErrSystem) {
		return err // nothing was written
	}
	if err == nil && g.events > 0 {
		err = g.write()
	}
	if err != nil {
		g.s.fail(err)
		return errors.Join(ErrReadOnly, err)
	}
	return nil
}

// write goes in the order of the promises: stories and filter bits, commit, mark, view.
func (g *group) write() error {
	s := g.s
	told := make(chan error, 1)
	go func() {
		told <- s.opt.faults.do(stepStories, func() error { return s.stories.put(g.a.revision, g.tales) })
	}()
	view, err := g.prepare()
	if err := errors.Join(err, s.unlessGone(told)); err != nil {
		return err
	}
	at := position{view.revision, view.chain}
	if err := s.opt.faults.do(stepCommit, func() error { return s.commitAt(g.txn, at.revision) }); err != nil {
		return fmt.Errorf("commit revision %d: %w", at.revision, err)
	}
	s.written.Add(uint64(g.a.bytes))
	if err := s.writeMark(at, s.tail.advance(at, s.written.Load())); err != nil {
		return err
	}
	s.publish(view)
	return nil
}

// prepare completes the transaction and sets the filter bits.
func (g *group) prepare() (*View, error) {
	e, err := g.entry()
	if err != nil {
		return nil, err
	}
	for _, f := range g.s.adding {
		f.AddAll(g.a.numbers)
	}
	return g.view(e)
}

func (g *group) entry() (e entry, err error) {
	defer readEnded(debug.SetPanicOnFault(true), &err)
	if err := g.a.finish(); err != nil {
		return entry{}, err
	}
	e = entry{revision: g.a.revision, prev: g.base.chain, body: g.body}
	key := journalKey(e.revision)
	return e, g.a.set(key, seal(key, e.value()))
}

// view is the view that the group leads to.
func (g *group) view(e entry) (*View, error) {
	v := *g.base
	v.revision, v.time, v.chain = e.revision, time.Unix(0, g.a.time).UTC(), e.hash()
	v.next = make(chan struct{})
	if len(g.a.lists) > 0 {
		var err error
		if v.lists, err = g.lists(); err != nil {
			return nil, err
		}
	}
	return &v, nil
}

// lists are the view's lists after the group. A list that did not switch keeps its filter.
func (g *group) lists() ([]*List, error) {
	var lists []*List
	for _, l := range g.base.lists {
		if _, changed := g.a.lists[l.ID]; !changed {
			lists = append(lists, l)
		}
	}
	for id, st := range g.a.lists {
		if st == nil {
			continue
		}
		l, err := compileList(id, st)
		if err != nil {
			return nil, err
		}
		if old := g.base.listByID(id); old != nil && old.Visible == l.Visible {
			l.filter = old.filter
		} else {
			l.filter = g.filters[id]
		}
		lists = append(lists, l)
	}
	slices.SortFunc(lists, byName)
	return lists, nil
}

// publish makes v what readers see, and wakes those who wait for it.
func (s *Store) publish(v *View) {
	old := s.view.Swap(v)
	if old.next != nil && old.next != v.next {
		close(old.next)
	}
}

// answer answers a write of a group whose commit gave err.
func (g *group) answer(t taken, err error) {
	if err == nil {
		err = t.refusal
	}
	if err != nil {
		t.w.tell(answer{err: err})
		return
	}
	r := Receipt{ID: t.out.id, JournalID: g.base.id, Time: nanoTime(g.a.time), Ended: len(t.out.ended), Duplicate: t.out.held}
	if first := t.out.first; first != nil {
		if !g.s.sameStory(first, t.w.story) {
			t.w.tell(answer{err: ErrRequestReused})
			return
		}
		r.ID = policy.EventID{Revision: first.GetRevision(), Index: first.GetIndex()}
		r.Duplicate, r.Time, r.Ended = true, nanoTime(first.GetTime()), int(first.GetEnded())
	}
	t.w.tell(answer{receipt: r})
}

// sameStory reports whether a repeated request tells what the first one told. An erased story cannot be compared.
func (s *Store) sameStory(first *storev1.Request, told Story) bool {
	story, state := s.stories.get(first.GetRevision(), first.GetStoryHash(), 0)
	return state == StoryMissing || story == told
}

// tailTrail remembers recent positions with the bytes written before them, to know which of them lie in tables.
type tailTrail struct {
	checkpoint position
	trail      []trailPoint
}

type trailPoint struct {
	position
	written uint64
}

const trailStep = 1 << 20

// advance notes a committed position and returns the newest one that surely lies in tables.
func (t *tailTrail) advance(at position, written uint64) position {
	if n := len(t.trail); n == 0 || written-t.trail[n-1].written >= trailStep {
		t.trail = append(t.trail, trailPoint{at, written})
	}
	for len(t.trail) > 0 && written-t.trail[0].written >= memTailBytes {
		t.checkpoint = t.trail[0].position
		t.trail = t.trail[1:]
	}
	return t.checkpoint
}
