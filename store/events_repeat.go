package store

import (
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"

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
	if r.ID == "" {
		return w, false, nil
	}
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	v := s.View()
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	now, ahead := v.Clock()
	a := apply.New(txn, v.revision+1, now.UnixNano(), int64(ahead))
	first, err := a.Repeated(&storev1.Event{RequestId: []byte(r.ID), RequestHash: r.Asked})
	if err != nil || first == nil {
		return w, false, err
	}
	if !s.sameStory(first, r.Story) {
		return w, false, ErrRequestReused
	}
	id := state.EventID(first.GetRevision(), int(first.GetIndex()))
	w.Receipt = Receipt{ID: id, JournalID: v.JournalID(), Tag: string(v.TagAt(id.Revision)), Time: state.Time(first.GetTime()), Duplicate: true}
	err = s.fillListWrite(txn, &w)
	return w, true, err
}

// fillListWrite reads from the journal which list a write was about.
func (s *Store) fillListWrite(txn *badger.Txn, w *ListWrite) error {
	rev, err := journal.ReadRevision(txn, w.ID.Revision)
	if err != nil {
		return err
	}
	e, err := eventAt(rev, w.ID)
	if err != nil {
		return err
	}
	switch c := e.GetChange().(type) {
	case *storev1.Event_ListCreated:
		w.List, _, err = s.writtenList(w.ID, w.Receipt)
	case *storev1.Event_ListUpdated:
		w.List, _, err = s.writtenList(state.ListID(c.ListUpdated.GetList()), w.Receipt)
	case *storev1.Event_ListDeleted:
		w.Numbers, err = s.numbersBefore(state.ListID(c.ListDeleted.GetList()), w.ID.Revision)
	default:
		return ErrRequestReused
	}
	return err
}

// numbersBefore is how many numbers a list held before a revision.
func (s *Store) numbersBefore(list policy.EventID, revision uint64) (uint64, error) {
	txn := s.db.NewTransactionAt(revision-1, false)
	defer txn.Discard()
	var then storev1.ListState
	_, err := state.Get(txn, keys.List(list), &then)
	return then.GetLoad().GetNumbers(), err
}
