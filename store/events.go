package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/state"
	"github.com/dncd/dncd/store/internal/stories"
)

// Story is what was said about an event. It is personal data: see package stories.
type Story = stories.Story

// StoryState says what became of an event's story.
type StoryState = stories.State

// The states of a story.
const (
	StoryNone    = stories.None    // none was given
	StoryPresent = stories.Present // as it was given: it matches the hash in the journal
	StoryMissing = stories.Missing // erased, lost, or not matching its hash
)

// Request is what a write says beside its event.
type Request struct {
	ID    string // made by the caller; the same id within 7 days gives the first receipt; empty: none
	Asked []byte // SHA-256 of what was asked for, the same for the same id; empty: that of the event
	Story Story

	Why       WithdrawalReason // of a withdrawal
	Confirmed bool             // of UpdateList, DeleteList and RevokeGrant: the caller knows what ErrUnconfirmed would say
}

// OptOut is a person's objection to calls from a scope.
type OptOut struct {
	Number     phone.Number
	Scope      policy.Scope
	Channel    policy.Channel
	ReceivedAt time.Time // zero: when it is recorded
	ExpiresAt  time.Time // zero: never

	desk policy.EventID // that the story names, if it is registered
}

// RecordOptOut records an objection. Once it returns without error, no view answers for that number, at that scope or
// below, as if it did not exist. Errors: ErrTooManyRecords, ErrRequestReused, and those of every write: ErrBusy,
// ErrDiskFull, ErrReadOnly, ErrDamaged, ErrClosed, ErrTooLarge, and the context's.
func (s *Store) RecordOptOut(ctx context.Context, o OptOut, r Request) (Receipt, error) {
	if err := o.check(); err != nil {
		return Receipt{}, err
	}
	m := o.message()
	w, err := newPendingEvent(&storev1.Event{Change: &storev1.Event_OptOut{OptOut: m}}, r)
	if err != nil {
		return Receipt{}, err
	}
	m.Desk = state.Ref(s.View().deskOf(r.Story.Desk)) // no part of what was asked: it may be registered before a retry
	return s.submit(ctx, w)
}

func (o *OptOut) check() error {
	if err := errors.Join(state.CheckTime(o.ReceivedAt), state.CheckTime(o.ExpiresAt)); err != nil {
		return err
	}
	return checkNumber(o.Number)
}

func (o *OptOut) message() *storev1.OptOut {
	return &storev1.OptOut{
		Number:     uint64(o.Number),
		Scope:      string(o.Scope),
		Channel:    uint32(o.Channel),
		ReceivedAt: state.Nano(o.ReceivedAt),
		ExpiresAt:  state.Nano(o.ExpiresAt),
		Desk:       state.Ref(o.desk),
	}
}

func checkNumber(n phone.Number) error {
	if _, err := phone.FromDigits(uint64(n)); err != nil {
		return fmt.Errorf("%w: %w", ErrNumber, err)
	}
	return nil
}

// WithdrawalReason says why something is withdrawn, numbered as the contract's dnc.v1.WithdrawalReason.
type WithdrawalReason uint32

// ReasonMistake is the reason for what should not have been recorded.
const ReasonMistake WithdrawalReason = state.ReasonMistake

// WithdrawOptOut ends every opt-out of the number in force at exactly the scope. Errors: ErrNothingToWithdraw,
// ErrRequestReused, and those of every write.
func (s *Store) WithdrawOptOut(ctx context.Context, n phone.Number, scope policy.Scope, r Request) (Receipt, error) {
	m := &storev1.OptOutWithdrawn{Number: uint64(n), Scope: string(scope), Reason: uint32(r.Why)}
	w, err := newPendingEvent(&storev1.Event{Change: &storev1.Event_OptOutWithdrawn{OptOutWithdrawn: m}}, r)
	if err != nil {
		return Receipt{}, err
	}
	m.Desk = state.Ref(s.View().deskOf(r.Story.Desk))
	return s.submit(ctx, w)
}

// CreateList creates an empty list. Errors: ErrListName, ErrSettings, ErrJurisdiction, ErrListExists, ErrListNotFound when
// the list was deleted since, and those of every write.
func (s *Store) CreateList(ctx context.Context, name string, settings Settings, r Request) (*List, Receipt, error) {
	if err := errors.Join(CheckListName(name), settings.check()); err != nil {
		return nil, Receipt{}, err
	}
	receipt, err := s.record(ctx, &storev1.Event{Change: &storev1.Event_ListCreated{
		ListCreated: &storev1.ListCreated{Name: name, Settings: settings.message()},
	}}, r)
	if err != nil {
		return nil, receipt, err
	}
	return s.writtenList(receipt.ID, receipt)
}

// writtenList is the list that a write made or changed. A caller that repeats the write, or looks late, may find it deleted.
func (s *Store) writtenList(id policy.EventID, receipt Receipt) (*List, Receipt, error) {
	l := s.View().listByID(id)
	if l == nil {
		return nil, receipt, fmt.Errorf("%w: it was deleted since this request was written", ErrListNotFound)
	}
	return l, receipt, nil
}

// UpdateList changes the settings of the list with that id; kind and scope stay. It keeps off a load that is being compared: coverage
// is worked out from settings, and a load from both. Errors: ErrListNotFound, ErrSettings,
// ErrJurisdiction, ErrUnconfirmed, ErrImportRunning, and those of every write.
func (s *Store) UpdateList(ctx context.Context, id policy.EventID, change func(*Settings), r Request) (*List, Receipt, error) {
	for {
		l, receipt, err := s.tryUpdate(ctx, id, change, r)
		if !errors.Is(err, fault.ErrMoved) {
			return l, receipt, err
		}
	}
}

func (s *Store) tryUpdate(ctx context.Context, id policy.EventID, change func(*Settings), r Request) (*List, Receipt, error) {
	release, err := s.locks.LockSettings(ctx, id)
	if err != nil {
		return nil, Receipt{}, err
	}
	defer release()
	l := s.View().listByID(id)
	if l == nil {
		return nil, Receipt{}, ErrListNotFound
	}
	settings := l.Settings
	change(&settings)
	settings.Kind, settings.Scope = l.Settings.Kind, l.Settings.Scope
	if err := settings.check(); err != nil {
		return nil, Receipt{}, err
	}
	held, all, err := s.effectiveCoverage(ctx, l, settings.Coverage)
	if err != nil {
		return nil, Receipt{}, err
	}
	if why := l.freedBy(settings, held, all, s.Now()); why != "" && !r.Confirmed {
		return nil, Receipt{}, fault.Unconfirmed("numbers would become callable: the list " + why)
	}
	receipt, err := s.record(ctx, &storev1.Event{Change: &storev1.Event_ListUpdated{ListUpdated: &storev1.ListUpdated{
		List: state.ListRef(l.ID), Settings: settings.message(), Base: l.ContentRevision, EffectiveCoverage: held, CoversAll: all,
	}}}, r)
	if err != nil {
		return nil, receipt, err
	}
	return s.writtenList(l.ID, receipt)
}

// DeleteList takes the list with that id out of every check; its name is free again. Errors: ErrListNotFound,
// ErrUnconfirmed, ErrImportRunning, and those of every write.
func (s *Store) DeleteList(ctx context.Context, id policy.EventID, r Request) (Receipt, error) {
	if !r.Confirmed {
		release, err := s.lockUnguarded(ctx, id)
		if err != nil {
			return Receipt{}, err
		}
		defer release()
	}
	return s.record(ctx, &storev1.Event{Change: &storev1.Event_ListDeleted{
		ListDeleted: &storev1.ListDeleted{List: state.ListRef(id)},
	}}, r)
}

// lockUnguarded takes a list that guards no number, so that no load gives it any before release.
func (s *Store) lockUnguarded(ctx context.Context, id policy.EventID) (release func(), err error) {
	if err := s.checkUnguarded(id); err != nil {
		return nil, err
	}
	if release, err = s.locks.LockSettings(ctx, id); err != nil {
		return nil, err
	}
	if err := s.checkUnguarded(id); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

func (s *Store) checkUnguarded(id policy.EventID) error {
	if l := s.View().listByID(id); l != nil && l.guardsNumbers() {
		return fault.Unconfirmed(fmt.Sprintf("numbers would become callable: the list holds %d", l.Numbers))
	}
	return nil
}

// record submits an event with the request and story that go along.
func (s *Store) record(ctx context.Context, e *storev1.Event, r Request) (Receipt, error) {
	w, err := newPendingEvent(e, r)
	if err != nil {
		return Receipt{}, err
	}
	return s.submit(ctx, w)
}

func newPendingEvent(e *storev1.Event, r Request) (*pendingEvent, error) {
	if r.ID != "" {
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encode event: %w", err)
		}
		e.RequestId, e.RequestHash = []byte(r.ID), r.Asked
		if len(r.Asked) == 0 {
			hash := sha256.Sum256(body)
			e.RequestHash = hash[:]
		}
	}
	if err := stories.Check(r.Story); err != nil {
		return nil, err
	}
	sealed := stories.Seal(r.Story)
	e.StoryHash = sealed.Hash()
	return &pendingEvent{event: e, story: r.Story, sealed: sealed}, nil
}
