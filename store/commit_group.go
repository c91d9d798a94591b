package store

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/state"
	"github.com/dncd/dncd/store/internal/stories"
)

// group is a revision in the making.
type group struct {
	s       *Store
	base    *View
	txn     *badger.Txn
	a       *apply.Applier
	events  int
	body    []byte // of the revision: its events
	stories []*stories.Sealed
	filters map[policy.EventID]*filter.Set // of lists that switch
	taken   []takenEvent
	parts   []takenRows // of batches
	bytes   int         // of events and stories
}

// takenEvent is a write that is answered with its group.
type takenEvent struct {
	w       *pendingEvent
	out     apply.Applied
	refusal error
}

// commitGroup commits first and what waits behind it as one revision, and returns the write that had no room.
func (s *Store) commitGroup(first *pendingEvent) (left *pendingEvent) {
	if err := s.writableNow(); err != nil {
		first.reply(eventReply{err: err})
		return nil
	}
	g := s.newGroup()
	defer g.txn.Discard()
	left, err := g.fill(first)
	if err == nil {
		err = g.commit()
	}
	for _, t := range g.taken {
		g.replyTo(t, err)
	}
	for _, p := range g.parts {
		p.batch.answer(p.upTo, err)
	}
	return left
}

// fill takes first and what waits, and returns what had no room. Rows of many come after those of a person who waits, and
// not more of them than the next person should wait for.
func (g *group) fill(first *pendingEvent) (left *pendingEvent, err error) {
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

func (s *Store) newGroup() *group {
	base := s.View()
	now, ahead := base.Clock()
	txn := s.db.NewTransactionAt(base.revision, true)
	a := apply.New(txn, base.revision+1, now.UnixNano(), int64(ahead))
	a.SkipUnheld(base.records)
	return &group{s: s, base: base, txn: txn, a: a, body: journal.NewBody(a.Time, a.Ahead), filters: map[policy.EventID]*filter.Set{}}
}

func (g *group) full() bool {
	return g.events >= maxGroupEvents || g.a.Bytes >= maxGroupBytes || g.bytes >= maxRevision
}

// take applies one write to the group. A refused one leaves no trace, and is answered with the group all the same: what
// refuses it may be an event before it, which is not durable yet. An error that is no refusal may have left half an event
// in the transaction, and ends the group.
func (g *group) take(w *pendingEvent) error {
	if w.isAbandoned() {
		return nil
	}
	out, err := g.apply(w.event)
	g.taken = append(g.taken, takenEvent{w, out, err})
	switch {
	case isRefusal(err):
		return nil
	case err != nil:
		g.s.noteDamage(err)
		return err
	case out.Repeats():
		return nil
	}
	g.keep(w)
	if c := w.event.GetLoadSwitched(); c != nil && w.filter != nil {
		g.filters[state.EventID(c.GetList().GetRevision(), int(c.GetList().GetIndex()))] = w.filter
	}
	return nil
}

// keep adds an event that was applied to the revision.
func (g *group) keep(w *pendingEvent) {
	g.events++
	g.body = journal.AppendEvent(g.body, w.bytes)
	g.bytes += len(w.bytes)
	if w.sealed != nil {
		g.stories = append(g.stories, w.sealed)
		g.bytes += w.sealed.Size()
	}
}

func (g *group) apply(e *storev1.Event) (out apply.Applied, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	return g.a.Apply(g.events, e)
}

// isAbandoned answers a write whose caller's time is over, and reports that.
func (w *pendingEvent) isAbandoned() bool {
	err := w.ctx.Err()
	if err != nil {
		w.reply(eventReply{err: err})
	}
	return err != nil
}

var refusals = []error{
	ErrNothingToWithdraw, ErrConsentWithdrawn, ErrTooManyRecords, ErrRequestReused,
	ErrListExists, ErrListNotFound, ErrImportRunning, fault.ErrMoved,
	ErrTokenExists, ErrTokenNotFound, ErrUnconfirmed,
	ErrSubscriberNotFound, ErrSubscriberInvalid, ErrDeskNotFound, ErrEpochEnded, ErrAckInvalid,
}

func isRefusal(err error) bool {
	return err != nil && slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) })
}

// commit makes the group durable and publishes it. After ErrSystem nothing was written; after another error the outcome is
// unknown, and nothing is written any more.
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

// write follows the order of the promises: stories and filter bits, commit, mark, view.
func (g *group) write() error {
	s := g.s
	stored := make(chan error, 1)
	go func() {
		stored <- s.opt.faults.do(stepStories, func() error { return s.stories.Put(g.a.Revision, g.stories) })
	}()
	view, err := g.complete()
	if err := errors.Join(err, s.unlessGone(stored)); err != nil {
		return err
	}
	at := view.position()
	if err := s.opt.faults.do(stepCommit, func() error { return s.commitAt(g.txn, at.Revision) }); err != nil {
		return fmt.Errorf("commit revision %d: %w", at.Revision, err)
	}
	s.written.Add(uint64(g.a.Bytes))
	if err := s.writeMark(at, s.tail.Advance(at, s.written.Load())); err != nil {
		return err
	}
	s.feeds.note(view, g.a.Touched) // first: a cursor of a view is never newer than what feeds know
	s.publish(view)
	return nil
}

// complete completes the transaction and sets the filter bits.
func (g *group) complete() (*View, error) {
	e, err := g.entry()
	if err != nil {
		return nil, err
	}
	for _, f := range g.s.adding {
		f.AddAll(g.a.Numbers)
	}
	return g.view(e)
}

func (g *group) entry() (e journal.Entry, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	if err := g.a.End(); err != nil {
		return journal.Entry{}, err
	}
	e = journal.Entry{Revision: g.a.Revision, Prev: g.base.chain, Body: journal.EndBody(g.body)}
	return e, g.a.Set(journal.Key(e.Revision), e.Sealed())
}

// view is the view that the group leads to.
func (g *group) view(e journal.Entry) (*View, error) {
	v := *g.base
	v.revision, v.time, v.chain = e.Revision, time.Unix(0, g.a.Time).UTC(), e.Hash()
	v.tag, v.next = g.s.tagAt(v.position()), make(chan struct{})
	if len(g.a.Lists) > 0 {
		var err error
		if v.lists, err = g.lists(); err != nil {
			return nil, err
		}
	}
	if g.a.Grants {
		var err error
		if v.access, err = readAccess(g.txn); err != nil {
			return nil, err
		}
	}
	if g.a.Desks {
		var err error
		if v.desks, err = readDesks(g.txn); err != nil {
			return nil, err
		}
	}
	if p := g.a.Policy; p != nil {
		v.policy = g.s.policies.of(g.s, p.ID, p.State)
	}
	if len(g.a.Subscribers) > 0 {
		v.subscribers = v.subscribers.with(g.a.Subscribers)
	}
	return &v, nil
}

// lists are the view's lists after the group. A list that did not switch keeps its filter.
func (g *group) lists() ([]*List, error) {
	var lists []*List
	for _, l := range g.base.lists {
		if _, changed := g.a.Lists[l.ID]; !changed {
			lists = append(lists, l)
		}
	}
	for id, st := range g.a.Lists {
		if st == nil {
			continue
		}
		l, err := compileList(id, st)
		if err != nil {
			return nil, err
		}
		if old := g.base.listByID(id); old != nil && old.ContentRevision == l.ContentRevision {
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
	s.tags.add(v.tag)
	old := s.view.Swap(v)
	if old.next != nil && old.next != v.next {
		close(old.next)
	}
}

// replyTo answers a write of a group whose commit gave err.
func (g *group) replyTo(t takenEvent, err error) {
	if err == nil {
		err = t.refusal
	}
	if err != nil {
		t.w.reply(eventReply{err: err})
		return
	}
	r := Receipt{ID: t.out.ID, JournalID: g.base.id, Time: state.Time(g.a.Time), Ended: len(t.out.Ended), Duplicate: t.out.Held}
	if first := t.out.First; first != nil {
		if !g.s.sameStory(first, t.w.story) {
			t.w.reply(eventReply{err: ErrRequestReused})
			return
		}
		r.ID = policy.EventID{Revision: first.GetRevision(), Index: first.GetIndex()}
		r.Duplicate, r.Time, r.Ended = true, state.Time(first.GetTime()), int(first.GetEnded())
	}
	r.Tag = string(g.s.View().TagAt(r.ID.Revision))
	t.w.reply(eventReply{receipt: r})
}

// sameStory reports whether a repeated request has the story of the first one. An erased story cannot be compared.
func (s *Store) sameStory(first *storev1.Request, now Story) bool {
	story, state := s.stories.Get(first.GetRevision(), first.GetStoryHash(), 0)
	return state == StoryMissing || story == now
}
