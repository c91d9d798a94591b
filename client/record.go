package client

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// OptOut is an objection to be recorded. Only Number is required.
type OptOut struct {
	// Number in E.164, or a national form of Region.
	Number string
	Region string
	// Scope that may not call: itself and all below it. Empty is everyone.
	Scope string
	// Channel is how it came in, Desk who received it, ReceivedAt when (zero: now).
	Channel    Channel
	Desk       string
	ReceivedAt time.Time
	// Evidence proves it: a ticket, a recording's id, a link. Note is anything else.
	Evidence string
	Note     string
	// ExpiresAt is when it ends; zero: never.
	ExpiresAt time.Time
	// RequestID makes the write safe to try again: 1 to 128 bytes, unique to it,
	// remembered for 7 days. Empty: the client makes one. After an error that leaves
	// the outcome unknown it is in Error.Metadata["request_id"].
	RequestID string
}

// Withdrawal ends the opt-outs of one number at exactly one scope.
type Withdrawal struct {
	Number string
	Region string
	// Scope of the opt-outs; empty: those for everyone.
	Scope string
	// Reason why. Required: the number becomes callable. Why says what kind of reason it is.
	Reason string
	Why    WithdrawalReason
	// Desk that received it.
	Desk string
	// RequestID as in OptOut.
	RequestID string
}

// Receipt says that a record is durable, and from which position on it counts.
type Receipt struct {
	Number string `json:"number"`
	Position
	// Index is the event's place within the revision.
	Index uint32 `json:"index"`
	// Duplicate says that the request id was written before; then all fields are
	// those of the first answer.
	Duplicate  bool      `json:"duplicate"`
	RecordedAt time.Time `json:"recorded_at"`
	// RequestID is the one that was used.
	RequestID string `json:"request_id"`
}

// WithdrawReceipt is the Receipt of a withdrawal.
type WithdrawReceipt struct {
	Number string `json:"number"`
	Position
	Index      uint32    `json:"index"`
	Duplicate  bool      `json:"duplicate"`
	RecordedAt time.Time `json:"recorded_at"`
	RequestID  string    `json:"request_id"`
	// Withdrawn is how many opt-outs or consents it ended, 1 or more.
	Withdrawn uint32 `json:"withdrawn"`
}

// RecordOptOut records that a person objects to calls. When it returns without an
// error the objection is durable, and no check at its scope or below, at or after
// the receipt's position, answers Allow while it is in force.
func (c *Client) RecordOptOut(ctx context.Context, o OptOut) (Receipt, error) {
	channel, err := value[dncv1.Channel](o.Channel, "CHANNEL_", dncv1.Channel_value)
	if err != nil {
		return Receipt{}, err
	}
	if err := sendable(o.Number); err != nil {
		return Receipt{}, err
	}
	request := &dncv1.RecordOptOutRequest{
		Number:     o.Number,
		Region:     o.Region,
		Scope:      o.Scope,
		Channel:    channel,
		Desk:       o.Desk,
		ReceivedAt: toTime(o.ReceivedAt),
		Evidence:   o.Evidence,
		Note:       o.Note,
		ExpiresAt:  toTime(o.ExpiresAt),
		Context:    c.writeContext(o.RequestID),
	}
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.RecordOptOutResponse, error) {
		return on.records.RecordOptOut(ctx, request)
	})
	if err != nil {
		return Receipt{}, withRequestID(err, request.GetContext().GetRequestId())
	}
	return Receipt{
		Number:     answer.GetNumber(),
		Position:   fromPosition(answer.GetPosition()),
		Index:      answer.GetId().GetIndex(),
		Duplicate:  answer.GetDuplicate(),
		RecordedAt: fromTime(answer.GetRecordedAt()),
		RequestID:  request.GetContext().GetRequestId(),
	}, nil
}

// WithdrawOptOut ends all opt-outs in force at exactly that scope; those above and
// below stay. Without one: ErrNothingToWithdraw.
func (c *Client) WithdrawOptOut(ctx context.Context, w Withdrawal) (WithdrawReceipt, error) {
	why, err := value[dncv1.WithdrawalReason](w.Why, "WITHDRAWAL_REASON_", dncv1.WithdrawalReason_value)
	if err != nil {
		return WithdrawReceipt{}, err
	}
	if err := sendable(w.Number); err != nil {
		return WithdrawReceipt{}, err
	}
	request := &dncv1.WithdrawOptOutRequest{
		WithdrawalReason: why,

		Number:  w.Number,
		Region:  w.Region,
		Scope:   w.Scope,
		Reason:  w.Reason,
		Desk:    w.Desk,
		Context: c.writeContext(w.RequestID),
	}
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.WithdrawOptOutResponse, error) {
		return on.records.WithdrawOptOut(ctx, request)
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

// writeContext goes along with a write that may be tried again: with the given request id,
// or one that is made for it.
func (c *Client) writeContext(given string) *dncv1.WriteContext {
	return &dncv1.WriteContext{RequestId: requestID(given), OnBehalfOf: c.opts.user}
}

// requestID returns the given id, or makes one of 130 random bits.
func requestID(given string) string {
	if given != "" {
		return given
	}
	return rand.Text()
}

// withRequestID gives the caller the id to retry a write with.
func withRequestID(err error, id string) error {
	var e *Error
	if errors.As(err, &e) {
		return e.with("request_id", id)
	}
	return err
}
