package client

import (
	"context"
	"encoding/base64"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// SubscriberInfo is a calling base that is registered.
type SubscriberInfo struct {
	Name string `json:"name"`
	// ID is the event that registered it. A name that is used again has another.
	ID   EventID        `json:"id"`
	Kind SubscriberKind `json:"kind"`
	// Owner answers for it, Contact is whom to ask.
	Owner   string `json:"owner"`
	Contact string `json:"contact"`
	// Parent is the subscriber that hands work on to it.
	Parent string `json:"parent"`
	// Scopes: opt-outs at, above and below them concern it; empty: at every scope.
	Scopes []string `json:"scopes"`
	// Lists that concern it. One that was deleted has its id in place of its name.
	Lists         []string `json:"lists"`
	AllowRegistry bool     `json:"allow_registry"`
	// Deadline is how long after it was recorded a change must be applied.
	Deadline time.Duration `json:"deadline_seconds"`
	// Keys are the texts of its public keys, Fingerprints theirs.
	Keys         []string `json:"keys"`
	Fingerprints []string `json:"fingerprints"`
	// Identity is the token or certificate that may speak for it.
	Identity string `json:"identity"`
	// Epoch is the revision with which its log began.
	Epoch uint64 `json:"epoch"`
	// FilterHash is the SHA-256 of its filter, in base64.
	FilterHash string    `json:"filter_hash"`
	CreatedAt  time.Time `json:"created_at"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (s SubscriberInfo) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *SubscriberInfo) UnmarshalJSON(text []byte) error { return decode(text, s) }

// SubscriberStatus is a subscriber and how far it got.
type SubscriberStatus struct {
	SubscriberInfo
	// Stages are received, durable and applied.
	Stages []StageStatus `json:"stages"`
	// Connected is how many of its streams are open.
	Connected uint32 `json:"connected"`
	// LastSeen is when it last connected or acknowledged since the server started.
	LastSeen time.Time `json:"last_seen"`
	// Late: a change is older than the deadline and not applied, or one of its children is late.
	Late bool `json:"late"`
	// WorstChild is the child that is furthest behind.
	WorstChild string `json:"worst_child"`
	// BeyondTip is how many acknowledgements it gave of what the server no longer holds: the server lost data.
	BeyondTip int `json:"beyond_tip"`
	// LastComparison is the last one with an export of the base; nil: it was never compared.
	LastComparison *Comparison `json:"last_comparison"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (s SubscriberStatus) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *SubscriberStatus) UnmarshalJSON(text []byte) error { return decode(text, s) }

// StageStatus is how far a subscriber got at one stage.
type StageStatus struct {
	Stage Stage `json:"stage"`
	// AcknowledgedRevision is how far it acknowledged, AcknowledgedChanges how many changes of the epoch
	// that is. AcknowledgedAt is when that was recorded; zero: never, in this epoch.
	AcknowledgedRevision uint64    `json:"acknowledged_revision"`
	AcknowledgedChanges  uint64    `json:"acknowledged_changes"`
	AcknowledgedAt       time.Time `json:"acknowledged_at"`
	// Signed says that it signed it; else it claimed it.
	Signed bool `json:"signed"`
	// Pending changes are not acknowledged; OldestPending is when the oldest was recorded.
	Pending       uint64    `json:"pending"`
	OldestPending time.Time `json:"oldest_pending"`
	Late          bool      `json:"late"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (s StageStatus) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *StageStatus) UnmarshalJSON(text []byte) error { return decode(text, s) }

// SubscriberChange is what a subscriber should be. What is nil, or an empty Kind, stays as it is; of
// a new one it is empty, and Kind is required.
type SubscriberChange struct {
	Kind          SubscriberKind
	Owner         *string
	Parent        *string // "" is none
	Contact       *string
	Scopes        *[]string // none is every scope
	Lists         *[]string
	AllowRegistry *bool
	Deadline      *time.Duration // zero is 24 hours
	Keys          *[]string      // texts of public keys
	Identity      *string
	// Rebase begins a new epoch, though the filter stays.
	Rebase bool
	// RequestID as in OptOut.
	RequestID string
}

// SubscriberReceipt is a subscriber as it is now, and the position from which that counts.
type SubscriberReceipt struct {
	SubscriberInfo
	Position
	// Created says that it was registered, not changed.
	Created bool `json:"created"`
	// Duplicate and RequestID as in Receipt.
	Duplicate bool   `json:"duplicate"`
	RequestID string `json:"request_id"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (r SubscriberReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *SubscriberReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// RemoveReceipt says from which position on a subscriber or a desk is removed.
type RemoveReceipt struct {
	Position
	// Index is the event's place within the revision.
	Index uint32 `json:"index"`
	// Duplicate and RequestID as in Receipt.
	Duplicate bool   `json:"duplicate"`
	RequestID string `json:"request_id"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (r RemoveReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *RemoveReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// PutSubscriber registers a subscriber, or changes one. A change of its filter begins a new epoch: its
// next feed is a snapshot. Errors: ErrSubscriberInvalid, ErrSubscriberNotFound for a parent,
// ErrListNotFound.
func (c *Client) PutSubscriber(ctx context.Context, name string, change SubscriberChange) (SubscriberReceipt, error) {
	request, err := c.putSubscriberRequest(name, change)
	if err != nil {
		return SubscriberReceipt{}, err
	}
	id := request.GetContext().GetRequestId()
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.PutSubscriberResponse, error) {
		return on.propagation.PutSubscriber(ctx, request)
	})
	if err != nil {
		return SubscriberReceipt{}, withRequestID(err, id)
	}
	return SubscriberReceipt{
		fromSubscriber(answer.GetSubscriber()), fromPosition(answer.GetPosition()), answer.GetCreated(), answer.GetDuplicate(), id,
	}, nil
}

func (c *Client) putSubscriberRequest(name string, change SubscriberChange) (*dncv1.PutSubscriberRequest, error) {
	kind, err := value[dncv1.SubscriberKind](change.Kind, "SUBSCRIBER_KIND_", dncv1.SubscriberKind_value)
	if err != nil {
		return nil, err
	}
	m := &dncv1.Subscriber{Name: name, Kind: kind, Filter: new(dncv1.FeedFilter)}
	r := &dncv1.PutSubscriberRequest{Subscriber: m, Fields: []string{"name"}, Rebase: change.Rebase, Context: c.writeContext(change.RequestID)}
	if change.Kind != "" {
		r.Fields = append(r.Fields, "kind")
	}
	take(r, "owner", change.Owner, &m.Owner)
	take(r, "parent", change.Parent, &m.Parent)
	take(r, "contact", change.Contact, &m.Contact)
	take(r, "filter.scopes", change.Scopes, &m.Filter.Scopes)
	take(r, "filter.lists", change.Lists, &m.Filter.Lists)
	take(r, "allow_registry", change.AllowRegistry, &m.AllowRegistry)
	take(r, "keys", change.Keys, &m.Keys)
	take(r, "identity", change.Identity, &m.Identity)
	if change.Deadline != nil {
		r.Fields = append(r.Fields, "deadline")
		if *change.Deadline != 0 {
			m.Deadline = durationpb.New(*change.Deadline)
		}
	}
	return r, nil
}

// take puts a field that is given into a request.
func take[T any](r *dncv1.PutSubscriberRequest, name string, given, to *T) {
	if given != nil {
		r.Fields = append(r.Fields, name)
		*to = *given
	}
}

// Subscriber returns a subscriber and how far it got. Without that name: ErrSubscriberNotFound.
func (c *Client) Subscriber(ctx context.Context, name string) (SubscriberStatus, error) {
	answer, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.GetSubscriberResponse, error) {
		return on.propagation.GetSubscriber(ctx, &dncv1.GetSubscriberRequest{Name: name})
	})
	if err != nil {
		return SubscriberStatus{}, err
	}
	return fromSubscriberStatus(answer.GetStatus()), nil
}

// Subscribers yields the subscribers and how far each got, the slowest first. An error is the last
// thing yielded.
func (c *Client) Subscribers(ctx context.Context) iter.Seq2[SubscriberStatus, error] {
	return pages(func(token string) ([]SubscriberStatus, string, error) {
		request := &dncv1.ListSubscribersRequest{PageSize: pageSize, PageToken: token}
		page, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.ListSubscribersResponse, error) {
			return on.propagation.ListSubscribers(ctx, request)
		})
		return each(page.GetSubscribers(), fromSubscriberStatus), page.GetNextPageToken(), err
	})
}

// DeleteSubscriber removes a subscriber: its feed ends, and its name is free for another. While it is the parent of others:
// ErrSubscriberInvalid.
func (c *Client) DeleteSubscriber(ctx context.Context, name string) (RemoveReceipt, error) {
	request := &dncv1.DeleteSubscriberRequest{Name: name, Context: c.writeContext("")}
	id := request.GetContext().GetRequestId()
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.DeleteSubscriberResponse, error) {
		return on.propagation.DeleteSubscriber(ctx, request)
	})
	if err != nil {
		return RemoveReceipt{}, withRequestID(err, id)
	}
	return RemoveReceipt{fromPosition(answer.GetPosition()), answer.GetId().GetIndex(), answer.GetDuplicate(), id}, nil
}

func fromSubscriber(m *dncv1.Subscriber) SubscriberInfo {
	return SubscriberInfo{
		Name:          m.GetName(),
		ID:            fromEventID(m.GetId()),
		Kind:          name[SubscriberKind](m.GetKind(), "SUBSCRIBER_KIND_"),
		Owner:         m.GetOwner(),
		Contact:       m.GetContact(),
		Parent:        m.GetParent(),
		Scopes:        m.GetFilter().GetScopes(),
		Lists:         m.GetFilter().GetLists(),
		AllowRegistry: m.GetAllowRegistry(),
		Deadline:      m.GetDeadline().AsDuration(),
		Keys:          m.GetKeys(),
		Fingerprints:  m.GetFingerprints(),
		Identity:      m.GetIdentity(),
		Epoch:         m.GetEpoch(),
		FilterHash:    base64.StdEncoding.EncodeToString(m.GetFilterHash()),
		CreatedAt:     fromTime(m.GetCreatedAt()),
	}
}

func fromSubscriberStatus(m *dncv1.SubscriberStatus) SubscriberStatus {
	return SubscriberStatus{
		SubscriberInfo: fromSubscriber(m.GetSubscriber()),
		Stages:         each(m.GetStages(), fromStageStatus),
		Connected:      m.GetConnected(),
		LastSeen:       fromTime(m.GetLastSeen()),
		Late:           m.GetLate(),
		WorstChild:     m.GetWorstChild(),
		BeyondTip:      len(m.GetBeyondTip()),
		LastComparison: fromComparison(m.GetLastComparison()),
	}
}

func fromStageStatus(m *dncv1.StageStatus) StageStatus {
	return StageStatus{
		Stage:                name[Stage](m.GetStage(), "STAGE_"),
		AcknowledgedRevision: m.GetAcknowledged().GetPosition().GetRevision(),
		AcknowledgedChanges:  m.GetAcknowledged().GetChanges(),
		AcknowledgedAt:       fromTime(m.GetAcknowledgedAt()),
		Signed:               m.GetIsSigned(),
		Pending:              m.GetPending(),
		OldestPending:        fromTime(m.GetOldestPending()),
		Late:                 m.GetLate(),
	}
}
