package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/state"
)

// SubscriberWrite is what a write about a subscriber came to.
type SubscriberWrite struct {
	Receipt
	Subscriber *Subscriber // as it is now; nil: of a removal
	Created    bool        // it was registered, not changed
}

// SubscriberChange changes settings, which are those of old in v; for a new subscriber, old is nil. It may be called more than
// once, and it may refuse the change.
type SubscriberChange func(v *View, old *Subscriber, settings *SubscriberSettings) error

// PutSubscriber registers the subscriber of that name, or changes it. With rebase, or when its filter changes, its log begins
// anew. A request with an id says what was Asked: settings depend on those before. Errors: ErrSubscriberSettings,
// ErrSubscriberInvalid, ErrListNotFound, ErrSubscriberNotFound for a parent or when it was removed since, and those of every
// write.
func (s *Store) PutSubscriber(ctx context.Context, name string, change SubscriberChange, rebase bool, r Request) (SubscriberWrite, error) {
	for {
		w, err := s.tryPutSubscriber(ctx, name, change, rebase, r)
		if !errors.Is(err, fault.ErrMoved) {
			return w, err
		}
	}
}

func (s *Store) tryPutSubscriber(ctx context.Context, name string, change SubscriberChange, rebase bool, r Request) (SubscriberWrite, error) {
	v := s.View()
	settings := SubscriberSettings{Deadline: DefaultDeadline}
	put := &storev1.SubscriberPut{Rebase: rebase}
	old := v.Subscribers().Named(name)
	if old != nil {
		settings = old.SubscriberSettings
		put.Subscriber, put.Base = state.Ref(old.ID), old.UpdatedRevision
	}
	if v.Subscribers().ByID(settings.Parent) == nil {
		settings.Parent = policy.EventID{} // it went with lost revisions
	}
	settings.Name = name
	if err := change(v, old, &settings); err != nil {
		return SubscriberWrite{}, err
	}
	if err := settings.check(); err != nil {
		return SubscriberWrite{}, err
	}
	put.Settings = settings.message()
	receipt, err := s.record(ctx, &storev1.Event{Change: &storev1.Event_SubscriberPut{SubscriberPut: put}}, r)
	if err != nil {
		return SubscriberWrite{}, err
	}
	if receipt.Duplicate {
		w, _, err := s.RepeatedSubscriberWrite(r)
		return w, err
	}
	return s.writtenSubscriber(put, receipt)
}

// writtenSubscriber is the subscriber that an event registered or changed, as it is now.
func (s *Store) writtenSubscriber(put *storev1.SubscriberPut, receipt Receipt) (SubscriberWrite, error) {
	w := SubscriberWrite{Receipt: receipt, Created: put.GetSubscriber() == nil}
	id := receipt.ID
	if !w.Created {
		id = state.RefID(put.GetSubscriber())
	}
	if w.Subscriber = s.View().Subscribers().ByID(id); w.Subscriber == nil {
		return w, fmt.Errorf("%w: it was removed since this request was written", ErrSubscriberNotFound)
	}
	return w, nil
}

// RemoveSubscriber ends the subscriber with that id; its name is free again. Errors: ErrSubscriberNotFound,
// ErrSubscriberInvalid while it is the parent of others, and those of every write.
func (s *Store) RemoveSubscriber(ctx context.Context, id policy.EventID, r Request) (Receipt, error) {
	return s.record(ctx, &storev1.Event{Change: &storev1.Event_SubscriberRemoved{
		SubscriberRemoved: &storev1.SubscriberRemoved{Subscriber: state.Ref(id)},
	}}, r)
}

// RepeatedSubscriberWrite returns what a write about a subscriber came to: see RepeatedListWrite. Errors: ErrRequestReused,
// and ErrSubscriberNotFound when it was removed since.
func (s *Store) RepeatedSubscriberWrite(r Request) (w SubscriberWrite, found bool, err error) {
	receipt, e, err := s.repeated(r)
	if e == nil || err != nil {
		return w, e != nil, err
	}
	switch c := e.GetChange().(type) {
	case *storev1.Event_SubscriberPut:
		w, err = s.writtenSubscriber(c.SubscriberPut, receipt)
	case *storev1.Event_SubscriberRemoved:
		w.Receipt = receipt
	default:
		err = ErrRequestReused
	}
	return w, true, err
}

// DeskWrite is what a write about a desk came to.
type DeskWrite struct {
	Receipt
	Desk    *Desk // as it is now; nil: of a removal
	Created bool  // it was registered, not changed
}

// PutDesk registers the desk of that name, or changes it: change gets the settings as they are. A request with an id says
// what was Asked. Errors: ErrDeskSettings, ErrDeskNotFound when it was removed since, and those of every write.
func (s *Store) PutDesk(ctx context.Context, name string, change func(old *Desk, settings *DeskSettings) error, r Request) (DeskWrite, error) {
	for {
		w, err := s.tryPutDesk(ctx, name, change, r)
		if !errors.Is(err, fault.ErrMoved) {
			return w, err
		}
	}
}

func (s *Store) tryPutDesk(ctx context.Context, name string, change func(old *Desk, settings *DeskSettings) error, r Request) (DeskWrite, error) {
	settings, put := DeskSettings{Name: strings.TrimSpace(name)}, new(storev1.DeskPut)
	old := s.View().Desks().Named(name)
	if old != nil {
		settings = old.DeskSettings
		put.Desk, put.Base = state.Ref(old.ID), old.UpdatedRevision
	}
	if err := change(old, &settings); err != nil {
		return DeskWrite{}, err
	}
	if err := settings.check(); err != nil {
		return DeskWrite{}, err
	}
	put.Settings = settings.message()
	receipt, err := s.record(ctx, &storev1.Event{Change: &storev1.Event_DeskPut{DeskPut: put}}, r)
	if err != nil {
		return DeskWrite{}, err
	}
	if receipt.Duplicate {
		w, _, err := s.RepeatedDeskWrite(r)
		return w, err
	}
	return s.writtenDesk(put, receipt)
}

func (s *Store) writtenDesk(put *storev1.DeskPut, receipt Receipt) (DeskWrite, error) {
	w := DeskWrite{Receipt: receipt, Created: put.GetDesk() == nil}
	id := receipt.ID
	if !w.Created {
		id = state.RefID(put.GetDesk())
	}
	for _, d := range s.View().Desks().All() {
		if d.ID == id {
			w.Desk = d
			return w, nil
		}
	}
	return w, fmt.Errorf("%w: it was removed since this request was written", ErrDeskNotFound)
}

// RemoveDesk ends the desk with that id; its name is free again. Errors: ErrDeskNotFound, and those of every write.
func (s *Store) RemoveDesk(ctx context.Context, id policy.EventID, r Request) (Receipt, error) {
	return s.record(ctx, &storev1.Event{Change: &storev1.Event_DeskRemoved{DeskRemoved: &storev1.DeskRemoved{Desk: state.Ref(id)}}}, r)
}

// RepeatedDeskWrite returns what a write about a desk came to: see RepeatedListWrite. Errors: ErrRequestReused, and
// ErrDeskNotFound when it was removed since.
func (s *Store) RepeatedDeskWrite(r Request) (w DeskWrite, found bool, err error) {
	receipt, e, err := s.repeated(r)
	if e == nil || err != nil {
		return w, e != nil, err
	}
	switch c := e.GetChange().(type) {
	case *storev1.Event_DeskPut:
		w, err = s.writtenDesk(c.DeskPut, receipt)
	case *storev1.Event_DeskRemoved:
		w.Receipt = receipt
	default:
		err = ErrRequestReused
	}
	return w, true, err
}
