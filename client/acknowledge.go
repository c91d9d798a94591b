package client

import (
	"context"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Acknowledgement says how far a subscriber got: a signed Note, or a claim.
type Acknowledgement struct {
	// Note is a signed acknowledgement, as `dnc key sign` writes it. The rest is empty then.
	Note []byte
	// Position and Stage claim that the subscriber has reached them. A subscriber with a key takes no claims.
	Position Position
	Stage    Stage
}

// AckReceipt says what an acknowledgement came to.
type AckReceipt struct {
	Position
	// Index is the event's place within the revision.
	Index uint32 `json:"index"`
	// Recorded says that it was written to the journal. Otherwise it adds nothing to what was acknowledged less
	// than an hour ago, and Position is that of the event that recorded this.
	Recorded bool `json:"recorded"`
	// Duplicate and RequestID as in Receipt.
	Duplicate bool   `json:"duplicate"`
	RequestID string `json:"request_id"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (r AckReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *AckReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// Acknowledge says how far a subscriber got. Errors: ErrAcknowledgement, ErrFilterChanged, ErrJournalChanged,
// ErrSubscriberNotFound.
func (c *Client) Acknowledge(ctx context.Context, subscriber string, a Acknowledgement) (AckReceipt, error) {
	request := &dncv1.AcknowledgeRequest{Subscriber: subscriber, Context: c.writeContext("")}
	if len(a.Note) > 0 {
		request.Acknowledgement = &dncv1.AcknowledgeRequest_Note{Note: a.Note}
	} else {
		stage, err := value[dncv1.Stage](a.Stage, "STAGE_", dncv1.Stage_value)
		if err != nil {
			return AckReceipt{}, err
		}
		request.Acknowledgement = &dncv1.AcknowledgeRequest_Claim{Claim: &dncv1.ClaimedAcknowledgement{
			Cursor: &dncv1.FeedCursor{Position: toPosition(a.Position)}, Stage: stage,
		}}
	}
	id := request.GetContext().GetRequestId()
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.AcknowledgeResponse, error) {
		return on.propagation.Acknowledge(ctx, request)
	})
	if err != nil {
		return AckReceipt{}, withRequestID(err, id)
	}
	return AckReceipt{fromPosition(answer.GetPosition()), answer.GetId().GetIndex(), answer.GetRecorded(), answer.GetDuplicate(), id}, nil
}
