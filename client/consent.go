package client

import (
	"context"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Consent is a person's permission, or a relationship with them, to be recorded. Only Number and Kind are required. What it
// permits is for the server's policy to say.
type Consent struct {
	// Number in E.164, or a national form of Region.
	Number string
	Region string
	// Scope that may call: itself and all below it. Empty is everyone.
	Scope string
	// Kind is what it rests on, Form how it was given.
	Kind ConsentKind
	Form ConsentForm
	// Channel is how it came in, Desk who received it, ObtainedAt when it was obtained: not in the future (zero: now).
	Channel    Channel
	Desk       string
	ObtainedAt time.Time
	// Evidence proves it: a form, a recording's id, a link. A permission without evidence never lifts an opt-out. Note is anything else.
	Evidence string
	Note     string
	// ExpiresAt is when it ends, if that is before the end that the policy sets; zero: only the policy decides.
	ExpiresAt time.Time
	// Goods is the nature of what it was given for, ThirdParties who else may call, each at most 256 bytes.
	Goods        string
	ThirdParties string
	// The appointment that the person agreed to, at most 24 hours long; both zero: none.
	AppointmentFrom  time.Time
	AppointmentUntil time.Time
	// RequestID as in OptOut.
	RequestID string
}

// ConsentWithdrawal ends the consents of one number at exactly one scope.
type ConsentWithdrawal struct {
	Number string
	Region string
	// Scope of the consents; empty: those for everyone.
	Scope string
	// Kind of the consents; empty: every kind.
	Kind ConsentKind
	// Why says what kind of reason it is, Reason which.
	Why    WithdrawalReason
	Reason string
	// Desk that received it.
	Desk string
	// RequestID as in OptOut.
	RequestID string
}

// ConsentReceipt is the Receipt of a consent.
type ConsentReceipt struct {
	Number string `json:"number"`
	Position
	Index      uint32    `json:"index"`
	Duplicate  bool      `json:"duplicate"`
	RecordedAt time.Time `json:"recorded_at"`
	RequestID  string    `json:"request_id"`
	// MayLift: it may lift an older opt-out, where the policy says so.
	MayLift bool `json:"may_lift"`
}

// RecordConsent records a consent. It counts from the receipt's position on, as the policy lets it. Errors: ErrConsentWithdrawn,
// where consents were withdrawn after this one was obtained.
func (c *Client) RecordConsent(ctx context.Context, o Consent) (ConsentReceipt, error) {
	row, err := consentRow(&o)
	if err != nil {
		return ConsentReceipt{}, err
	}
	if err := sendable(o.Number); err != nil {
		return ConsentReceipt{}, err
	}
	request := &dncv1.RecordConsentRequest{
		Number: o.Number, Region: o.Region, Scope: o.Scope, Kind: row.ConsentKind, Form: row.ConsentForm, Channel: row.Channel, Desk: o.Desk,
		ObtainedAt: row.ReceivedAt, Evidence: o.Evidence, Note: o.Note, ExpiresAt: row.ExpiresAt, Goods: o.Goods, ThirdParties: o.ThirdParties,
		AppointmentFrom: row.AppointmentFrom, AppointmentUntil: row.AppointmentUntil, Context: c.writeContext(o.RequestID),
	}
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.RecordConsentResponse, error) {
		return on.records.RecordConsent(ctx, request)
	})
	if err != nil {
		return ConsentReceipt{}, withRequestID(err, request.GetContext().GetRequestId())
	}
	return ConsentReceipt{
		Number:     answer.GetNumber(),
		Position:   fromPosition(answer.GetPosition()),
		Index:      answer.GetId().GetIndex(),
		Duplicate:  answer.GetDuplicate(),
		RecordedAt: fromTime(answer.GetRecordedAt()),
		RequestID:  request.GetContext().GetRequestId(),
		MayLift:    answer.GetMayLift(),
	}, nil
}

// consentRow is a consent on the wire, without its texts.
func consentRow(o *Consent) (*dncv1.RecordRow, error) {
	channel, err := value[dncv1.Channel](o.Channel, "CHANNEL_", dncv1.Channel_value)
	if err != nil {
		return nil, err
	}
	kind, err := value[dncv1.ConsentKind](o.Kind, "CONSENT_KIND_", dncv1.ConsentKind_value)
	if err != nil {
		return nil, err
	}
	form, err := value[dncv1.ConsentForm](o.Form, "CONSENT_FORM_", dncv1.ConsentForm_value)
	return &dncv1.RecordRow{
		Channel: channel, ConsentKind: kind, ConsentForm: form, ReceivedAt: toTime(o.ObtainedAt), ExpiresAt: toTime(o.ExpiresAt),
		AppointmentFrom: toTime(o.AppointmentFrom), AppointmentUntil: toTime(o.AppointmentUntil),
	}, err
}

// WithdrawConsent ends the consents at exactly that scope; those above and below stay. Without one: ErrNothingToWithdraw. Who does
// not want to be called objects: see RecordOptOut.
func (c *Client) WithdrawConsent(ctx context.Context, w ConsentWithdrawal) (WithdrawReceipt, error) {
	kind, err := value[dncv1.ConsentKind](w.Kind, "CONSENT_KIND_", dncv1.ConsentKind_value)
	if err != nil {
		return WithdrawReceipt{}, err
	}
	why, err := value[dncv1.WithdrawalReason](w.Why, "WITHDRAWAL_REASON_", dncv1.WithdrawalReason_value)
	if err != nil {
		return WithdrawReceipt{}, err
	}
	if err := sendable(w.Number); err != nil {
		return WithdrawReceipt{}, err
	}
	request := &dncv1.WithdrawConsentRequest{
		Number: w.Number, Region: w.Region, Scope: w.Scope, Kind: kind, Reason: w.Reason, WithdrawalReason: why, Desk: w.Desk,
		Context: c.writeContext(w.RequestID),
	}
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.WithdrawConsentResponse, error) {
		return on.records.WithdrawConsent(ctx, request)
	})
	if err != nil {
		return WithdrawReceipt{}, withRequestID(err, request.GetContext().GetRequestId())
	}
	return WithdrawReceipt{
		Number:     answer.GetNumber(),
		Position:   fromPosition(answer.GetPosition()),
		Index:      answer.GetId().GetIndex(),
		Duplicate:  answer.GetDuplicate(),
		RecordedAt: fromTime(answer.GetRecordedAt()),
		RequestID:  request.GetContext().GetRequestId(),
		Withdrawn:  answer.GetWithdrawn(),
	}, nil
}
