package store

import (
	"iter"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/state"
)

// Subscribers are the subscribers that were not removed. A view of the past has none. In a damaged store, one that cannot be
// read is missing.
func (v *View) Subscribers() *Subscribers { return v.subscribers }

// Above yields the parent of a subscriber, its parent, and so on. None is above itself: where a repair left a circle, it ends.
func (v *View) Above(s *Subscriber) iter.Seq[*Subscriber] {
	return func(yield func(*Subscriber) bool) {
		above := v.subscribers.ByID(s.Parent)
		for range v.subscribers.All() {
			if above == nil || above.ID == s.ID || !yield(above) {
				return
			}
			above = v.subscribers.ByID(above.Parent)
		}
	}
}

// Desks are the desks that were not removed, as Subscribers.
func (v *View) Desks() *Desks { return v.desks }

// AllSubscribers are all subscribers that the view holds, removed ones too, in order of registration; also of a view of the past.
func (v *View) AllSubscribers() (all []*Subscriber, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	for s, err := range state.Subscribers(txn) {
		if err != nil {
			return nil, err
		}
		all = append(all, compileSubscriber(s.ID, s.State))
	}
	return all, v.complete()
}

// AllDesks are all desks that the view holds, removed ones too, in order of registration; also of a view of the past.
func (v *View) AllDesks() (all []*Desk, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := v.s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	for d, err := range state.Desks(txn) {
		if err != nil {
			return nil, err
		}
		all = append(all, compileDesk(d.ID, d.State))
	}
	return all, v.complete()
}

// readSubscribers compiles the subscribers that the transaction sees. With an error it holds those that can be read.
func readSubscribers(txn *badger.Txn) (t *Subscribers, err error) {
	var all []*Subscriber
	defer func() { t = newSubscribers(all) }()
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	for s, damaged := range state.Subscribers(txn) {
		if damaged != nil {
			err = damaged
		} else if s.State.GetRemoved() == 0 {
			all = append(all, compileSubscriber(s.ID, s.State))
		}
	}
	return t, err
}

// readDesks is readSubscribers, of desks.
func readDesks(txn *badger.Txn) (t *Desks, err error) {
	var all []*Desk
	defer func() { t = newDesks(all) }()
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	for d, damaged := range state.Desks(txn) {
		if damaged != nil {
			err = damaged
		} else if d.State.GetRemoved() == 0 {
			all = append(all, compileDesk(d.ID, d.State))
		}
	}
	return t, err
}

// findDesks finds the desks of rows. Consecutive rows of a file mostly share one.
func (v *View) findDesks(rows []RecordRow) {
	if len(v.desks.All()) == 0 {
		return
	}
	text, desk := "", policy.EventID{}
	for i := range rows {
		if r := &rows[i]; r.Story.Desk != text {
			text, desk = r.Story.Desk, v.deskOf(r.Story.Desk)
		}
		rows[i].desk = desk
	}
}

// deskOf is the id of the desk that a text names; zero: none that is registered.
func (v *View) deskOf(text string) policy.EventID {
	if d := v.desks.Named(text); d != nil {
		return d.ID
	}
	return policy.EventID{}
}
