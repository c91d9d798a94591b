package apply

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/state"
)

const (
	// MaxConsentSetBytes bounds a set to which a consent is added. The rest of MaxRecordSetBytes is for opt-outs, so that no
	// number of consents keeps an opt-out from being recorded.
	MaxConsentSetBytes = MaxRecordSetBytes / 2
	// ConsentsKept is how long a consent stays after it expired: a policy may count a contract that has ended.
	ConsentsKept = 5 * 365 * 24 * time.Hour
)

// consent records a consent, unless consents were withdrawn there after it was obtained.
func (a *Applier) consent(id policy.EventID, c *storev1.ConsentRecorded, story []byte) error {
	set, err := a.Records(c.GetNumber())
	if err != nil {
		return err
	}
	obtained := cmp.Or(c.GetObtainedAt(), a.Time-a.Ahead) // no later than it may have been: it may lift what is older
	if !a.replay {
		if held := state.HeldConsent(set.RecordSet, c); c.GetUnique() && held != nil {
			return &heldError{state.RecordID(held)}
		}
		if state.IsEnded(set.RecordSet, c.GetScope(), c.GetConsent().GetKind(), obtained) {
			return fault.ErrConsentWithdrawn
		}
	}
	set.Records = append(set.Records, &storev1.Record{
		Revision:   id.Revision,
		Index:      id.Index,
		Kind:       uint32(policy.RecordConsent),
		Scope:      c.GetScope(),
		Channel:    c.GetChannel(),
		ReceivedAt: obtained,
		RecordedAt: a.Time,
		ExpiresAt:  c.GetExpiresAt(),
		StoryHash:  story,
		Consent:    c.GetConsent(),
	})
	if !a.replay && proto.Size(set.RecordSet) > MaxConsentSetBytes {
		return fault.ErrTooManyRecords
	}
	return a.PutNew(id, c.GetNumber(), set)
}

// withdrawConsents ends every consent of one kind, or of all, at exactly the scope, and says which.
func (a *Applier) withdrawConsents(id policy.EventID, c *storev1.ConsentWithdrawn) ([]policy.EventID, error) {
	set, err := a.Records(c.GetNumber())
	if err != nil {
		return nil, err
	}
	var ended []policy.EventID
	set.keep(func(r *storev1.Record) bool {
		ends := r.GetConsent() != nil && r.GetScope() == c.GetScope() && isKind(c.GetKind(), r.GetConsent().GetKind())
		if ends {
			ended = append(ended, state.RecordID(r))
		}
		return !ends
	})
	if len(ended) == 0 && !a.replay { // after a loss, what it ended may be gone; that it was withdrawn is not
		return nil, fault.ErrNoConsent
	}
	if c.GetReason() != state.ReasonMistake {
		set.ConsentsEnded = a.withEnd(set.ConsentsEnded, c)
	}
	return ended, a.putRecords(id, c.GetNumber(), set)
}

// isKind reports whether a kind is meant by one that may be every kind.
func isKind(meant, kind uint32) bool { return meant == 0 || meant == kind }

// withEnd adds a withdrawal to those of a number, in place of those that it includes.
func (a *Applier) withEnd(ends []*storev1.ConsentsEnded, c *storev1.ConsentWithdrawn) []*storev1.ConsentsEnded {
	ends = slices.DeleteFunc(ends, func(e *storev1.ConsentsEnded) bool {
		return e.GetScope() == c.GetScope() && isKind(c.GetKind(), e.GetKind())
	})
	return append(ends, &storev1.ConsentsEnded{Scope: c.GetScope(), Kind: c.GetKind(), Time: a.Time})
}
