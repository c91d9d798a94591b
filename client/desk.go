package client

import (
	"context"
	"iter"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Desk is where objections come in.
type Desk struct {
	Name string `json:"name"`
	// ID is the event that registered it. A name that is used again has another.
	ID   EventID  `json:"id"`
	Kind DeskKind `json:"kind"`
	// Owner answers for it, Contact is whom to ask.
	Owner     string    `json:"owner"`
	Contact   string    `json:"contact"`
	CreatedAt time.Time `json:"created_at"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (d Desk) MarshalJSON() ([]byte, error) { return encode(d) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (d *Desk) UnmarshalJSON(text []byte) error { return decode(text, d) }

// DeskChange is what a desk should be. What is nil stays as it is; of a new one it is empty.
type DeskChange struct {
	Kind    *DeskKind // "" is not stated
	Owner   *string
	Contact *string
	// RequestID as in OptOut.
	RequestID string
}

// DeskReceipt is a desk as it is now, and the position from which that counts.
type DeskReceipt struct {
	Desk
	Position
	// Created says that it was registered, not changed.
	Created bool `json:"created"`
	// Duplicate and RequestID as in Receipt.
	Duplicate bool   `json:"duplicate"`
	RequestID string `json:"request_id"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (r DeskReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *DeskReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// PutDesk registers a desk, or changes one. Opt-outs that name it, whatever the case, carry its id from
// then on.
func (c *Client) PutDesk(ctx context.Context, deskName string, change DeskChange) (DeskReceipt, error) {
	m := &dncv1.Desk{Name: deskName}
	request := &dncv1.PutDeskRequest{Desk: m, Fields: []string{"name"}, Context: c.writeContext(change.RequestID)}
	if change.Kind != nil {
		kind, err := value[dncv1.DeskKind](*change.Kind, "DESK_KIND_", dncv1.DeskKind_value)
		if err != nil {
			return DeskReceipt{}, err
		}
		m.Kind, request.Fields = kind, append(request.Fields, "kind")
	}
	if change.Owner != nil {
		m.Owner, request.Fields = *change.Owner, append(request.Fields, "owner")
	}
	if change.Contact != nil {
		m.Contact, request.Fields = *change.Contact, append(request.Fields, "contact")
	}
	id := request.GetContext().GetRequestId()
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.PutDeskResponse, error) {
		return on.propagation.PutDesk(ctx, request)
	})
	if err != nil {
		return DeskReceipt{}, withRequestID(err, id)
	}
	return DeskReceipt{fromDesk(answer.GetDesk()), fromPosition(answer.GetPosition()), answer.GetCreated(), answer.GetDuplicate(), id}, nil
}

// Desks yields the desks, by name. An error is the last thing yielded.
func (c *Client) Desks(ctx context.Context) iter.Seq2[Desk, error] {
	return pages(func(token string) ([]Desk, string, error) {
		request := &dncv1.ListDesksRequest{PageSize: pageSize, PageToken: token}
		page, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.ListDesksResponse, error) {
			return on.propagation.ListDesks(ctx, request)
		})
		return each(page.GetDesks(), fromDesk), page.GetNextPageToken(), err
	})
}

// DeleteDesk removes a desk. What came in there stays, and its name is free for another. Without that
// name: ErrDeskNotFound.
func (c *Client) DeleteDesk(ctx context.Context, deskName string) (RemoveReceipt, error) {
	request := &dncv1.DeleteDeskRequest{Name: deskName, Context: c.writeContext("")}
	id := request.GetContext().GetRequestId()
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.DeleteDeskResponse, error) {
		return on.propagation.DeleteDesk(ctx, request)
	})
	if err != nil {
		return RemoveReceipt{}, withRequestID(err, id)
	}
	return RemoveReceipt{fromPosition(answer.GetPosition()), answer.GetId().GetIndex(), answer.GetDuplicate(), id}, nil
}

func fromDesk(m *dncv1.Desk) Desk {
	return Desk{
		Name:      m.GetName(),
		ID:        fromEventID(m.GetId()),
		Kind:      name[DeskKind](m.GetKind(), "DESK_KIND_"),
		Owner:     m.GetOwner(),
		Contact:   m.GetContact(),
		CreatedAt: fromTime(m.GetCreatedAt()),
	}
}
