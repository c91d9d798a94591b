package state

import (
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
)

// ReasonMistake is the reason of a withdrawal for what should not have been recorded: dnc.v1.WithdrawalReason.
const ReasonMistake = 2

// Consent is the stored part of a record that is a consent; nil: it is none.
func Consent(c *storev1.Consent) *policy.Consent {
	if c == nil {
		return nil
	}
	return &policy.Consent{
		Kind:         policy.ConsentKind(c.GetKind()),
		Form:         policy.ConsentForm(c.GetForm()),
		MayLift:      c.GetMayLift(),
		From:         Time(c.GetAppointmentFrom()),
		Until:        Time(c.GetAppointmentUntil()),
		Goods:        c.GetGoods(),
		ThirdParties: c.GetThirdParties(),
	}
}

// ConsentMessage is the inverse of Consent.
func ConsentMessage(c *policy.Consent) *storev1.Consent {
	return &storev1.Consent{
		Kind:             uint32(c.Kind),
		Form:             uint32(c.Form),
		MayLift:          c.MayLift,
		AppointmentFrom:  Nano(c.From),
		AppointmentUntil: Nano(c.Until),
		Goods:            c.Goods,
		ThirdParties:     c.ThirdParties,
	}
}

// HeldConsent is the record of set that already says what c would, in every field but its story. nil: none does.
func HeldConsent(set *storev1.RecordSet, c *storev1.ConsentRecorded) *storev1.Record {
	for _, r := range set.GetRecords() {
		if SameConsent(r, c) {
			return r
		}
	}
	return nil
}

// SameConsent reports whether a record says what a consent would.
func SameConsent(r *storev1.Record, c *storev1.ConsentRecorded) bool {
	return r.GetConsent() != nil && r.GetScope() == c.GetScope() && r.GetChannel() == c.GetChannel() &&
		r.GetReceivedAt() == c.GetObtainedAt() && r.GetExpiresAt() == c.GetExpiresAt() && proto.Equal(r.GetConsent(), c.GetConsent())
}

// IsEnded reports whether consents of a kind were withdrawn at a scope after one was obtained.
func IsEnded(set *storev1.RecordSet, scope string, kind uint32, obtained int64) bool {
	for _, e := range set.GetConsentsEnded() {
		if e.GetScope() == scope && (e.GetKind() == 0 || e.GetKind() == kind) && obtained <= e.GetTime() {
			return true
		}
	}
	return false
}
