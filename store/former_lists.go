package store

import (
	"runtime/debug"
	"slices"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// FormerListing is a time in which a list held a number, and which is over.
type FormerListing struct {
	List         *List // as it was when the number came
	Since, Until Listing
}

// FormerListings looks through the last contents of all lists for those that held a number and hold it no longer. complete is false
// where there are older contents, or one could not be read. Errors: ErrDamaged.
func (v *View) FormerListings(n phone.Number) (former []FormerListing, complete bool, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	loads, err := v.ListImports(0, maxListings)
	if err != nil {
		return nil, false, err
	}
	w := formerLists{v: v, number: n, all: len(loads) < maxListings, complete: len(loads) < maxListings, lists: map[policy.EventID]*listed{}}
	for _, load := range slices.Backward(loads) {
		if load.State == ImportSwitched {
			w.take(&load)
		}
	}
	for id, l := range w.lists {
		if err := w.end(id, l); err != nil {
			return nil, false, err
		}
	}
	slices.SortFunc(w.former, func(a, b FormerListing) int { return compareIDs(a.Since.Event, b.Since.Event) })
	return w.former, w.complete, nil
}

// formerLists follows the contents of lists, the oldest first.
type formerLists struct {
	v        *View
	number   phone.Number
	all      bool // every content is looked at
	complete bool
	lists    map[policy.EventID]*listed
	former   []FormerListing
}

// listed is what is known of a number and a list up to one of its contents.
type listed struct {
	open  *FormerListing // nil: the list does not hold the number
	known bool           // that is so of the content before; false: it could not be read, or is not looked at
}

func (w *formerLists) take(load *ImportEntry) {
	l := w.lists[load.List]
	if l == nil {
		l = &listed{known: w.all}
		w.lists[load.List] = l
	}
	at := Listing{policy.EventID{Revision: load.Ended}, load.EndedAt, l.known}
	list, holds, readable := w.at(load)
	switch {
	case !readable:
		l.known, w.complete = false, false
		return
	case holds && l.open == nil:
		l.open = &FormerListing{List: list, Since: at}
	case !holds && l.open != nil:
		l.open.Until = at
		w.former = append(w.former, *l.open)
		l.open = nil
	}
	l.known = true
}

// at is the list as a load left it, and whether it held the number then.
func (w *formerLists) at(load *ImportEntry) (l *List, holds, readable bool) {
	then, err := w.v.s.ViewAt(load.Ended)
	if err != nil {
		return nil, false, false
	}
	if l = then.listByID(load.List); l == nil {
		return nil, false, false
	}
	holds, unread := then.holdsSpelled(l, w.number)
	return l, holds, !unread
}

// end ends the time of a list that was deleted. A list that is there still holds the number, or is in doubt.
func (w *formerLists) end(id policy.EventID, l *listed) error {
	if l.open == nil || w.v.listByID(id) != nil {
		return nil
	}
	txn := w.v.s.db.NewTransactionAt(w.v.revision, false)
	defer txn.Discard()
	var last storev1.FeedCount
	if _, err := state.Get(txn, keys.Counted(keys.ListTopic(id)), &last); err != nil {
		return err
	}
	if last.GetRevision() > l.open.Since.Event.Revision { // else an earlier version deleted it, which counted nothing
		t, err := w.v.TimeAt(last.GetRevision())
		if err != nil {
			return err
		}
		l.open.Until = Listing{policy.EventID{Revision: last.GetRevision()}, t, l.known}
	}
	w.former = append(w.former, *l.open)
	return nil
}
