package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Call is a call that was made.
type Call struct {
	Number uint64    // that was called: E.164 digits, calling code first, such as 14155550123
	Time   time.Time // when it began
	// Scope is for whom it was, Purpose what it was for, Place where the called party was known to be: as in a check.
	Scope   string
	Purpose Purpose
	Place   string
}

// CallAnswer is what a check would have said when a call was made.
type CallAnswer struct {
	Number string    `json:"number"`
	Time   time.Time `json:"time"`
	Scope  string    `json:"scope" empty:"kept"`
	// Verdict, empty with Err. Only Allow permitted the call.
	Verdict Verdict `json:"verdict"`
	// Cause says why it is Unknown; empty for the others.
	Cause Cause `json:"cause"`
	// Reasons are what the answer rests on, the deciding ones first. They may be shared with other answers: do not change them.
	Reasons []Reason `json:"reasons"`
	// Revision was the newest one when the call was made.
	Revision uint64 `json:"revision" zero:"unset"`
	// OptOut is the opt-out that blocked the call, the first that was recorded. Else it is one that had been received when the call was
	// made, and that was recorded only later. Nil: none.
	OptOut *CallOptOut `json:"opt_out"`
	// Err is why there is no answer. ErrHistoryGone: the call was made before the journal begins or where revisions are lost, so what was known is not known.
	Err error `json:"error"`
}

// CallOptOut is an opt-out that a call met.
type CallOptOut struct {
	Record EventID `json:"record"`
	Scope  string  `json:"scope" empty:"kept"`
	// ReceivedAt is when it was received, RecordedAt from when on checks answered Block.
	ReceivedAt time.Time `json:"received_at"`
	RecordedAt time.Time `json:"recorded_at"`
	// AppliedAt is when the subscriber acknowledged it as applied, before or after the call. Zero: it has not, it does not concern it, or
	// no subscriber was named.
	AppliedAt time.Time `json:"applied_at"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (a CallAnswer) MarshalJSON() ([]byte, error) { return encode(a) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (a *CallAnswer) UnmarshalJSON(text []byte) error { return decode(text, a) }

// MarshalJSON implements json.Marshaler: see the package comment.
func (o CallOptOut) MarshalJSON() ([]byte, error) { return encode(o) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (o *CallOptOut) UnmarshalJSON(text []byte) error { return decode(text, o) }

// Callable reports whether the call was permitted by what was known when it was made. It is true only for Allow.
func (a *CallAnswer) Callable() bool { return a.Verdict == Allow }

// RecordedLater reports whether OptOut was recorded only after the call.
func (a *CallAnswer) RecordedLater() bool {
	return a.OptOut != nil && a.OptOut.RecordedAt.After(a.Time)
}

// AuditOptions says whose calls are audited.
type AuditOptions struct {
	// Subscriber is the base that made the calls, by name; empty: not said.
	Subscriber string
}

// Limits of a message of an audit: maxAuditBytes leaves room for the rest of a message of 1 MiB.
const (
	maxAuditCalls = 10_000
	maxAuditBytes = 900 << 10
)

// Audit answers calls that were made, in their order, by what was known when each was made. It is quick for calls in order of time, and
// holds 10,000 of them at a time. It has no deadline but that of ctx, and is not tried again: it changes nothing on the server. An error ends
// it. Errors: ErrSubscriberNotFound, ErrPermissionDenied.
func (c *Client) Audit(ctx context.Context, calls iter.Seq[Call], o AuditOptions) iter.Seq2[CallAnswer, error] {
	return func(yield func(CallAnswer, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		a := &audit{subscriber: o.Subscriber, yield: yield}
		stream, err := c.pick().audit.AuditCalls(ctx)
		if err != nil {
			yield(CallAnswer{}, fromStatus(err))
			return
		}
		a.stream = stream
		for call := range calls {
			if !a.add(&call) {
				return
			}
		}
		if a.flush() {
			a.end()
		}
	}
}

// audit is one call of Audit.
type audit struct {
	stream     grpc.BidiStreamingClient[dncv1.AuditCallsRequest, dncv1.AuditCallsResponse]
	subscriber string // for the first message
	yield      func(CallAnswer, error) bool

	calls []*dncv1.AuditedCall // of the next message
	bytes int
}

// fail ends the audit with an error.
func (a *audit) fail(err error) bool {
	a.yield(CallAnswer{}, err)
	return false
}

// add adds a call to the next message, and reports whether there may be more.
func (a *audit) add(call *Call) bool {
	purpose, err := value[dncv1.Purpose](call.Purpose, "PURPOSE_", dncv1.Purpose_value)
	if err != nil {
		return a.fail(err)
	}
	const fixed = 48 // number, time, purpose and tags
	if a.bytes += fixed + len(call.Scope) + len(call.Place); len(a.calls) == maxAuditCalls || a.bytes > maxAuditBytes {
		if !a.flush() {
			return false
		}
		a.bytes = fixed + len(call.Scope) + len(call.Place)
	}
	a.calls = append(a.calls, &dncv1.AuditedCall{
		E164: call.Number, Time: timestamppb.New(call.Time), Scope: call.Scope, Purpose: purpose, Place: call.Place,
	})
	return true
}

// flush sends the calls that were added, and yields their answers.
func (a *audit) flush() bool {
	if len(a.calls) == 0 && a.subscriber == "" {
		return true
	}
	_ = a.stream.Send(&dncv1.AuditCallsRequest{Subscriber: a.subscriber, Calls: a.calls}) // the reason of a failure comes from Recv
	answer, err := a.stream.Recv()
	if err != nil {
		return a.fail(auditError(err))
	}
	if len(answer.GetAnswers()) != len(a.calls) {
		return a.fail(broken("the server answered another count of calls than was asked about"))
	}
	reasons := fromReasons(answer.GetReasons())
	for i, m := range answer.GetAnswers() {
		made, err := fromCall(a.calls[i], m, reasons)
		if err != nil {
			return a.fail(err)
		}
		if !a.yield(made, nil) {
			return false
		}
	}
	a.calls, a.subscriber, a.bytes = a.calls[:0], "", 0
	return true
}

// end waits until the server has ended the stream.
func (a *audit) end() {
	_ = a.stream.CloseSend()
	if _, err := a.stream.Recv(); !errors.Is(err, io.EOF) {
		a.fail(auditError(err))
	}
}

func auditError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return &Error{Reason: reasonUnavailable, Message: "the audit was cut before its end: run it again", code: codes.Unavailable}
	}
	return fromStatus(err)
}

func fromCall(call *dncv1.AuditedCall, m *dncv1.CallAnswer, reasons []Reason) (CallAnswer, error) {
	a := CallAnswer{Number: phone.Number(call.GetE164()).E164(), Time: call.GetTime().AsTime(), Scope: call.GetScope(), Reasons: noReasons}
	if m.GetError() != nil {
		a.Err = fromItem(m.GetError())
		return a, nil
	}
	for _, at := range m.GetReasonIndexes() {
		if int(at) >= len(reasons) {
			return a, broken("the server gave a reason that it did not send")
		}
	}
	a.Verdict, a.Cause, a.Revision = verdict(m.GetVerdict()), name[Cause](m.GetCause(), "CAUSE_"), m.GetRevision()
	a.Reasons = pickReasons(reasons, m.GetReasonIndexes())
	if o := m.GetOptOut(); o != nil {
		a.OptOut = &CallOptOut{
			Record: fromEventID(o.GetRecord()), Scope: o.GetScope(),
			ReceivedAt: fromTime(o.GetReceivedAt()), RecordedAt: fromTime(o.GetRecordedAt()), AppliedAt: fromTime(o.GetAppliedAt()),
		}
	}
	return a, nil
}
