package store

import (
	"runtime/debug"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// ListWrite is what a write to a list came to.
type ListWrite struct {
	Receipt
	List    *List  // as it is now; nil: of a deletion
	Numbers uint64 // of a deletion: how many the list held
}

// RepeatedListWrite returns what a write to a list came to that was made within 7 days with the request's id; false:
// there was none. It answers a retry whose first attempt was written. Errors: ErrRequestReused when the id was used for
// something else, ErrListNotFound when the list was deleted since.
func (s *Store) RepeatedListWrite(r Request) (w ListWrite, found bool, err error) {
	receipt, e, err := s.repeated(r)
	if e == nil || err != nil {
		return w, e != nil, err
	}
	w.Receipt = receipt
	switch c := e.GetChange().(type) {
	case *storev1.Event_ListCreated:
		w.List, _, err = s.writtenList(w.ID, w.Receipt)
	case *storev1.Event_ListUpdated:
		w.List, _, err = s.writtenList(state.ListID(c.ListUpdated.GetList()), w.Receipt)
	case *storev1.Event_ListDeleted:
		w.Numbers, err = s.numbersBefore(state.ListID(c.ListDeleted.GetList()), w.ID.Revision)
	default:
		err = ErrRequestReused
	}
	return w, true, err
}

// repeated returns the receipt and the event of a write that was made within 7 days with the request's id; nil: there was
// none. Errors: ErrRequestReused when the id was used for something else.
func (s *Store) repeated(r Request) (receipt Receipt, e *storev1.Event, err error) {
	if r.ID == "" {
		return receipt, nil, nil
	}
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	v := s.View()
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	now, ahead := v.Clock()
	a := apply.New(txn, v.revision+1, now.UnixNano(), int64(ahead))
	first, err := a.Repeated(&storev1.Event{RequestId: []byte(r.ID), RequestHash: r.Asked})
	if err != nil || first == nil {
		return receipt, nil, err
	}
	if !s.sameStory(first, r.Story) {
		return receipt, nil, ErrRequestReused
	}
	id := state.EventID(first.GetRevision(), int(first.GetIndex()))
	receipt = Receipt{ID: id, JournalID: v.JournalID(), Tag: string(v.TagAt(id.Revision)), Time: state.Time(first.GetTime()), Duplicate: true}
	rev, err := journal.ReadRevision(txn, id.Revision)
	if err != nil {
		return receipt, nil, err
	}
	e, err = eventAt(rev, id)
	return receipt, e, err
}

// numbersBefore is how many numbers a list held before a revision.
func (s *Store) numbersBefore(list policy.EventID, revision uint64) (uint64, error) {
	txn := s.db.NewTransactionAt(revision-1, false)
	defer txn.Discard()
	var then storev1.ListState
	_, err := state.Get(txn, keys.List(list), &then)
	return then.GetLoad().GetNumbers(), err
}
