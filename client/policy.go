package client

import (
	"context"
	"encoding/hex"
	"iter"
	"time"
	"unicode/utf8"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Policy is the rules by which checks are answered, as a document.
type Policy struct {
	// Version names it in answers to checks. Empty: none was set, and the document is the one that changes no answer.
	Version string `json:"version"`
	// ID is the event that set it.
	ID   EventID   `json:"id"`
	Time time.Time `json:"time"`
	// Document is YAML. Of Policies it is empty.
	Document string `json:"document"`
	SHA256   string `json:"sha256"` // in hex
	// RecordedBy set it. Only of Policies.
	RecordedBy string `json:"recorded_by"`
	Proven     bool   `json:"proven"`
	// Unreadable: a later version of the server wrote it. No call is permitted.
	Unreadable bool `json:"unreadable"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (p Policy) MarshalJSON() ([]byte, error) { return encode(p) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (p *Policy) UnmarshalJSON(text []byte) error { return decode(text, p) }

// PolicyChange is one difference between two policies.
type PolicyChange struct {
	// Country is its code; empty: those that a policy does not name.
	Country string `json:"country"`
	// Scope is of the callers whose rule it is; empty: all.
	Scope   string `json:"scope"`
	Section string `json:"section"`
	What    string `json:"what"`
	// Before and After are as in a document; empty: not there, or one of Loosened.
	Before string `json:"before"`
	After  string `json:"after"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (c PolicyChange) MarshalJSON() ([]byte, error) { return encode(c) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (c *PolicyChange) UnmarshalJSON(text []byte) error { return decode(text, c) }

// SetPolicyOptions says how a policy is set.
type SetPolicyOptions struct {
	// Expected is the version that the change was made from, "" for none. Nil: whatever is in force.
	Expected *string
	// Force: also if it permits calls that were not permitted before.
	Force bool
	// DryRun: say what would change, and change nothing.
	DryRun bool
	// RequestID as in OptOut.
	RequestID string
}

// PolicyReceipt is what a change of the policy came to.
type PolicyReceipt struct {
	Policy
	Position
	// Base is the version that it was compared with.
	Base string `json:"base"`
	// Unchanged: the document was in force already.
	Unchanged bool           `json:"unchanged"`
	Changes   []PolicyChange `json:"changes"`
	// Loosened permits calls that were not permitted before.
	Loosened []PolicyChange `json:"loosened"`
	// Duplicate and RequestID as in Receipt.
	Duplicate bool   `json:"duplicate"`
	RequestID string `json:"request_id"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (r PolicyReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *PolicyReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// GetPolicy returns the policy that is in force, or with AsOf, At or Logged the one that was in force then. Errors: those of the option.
func (c *Client) GetPolicy(ctx context.Context, opts ...ReadOption) (Policy, error) {
	o := readOptions(opts)
	request := &dncv1.GetPolicyRequest{ReadAt: o.readAt()}
	answer, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.GetPolicyResponse, error) {
		return on.policy.GetPolicy(ctx, request)
	})
	return fromPolicy(answer.GetPolicy()), err
}

// SetPolicy puts a policy in force. Errors: ErrPolicyInvalid with the line and column of each problem, ErrPolicyChanged,
// ErrConfirmationRequired without Force.
func (c *Client) SetPolicy(ctx context.Context, document string, o SetPolicyOptions) (PolicyReceipt, error) {
	if !utf8.ValidString(document) { // gRPC refuses it with a message that helps nobody
		return PolicyReceipt{}, invalid(reasonPolicyInvalid, "the document is not UTF-8: save it as UTF-8")
	}
	request := &dncv1.SetPolicyRequest{
		Document: document, ExpectedVersion: o.Expected, Force: o.Force, DryRun: o.DryRun, Context: c.writeContext(o.RequestID),
	}
	id := request.GetContext().GetRequestId()
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.SetPolicyResponse, error) {
		return on.policy.SetPolicy(ctx, request)
	})
	if err != nil {
		return PolicyReceipt{}, withRequestID(err, id)
	}
	return PolicyReceipt{
		Policy: fromPolicy(answer.GetPolicy()), Position: fromPosition(answer.GetPosition()), Base: answer.GetBaseVersion(),
		Unchanged: answer.GetUnchanged(), Changes: each(answer.GetChanges(), fromPolicyChange), Loosened: each(answer.GetLoosened(), fromPolicyChange),
		Duplicate: answer.GetDuplicate(), RequestID: id,
	}, nil
}

// Policies yields the policies that were set, newest first, without their documents. An error is the last thing yielded.
func (c *Client) Policies(ctx context.Context) iter.Seq2[Policy, error] {
	return pages(func(token string) ([]Policy, string, error) {
		request := &dncv1.ListPoliciesRequest{PageSize: pageSize, PageToken: token}
		page, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.ListPoliciesResponse, error) {
			return on.policy.ListPolicies(ctx, request)
		})
		return each(page.GetPolicies(), fromPolicy), page.GetNextPageToken(), err
	})
}

func fromPolicy(m *dncv1.Policy) Policy {
	return Policy{
		Version: m.GetVersion(), ID: fromEventID(m.GetId()), Time: fromTime(m.GetTime()), Document: m.GetDocument(),
		SHA256: hex.EncodeToString(m.GetSha256()), RecordedBy: m.GetRecordedBy(), Proven: m.GetProven(), Unreadable: m.GetUnreadable(),
	}
}

func fromPolicyChange(m *dncv1.PolicyChange) PolicyChange {
	return PolicyChange{
		Country: m.GetCountry(), Scope: m.GetScope(), Section: m.GetSection(), What: m.GetWhat(), Before: m.GetBefore(), After: m.GetAfter(),
	}
}
