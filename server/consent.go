package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// RecordConsent implements dncv1.RecordServiceServer.
func (s *recordService) RecordConsent(ctx context.Context, req *dncv1.RecordConsentRequest) (*dncv1.RecordConsentResponse, error) {
	resp, err := s.recordConsent(ctx, req)
	s.metrics.wrote(writeConsent, resp.GetDuplicate(), err)
	return resp, err
}

func (s *recordService) recordConsent(ctx context.Context, req *dncv1.RecordConsentRequest) (*dncv1.RecordConsentResponse, error) {
	n, err := numberOf(req.GetNumber(), req.GetRegion())
	if err != nil {
		return nil, err
	}
	c, err := consentOf(req, instantOf(s.store.View()))
	if err != nil {
		return nil, err
	}
	c.Number, c.MayLift = n, mayLift(callerOf(ctx), c.Kind, req.GetEvidence())
	story := store.Story{Desk: req.GetDesk(), Evidence: req.GetEvidence(), Note: req.GetNote()}
	r, err := s.request(ctx, req.GetContext(), story)
	if err != nil {
		return nil, err
	}
	receipt, err := s.store.RecordConsent(ctx, c, r)
	if err != nil {
		return nil, err
	}
	return &dncv1.RecordConsentResponse{
		Id:         eventID(receipt.ID),
		Position:   positionAt(receipt),
		Duplicate:  receipt.Duplicate,
		Number:     n.E164(),
		RecordedAt: stamp(receipt.Time),
		MayLift:    c.MayLift,
	}, nil
}

// mayLift reports whether a consent may lift an older opt-out, where a policy says so.
func mayLift(caller *access.Grant, kind policy.ConsentKind, evidence string) bool {
	return kind == policy.Permission && evidence != "" && caller.Roles.Has(access.Officer)
}

// consentOf is what a request records, without its number and story.
func consentOf(req *dncv1.RecordConsentRequest, at instant) (store.Consent, error) {
	c := store.Consent{Channel: policy.Channel(req.GetChannel())}
	err := knownEnum("channel", int32(req.GetChannel()), dncv1.Channel_name)
	if err != nil {
		return c, err
	}
	if c.Scope, err = scopeOf(req.GetScope()); err != nil {
		return c, err
	}
	if c.Consent, err = termsOf(req.GetKind(), req.GetForm(), req, at); err != nil {
		return c, err
	}
	if c.ObtainedAt, err = timeOf("obtained_at", req.GetObtainedAt()); err != nil {
		return c, err
	}
	if c.ExpiresAt, err = timeOf("expires_at", req.GetExpiresAt()); err != nil {
		return c, err
	}
	return c, checkConsentTimes(c.ObtainedAt, c.ExpiresAt, c.Kind, at)
}

// checkConsentTimes allows no day of grace: a consent that is obtained later does not count now. Only a contract may have ended: a
// policy may count it for a while.
func checkConsentTimes(obtained, expires time.Time, kind policy.ConsentKind, at instant) error {
	switch {
	case obtained.After(at.byClock()):
		return invalidField("obtained_at", "is in the future: a consent counts from when it was obtained")
	case expires.IsZero():
		return nil
	case !expires.After(obtained):
		return invalidField("expires_at", "must be later than obtained_at")
	case kind != policy.Contract && !expires.After(at.byClock()):
		return invalidField("expires_at", "has passed: the consent would never count")
	}
	return nil
}

// consentTerms is the part of a message that states a consent.
type consentTerms interface {
	GetGoods() string
	GetThirdParties() string
	GetAppointmentFrom() *timestamppb.Timestamp
	GetAppointmentUntil() *timestamppb.Timestamp
}

// longestAppointment is how long a precise appointment is at most.
const longestAppointment = 24 * time.Hour

// termsOf reads what a consent states beyond what every record does.
func termsOf(kind dncv1.ConsentKind, form dncv1.ConsentForm, m consentTerms, at instant) (policy.Consent, error) {
	c := policy.Consent{
		Kind: policy.ConsentKind(kind), Form: policy.ConsentForm(form), Goods: m.GetGoods(), ThirdParties: m.GetThirdParties(),
	}
	err := checkText(
		field{name: "goods", value: c.Goods, max: store.MaxTerms}, field{name: "third_parties", value: c.ThirdParties, max: store.MaxTerms},
	)
	if err != nil {
		return c, err
	}
	if kind == dncv1.ConsentKind_CONSENT_KIND_UNSPECIFIED {
		return c, invalidField("kind", "is missing: say what the consent rests on, such as a permission")
	}
	if err := knownEnum("kind", int32(kind), dncv1.ConsentKind_name); err != nil {
		return c, err
	}
	if err := knownEnum("form", int32(form), dncv1.ConsentForm_name); err != nil {
		return c, err
	}
	if c.From, err = timeOf("appointment_from", m.GetAppointmentFrom()); err != nil {
		return c, err
	}
	if c.Until, err = timeOf("appointment_until", m.GetAppointmentUntil()); err != nil {
		return c, err
	}
	err = checkAppointment(&c, at)
	return c, err
}

func checkAppointment(c *policy.Consent, at instant) error {
	switch {
	case c.From.IsZero() && c.Until.IsZero():
		return nil
	case c.Kind != policy.Permission:
		return invalidField("appointment_from", "is for a permission only: the person agreed to that time")
	case c.From.IsZero() || !c.Until.After(c.From) || c.Until.Sub(c.From) > longestAppointment:
		return invalidField("appointment_until", "and appointment_from must be a precise time that the person agreed to: both, in order, at most 24 hours apart")
	case !c.Until.After(at.byClock()):
		return invalidField("appointment_until", "has passed")
	}
	return nil
}

// WithdrawConsent implements dncv1.RecordServiceServer.
func (s *recordService) WithdrawConsent(ctx context.Context, req *dncv1.WithdrawConsentRequest) (*dncv1.WithdrawConsentResponse, error) {
	resp, err := s.withdrawConsent(ctx, req)
	s.metrics.wrote(writeConsentWithdrawal, resp.GetDuplicate(), err)
	return resp, err
}

func (s *recordService) withdrawConsent(ctx context.Context, req *dncv1.WithdrawConsentRequest) (*dncv1.WithdrawConsentResponse, error) {
	n, err := numberOf(req.GetNumber(), req.GetRegion())
	if err != nil {
		return nil, err
	}
	scope, err := scopeOf(req.GetScope())
	if err != nil {
		return nil, err
	}
	if err := knownEnum("kind", int32(req.GetKind()), dncv1.ConsentKind_name); err != nil {
		return nil, err
	}
	r, err := s.request(ctx, req.GetContext(), store.Story{Reason: req.GetReason(), Desk: req.GetDesk()})
	if err != nil {
		return nil, err
	}
	if r.Why, err = withdrawalReason(req.GetWithdrawalReason()); err != nil {
		return nil, err
	}
	receipt, err := s.store.WithdrawConsent(ctx, n, scope, policy.ConsentKind(req.GetKind()), r)
	if err != nil {
		return nil, err
	}
	return &dncv1.WithdrawConsentResponse{
		Id:         eventID(receipt.ID),
		Position:   positionAt(receipt),
		Duplicate:  receipt.Duplicate,
		Number:     n.E164(),
		Withdrawn:  uint32(receipt.Ended),
		RecordedAt: stamp(receipt.Time),
	}, nil
}

// withdrawalReason has the same numbers in the contract and in the store.
func withdrawalReason(why dncv1.WithdrawalReason) (store.WithdrawalReason, error) {
	return store.WithdrawalReason(why), knownEnum("withdrawal_reason", int32(why), dncv1.WithdrawalReason_name)
}
