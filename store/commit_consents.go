package store

import (
	"errors"

	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// Rows of consents are events of their own, each with its own story: files of them are small beside those of opt-outs.

// isOfConsents reports whether the rows are consents. A batch holds one kind.
func (b *batch) isOfConsents() bool { return len(b.rows) > 0 && b.rows[0].Consent != nil }

// consent is the row as a consent.
func (r *RecordRow) consent() Consent {
	return Consent{
		Number: r.Number, Scope: r.Scope, Channel: r.Channel, ObtainedAt: r.ReceivedAt, ExpiresAt: r.ExpiresAt, Consent: *r.Consent,
	}
}

// consentMessage is the row as an event has it.
func (r *RecordRow) consentMessage() *storev1.ConsentRecorded {
	c := r.consent()
	m := c.message()
	m.Unique, m.Desk = true, state.Ref(r.desk)
	return m
}

// takeConsents takes the rows of a batch into a group, until all are taken or it has no more room.
func (g *group) takeConsents(b *batch) error {
	defer func() { g.parts = append(g.parts, takenRows{b, b.next}) }()
	for ; b.next < len(b.rows) && !g.full(); b.next++ {
		out := &b.outcomes[b.next]
		if !out.isOpen() {
			continue
		}
		if err := g.takeConsent(&b.rows[b.next], out); err != nil {
			g.s.noteDamage(err)
			return err
		}
	}
	return nil
}

// takeConsent takes one row, and says what becomes of it.
func (g *group) takeConsent(r *RecordRow, out *Outcome) error {
	w, err := newPendingEvent(&storev1.Event{Change: &storev1.Event_ConsentRecorded{ConsentRecorded: r.consentMessage()}}, Request{Story: r.Story})
	if err == nil {
		err = w.encode()
	}
	if err != nil {
		out.Err = err
		return nil //nolint:nilerr // it is the row's, not the group's
	}
	applied, err := g.apply(w.event)
	switch {
	case errors.Is(err, ErrTooManyRecords), errors.Is(err, ErrConsentWithdrawn):
		out.Err = err
	case err != nil:
		return err
	default:
		out.ID, out.Duplicate = applied.ID, applied.Held
		if !applied.Held {
			g.keep(w)
		}
	}
	return nil
}
