package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// Consent is a person's consent to calls from a scope, or a relationship that may count as one.
type Consent struct {
	Number     phone.Number
	Scope      policy.Scope
	Channel    policy.Channel
	ObtainedAt time.Time // zero: when it is recorded, or as much earlier as the clock may be ahead
	ExpiresAt  time.Time // zero: only the policy decides
	policy.Consent
}

// MaxTerms bounds Goods and ThirdParties, in bytes.
const MaxTerms = 256

// RecordConsent records a consent. A view answers by it from the receipt's revision on, as the policy lets it count. Errors:
// ErrConsentWithdrawn, ErrTooManyRecords, ErrRequestReused, and those of every write.
func (s *Store) RecordConsent(ctx context.Context, c Consent, r Request) (Receipt, error) {
	if err := c.check(); err != nil {
		return Receipt{}, err
	}
	m := c.message()
	w, err := newPendingEvent(&storev1.Event{Change: &storev1.Event_ConsentRecorded{ConsentRecorded: m}}, r)
	if err != nil {
		return Receipt{}, err
	}
	m.Desk = state.Ref(s.View().deskOf(r.Story.Desk)) // as in RecordOptOut
	return s.submit(ctx, w)
}

func (c *Consent) check() error {
	err := checkNumber(c.Number)
	for _, t := range []time.Time{c.ObtainedAt, c.ExpiresAt, c.From, c.Until} {
		err = errors.Join(err, state.CheckTime(t))
	}
	if len(c.Goods) > MaxTerms || len(c.ThirdParties) > MaxTerms {
		err = errors.Join(err, fmt.Errorf("%w: goods and third parties have at most %d bytes each", ErrTooLarge, MaxTerms))
	}
	return err
}

func (c *Consent) message() *storev1.ConsentRecorded {
	return &storev1.ConsentRecorded{
		Number:     uint64(c.Number),
		Scope:      string(c.Scope),
		Channel:    uint32(c.Channel),
		ObtainedAt: state.Nano(c.ObtainedAt),
		ExpiresAt:  state.Nano(c.ExpiresAt),
		Consent:    state.ConsentMessage(&c.Consent),
	}
}

// WithdrawConsent ends every consent of one kind, or of every kind where it is ConsentUnspecified, that the number holds at exactly
// the scope. Unless they were recorded by mistake, none that was obtained before is recorded there any more. Errors:
// ErrNothingToWithdraw, ErrRequestReused, and those of every write.
func (s *Store) WithdrawConsent(ctx context.Context, n phone.Number, scope policy.Scope, kind policy.ConsentKind, r Request) (Receipt, error) {
	m := &storev1.ConsentWithdrawn{Number: uint64(n), Scope: string(scope), Kind: uint32(kind), Reason: uint32(r.Why)}
	w, err := newPendingEvent(&storev1.Event{Change: &storev1.Event_ConsentWithdrawn{ConsentWithdrawn: m}}, r)
	if err != nil {
		return Receipt{}, err
	}
	m.Desk = state.Ref(s.View().deskOf(r.Story.Desk))
	return s.submit(ctx, w)
}

// UseConsents records that a check for a scope, answered from a revision, relied on consents. Errors: those of every write.
func (s *Store) UseConsents(
	ctx context.Context, n phone.Number, scope policy.Scope, consents []policy.EventID, checked uint64, r Request,
) (Receipt, error) {
	if err := checkNumber(n); err != nil {
		return Receipt{}, err
	}
	m := &storev1.ConsentUsed{Number: uint64(n), Scope: string(scope), Checked: checked}
	for _, id := range consents {
		m.Consents = append(m.Consents, state.Ref(id))
	}
	return s.record(ctx, &storev1.Event{Change: &storev1.Event_ConsentUsed{ConsentUsed: m}}, r)
}
