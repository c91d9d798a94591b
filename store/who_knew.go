package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// NumberEvent is an event about a number: an objection, a withdrawal, or a list that began to hold it.
type NumberEvent struct {
	ID        policy.EventID
	Scope     policy.Scope   // of an objection or a withdrawal
	List      policy.EventID // of a list; zero: it is none
	Withdrawn bool           // it is a withdrawal
}

// isOfInterest reports whether it concerns a filter.
func (e *NumberEvent) isOfInterest(f feed.Filter) bool {
	if e.List != (policy.EventID{}) {
		return f.ConcernsList(e.List)
	}
	return f.Concerns(e.Scope)
}

// is reports whether the event is a change. Of the switch of a list only the revision is known.
func (e *NumberEvent) is(c *FeedChange) bool {
	if e.List != (policy.EventID{}) {
		return c.Kind == feed.ListSet && c.ID.Revision == e.ID.Revision && c.List == e.List
	}
	return c.ID == e.ID
}

// Knowledge is how far a subscriber got with one event about a number.
type Knowledge struct {
	Event    policy.EventID
	Since    time.Time // from when on the event concerned the subscriber
	Snapshot bool      // it is among the rows with which the log of the epoch began
	Stages   [feed.Applied]*RecordedAck
	Proof    *feed.Proof // nil: see Unproven
	Unproven string
}

// RecordedAck is an acknowledgement, with what the subscriber signed.
type RecordedAck struct {
	*Acknowledgement
	Note []byte // empty: a claim
	Key  string // that signed it
}

// WhoKnew says how far a subscriber, which may have been removed, got with the events about a number that concern it, in their
// order. What it acknowledged under a filter that an event did not concern counts for nothing. Proofs take their leaves from room.
// Errors: ErrDamaged, ErrClosed, and the context's.
func (s *Store) WhoKnew(ctx context.Context, v *View, sub *Subscriber, n phone.Number, events []NumberEvent, room *int) (all []Knowledge, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	w := knower{s: s, v: v, sub: sub, number: n, room: room}
	for i := range events {
		k, concerned, err := w.of(ctx, &events[i])
		if err != nil {
			return nil, err
		}
		if concerned {
			all = append(all, k)
		}
	}
	return all, v.complete()
}

// knower works out what one subscriber knew of one number.
type knower struct {
	s      *Store
	v      *View
	sub    *Subscriber // as it is in the view
	number phone.Number
	room   *int
}

func (w *knower) of(ctx context.Context, e *NumberEvent) (k Knowledge, concerned bool, err error) {
	k, epoch, concerned, err := w.reach(e)
	if err != nil || !concerned {
		return k, concerned, err
	}
	err = w.prove(ctx, e, epoch, &k)
	return k, true, err
}

// reach is what was acknowledged of an event, without its proof, and the subscriber as it was when the epoch of the first
// acknowledgement began; nil: there is none.
func (w *knower) reach(e *NumberEvent) (k Knowledge, epoch *Subscriber, concerned bool, err error) {
	k.Event = e.ID
	then, err := w.subscriberAt(e.ID.Revision)
	if err != nil {
		return k, nil, false, err
	}
	first := e.ID.Revision // at which it concerned the subscriber
	if then == nil || !then.RemovedAt.IsZero() || !e.isOfInterest(then.Filter) {
		first = w.sub.Epoch
		if concerned, err = w.concerns(w.sub, e); err != nil || !concerned || w.sub.Epoch < e.ID.Revision || then != nil && !then.RemovedAt.IsZero() {
			return k, nil, false, err
		}
	}
	if k.Since, err = w.v.TimeAt(first); err != nil {
		return k, nil, true, err
	}
	for stage := feed.Received; stage <= feed.Applied; stage++ {
		ack, of, err := w.acknowledged(stage, e)
		if err != nil {
			return k, nil, true, err
		}
		if ack != nil && epoch == nil {
			epoch = of
		}
		k.Stages[stage-feed.Received] = ack
	}
	return k, epoch, true, nil
}

// AppliedAt is when a subscriber acknowledged that it had applied an event about a number; zero: it has not, or the event does
// not concern it. Errors: ErrDamaged, ErrClosed.
func (s *Store) AppliedAt(v *View, sub *Subscriber, n phone.Number, e NumberEvent) (at time.Time, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	w := knower{s: s, v: v, sub: sub, number: n}
	k, _, _, err := w.reach(&e)
	if err != nil {
		return at, err
	}
	if ack := k.Stages[feed.Applied-feed.Received]; ack != nil {
		at = ack.Time
	}
	return at, v.complete()
}

// subscriberAt is the subscriber as a revision left it; nil: it was not registered.
func (w *knower) subscriberAt(revision uint64) (*Subscriber, error) {
	txn := w.s.db.NewTransactionAt(min(revision, w.v.revision), false)
	defer txn.Discard()
	var st storev1.SubscriberState
	found, err := state.Get(txn, keys.Subscriber(w.sub.ID), &st)
	if err != nil || !found {
		return nil, err
	}
	return compileSubscriber(w.sub.ID, &st), nil
}

// concerns reports whether an event is part of a log: among its changes, or the rows that it begins with. A withdrawal
// before the log began is part of it where the subscriber was there before: its rows lack the number.
func (w *knower) concerns(sub *Subscriber, e *NumberEvent) (bool, error) {
	switch {
	case !e.isOfInterest(sub.Filter):
		return false, nil
	case e.ID.Revision > sub.Epoch || e.List != (policy.EventID{}):
		return true, nil
	case e.Withdrawn:
		return sub.ID.Revision < e.ID.Revision, nil
	}
	begin, err := w.s.ViewAt(sub.Epoch)
	if err != nil {
		return false, err
	}
	var rows []feed.Row
	for _, spelling := range w.number.Spellings() {
		of, err := begin.FeedRowsOf(spelling, sub.Filter)
		if err != nil {
			return false, err
		}
		rows = append(rows, of...)
	}
	return slices.ContainsFunc(rows, func(r feed.Row) bool { return r.Scope == e.Scope }), nil
}

// acknowledged is the first acknowledgement of a stage with an event, and the subscriber as it was when its epoch began. Where
// the first one after the event is of a log without it, that of the present log counts: rather late than wrong.
func (w *knower) acknowledged(stage feed.Stage, e *NumberEvent) (*RecordedAck, *Subscriber, error) {
	for _, from := range []uint64{e.ID.Revision, w.sub.Epoch} {
		ack, err := w.v.FirstAcknowledged(w.sub.ID, stage, max(from, e.ID.Revision))
		if err != nil || ack == nil {
			return nil, nil, err
		}
		epoch, err := w.subscriberAt(ack.Epoch)
		if err != nil || epoch == nil {
			return nil, nil, err
		}
		part, err := w.concerns(epoch, e)
		if err != nil {
			return nil, nil, err
		}
		if part {
			recorded, err := w.v.recordedAck(ack)
			return recorded, epoch, err
		}
	}
	return nil, nil, nil
}

// recordedAck reads what the subscriber signed.
func (v *View) recordedAck(a *Acknowledgement) (*RecordedAck, error) {
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	rev, err := journal.ReadRevision(txn, a.ID.Revision)
	if err != nil {
		return nil, err
	}
	e, err := eventAt(rev, a.ID)
	if err != nil {
		return nil, err
	}
	m := e.GetAcknowledged()
	if m == nil {
		return nil, fmt.Errorf("%w: revision %d event %d is no acknowledgement", ErrDamaged, a.ID.Revision, a.ID.Index)
	}
	return &RecordedAck{a, m.GetNote(), m.GetKey()}, nil
}

// prove adds the proof of an event: from the hash before it to the last stage that was acknowledged in the same epoch and is
// within reach.
func (w *knower) prove(ctx context.Context, e *NumberEvent, epoch *Subscriber, k *Knowledge) error {
	switch {
	case epoch == nil:
		k.Unproven = "it has acknowledged nothing since then"
		return nil
	case e.ID.Revision <= epoch.Epoch:
		k.Snapshot, k.Unproven = true, "it is among the rows with which the log began: the acknowledgement covers them by their digest"
		return nil
	}
	var ends []*Acknowledgement
	for _, ack := range k.Stages {
		if ack != nil && ack.Epoch == epoch.Epoch {
			ends = append(ends, ack.Acknowledgement)
		}
	}
	p, err := w.s.proof(ctx, epoch, e, ends, *w.room)
	switch {
	case errors.Is(err, ErrHistoryGone):
		k.Unproven = "the journal is no longer kept from the beginning of the log"
		return nil
	case err != nil:
		return err
	case p == nil:
		k.Unproven = "there are too many changes up to the acknowledgement: ask the server with `dnc verify --server`"
		return nil
	}
	k.Proof = p
	*w.room -= len(p.Leaves)
	return nil
}

// proof reads the log of a subscriber from before an event up to the last of the acknowledgements that at most so many leaves
// reach; nil: none.
func (s *Store) proof(ctx context.Context, sub *Subscriber, e *NumberEvent, ends []*Acknowledgement, most int) (*feed.Proof, error) {
	before, err := s.FeedLog(ctx, sub, e.ID.Revision-1)
	if err != nil {
		return nil, err
	}
	last := slices.MaxFunc(ends, func(a, b *Acknowledgement) int { return int(int64(a.Revision) - int64(b.Revision)) })
	reader, err := s.OpenFeed(FeedQuery{Filter: sub.Filter, Subscriber: sub.ID, After: before, UpTo: last.Revision, WithoutRows: true})
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	r := proofReader{event: e, proof: feed.Proof{Epoch: sub.Epoch, Changes: before.Changes, Before: before.Hash}}
	for at := before; at.Revision < last.Revision && len(r.proof.Leaves) <= most; {
		batch, err := reader.Read(ctx, feedBatchBytes)
		if err != nil {
			return nil, err
		}
		for i := range batch.Changes {
			r.add(&batch.Changes[i])
		}
		at = batch.Cursor
	}
	return r.end(ends, most)
}

// proofReader makes a proof of the changes of a log.
type proofReader struct {
	event *NumberEvent
	found bool
	proof feed.Proof
}

func (r *proofReader) add(c *FeedChange) {
	text := c.AppendText(nil)
	leaf := feed.Leaf(text, c.Blind)
	if r.found {
		r.proof.Leaves = append(r.proof.Leaves, leaf)
		return
	}
	r.proof.Changes++
	if r.found = r.event.is(c); r.found {
		r.proof.Change, r.proof.Blind = string(text), c.Blind
		return
	}
	r.proof.Before = feed.Next(r.proof.Before, leaf)
}

// end cuts what lies behind the last acknowledgement that the leaves reach.
func (r *proofReader) end(ends []*Acknowledgement, most int) (*feed.Proof, error) {
	if !r.found {
		return nil, fmt.Errorf("%w: revision %d is missing in a log", ErrDamaged, r.event.ID.Revision)
	}
	reach := -1
	for _, ack := range ends {
		if n := int(ack.Changes - r.proof.Changes); ack.Changes >= r.proof.Changes && n <= min(most, len(r.proof.Leaves)) {
			reach = max(reach, n)
		}
	}
	if reach < 0 {
		return nil, nil
	}
	r.proof.Leaves = r.proof.Leaves[:reach]
	return &r.proof, nil
}

// SubscriberAt is a subscriber, which may have been removed, as it was at a revision. Errors: ErrSubscriberNotFound,
// ErrFutureRevision.
func (s *Store) SubscriberAt(v *View, id policy.EventID, revision uint64) (*Subscriber, error) {
	if revision > v.revision {
		return nil, ErrFutureRevision
	}
	w := knower{s: s, v: v, sub: &Subscriber{ID: id}}
	sub, err := w.subscriberAt(revision)
	if err == nil && sub == nil {
		err = ErrSubscriberNotFound
	}
	return sub, err
}

// LogAt computes the log of a subscriber, as SubscriberAt has it, at that revision of an epoch. Errors: ErrEpochEnded where the epoch
// does not hold the revision, and those of FeedLog.
func (s *Store) LogAt(ctx context.Context, v *View, sub *Subscriber, epoch, revision uint64) (feed.Checkpoint, error) {
	if sub.Epoch != epoch {
		return feed.Checkpoint{}, ErrEpochEnded
	}
	log, err := s.FeedLog(ctx, sub, revision)
	if err != nil {
		return feed.Checkpoint{}, err
	}
	return v.Checkpoint(sub, log)
}

// Listing is since when a list holds a number.
type Listing struct {
	Event policy.EventID // with which the content came that holds it
	Time  time.Time
	Known bool // the content before did not hold it; else that is not kept, or lies too far back
}

// maxListings is how many contents of a list are looked into.
const maxListings = 100

// ListedSince looks back for the first of the contents of a list that hold a number without a gap up to the view, which must hold it.
// Errors: ErrDamaged.
func (v *View) ListedSince(n phone.Number, l *List) (at Listing, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	loads, err := v.Imports(l.ID, l.ContentRevision+1, maxListings)
	if err != nil {
		return at, err
	}
	for _, load := range loads {
		if load.State != ImportSwitched {
			continue
		}
		if at.Event != (policy.EventID{}) {
			listed, readable := v.s.listedThen(l.ID, load.Ended, n)
			if !readable {
				return at, nil
			}
			if !listed {
				at.Known = true
				return at, nil
			}
		}
		at.Event, at.Time = policy.EventID{Revision: load.Ended}, load.EndedAt
	}
	at.Known = len(loads) < maxListings
	return at, nil
}

// listedThen reports whether a list held a number after a revision, if that can still be read.
func (s *Store) listedThen(id policy.EventID, revision uint64, n phone.Number) (listed, readable bool) {
	then, err := s.ViewAt(revision)
	if err != nil {
		return false, false
	}
	l := then.listByID(id)
	if l == nil {
		return false, true
	}
	listed, unread := then.holdsSpelled(l, n)
	return listed, !unread
}
