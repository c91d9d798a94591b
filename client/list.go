package client

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// List is a list as it is now.
type List struct {
	Name string `json:"name"`
	// ID is opaque and never used again.
	ID   string   `json:"id"`
	Kind ListKind `json:"kind"`
	// Scope where it counts; empty everywhere.
	Scope string `json:"scope" empty:"kept"`
	// Jurisdiction it speaks for, as declared; empty: all regions.
	Jurisdiction []string `json:"jurisdiction"`
	// Coverage as declared, EffectiveCoverage as far as the content bears it out:
	// prefixes in E.164 without the plus.
	Coverage          []string `json:"coverage"`
	EffectiveCoverage []string `json:"effective_coverage"`
	// MaxAge in whole days; zero: any age.
	MaxAge       time.Duration `json:"max_age"`
	State        ListState     `json:"state"`
	SnapshotDate string        `json:"snapshot_date"`
	// Numbers it holds.
	Numbers uint64 `json:"numbers"`
	// ContentRevision is the revision that its content is read at; 0: not loaded.
	ContentRevision uint64    `json:"visible" zero:"unset"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedRevision uint64    `json:"updated_revision"`
	UpdatedAt       time.Time `json:"updated_at"`
	// LastImport is its last finished load, RunningImport the one being written; nil: none.
	LastImport    *ImportRecord `json:"last_import"`
	RunningImport *ImportRecord `json:"running_import"`
}

// ListSpec is a list to be created. Name and Kind are required, and a Jurisdiction
// for a registry.
type ListSpec struct {
	// Name of 1 to 64 bytes of [a-z0-9._-].
	Name string
	Kind ListKind
	// Scope where it counts; empty everywhere.
	Scope string
	// Jurisdiction: the regions it speaks for; empty: all.
	Jurisdiction []string
	// Coverage: the prefixes it covers, such as "1415"; empty: those of its files,
	// else the whole jurisdiction.
	Coverage []string
	// MaxAge in whole days; zero: any age.
	MaxAge time.Duration
}

// ListChange is a change of a list's settings. What is nil stays.
type ListChange struct {
	// Jurisdiction; empty: all regions.
	Jurisdiction *[]string
	// Coverage; empty: not declared.
	Coverage *[]string
	// MaxAge in whole days; zero: any age.
	MaxAge *time.Duration
	// Force the change although numbers become callable: required when a list that was
	// loaded gives up a region, covers more, or is stale and would no longer be, otherwise
	// ErrConfirmationRequired.
	Force bool
}

// ListReceipt says that a write to a list is durable, and from which position on it counts.
type ListReceipt struct {
	List List `json:"list"`
	Position
}

// DeleteReceipt says from which position on a list no longer exists.
type DeleteReceipt struct {
	Position
	// Numbers it held.
	Numbers uint64 `json:"numbers"`
}

// CreateList creates an empty list. It takes effect immediately: until its first load,
// checks in its jurisdiction and scope answer Unknown. Like every write to a list it is
// tried again under the same request id, so that it is made once.
func (c *Client) CreateList(ctx context.Context, l ListSpec) (ListReceipt, error) {
	kind, err := value[dncv1.ListKind](l.Kind, "LIST_KIND_", dncv1.ListKind_value)
	if err != nil {
		return ListReceipt{}, err
	}
	request := &dncv1.CreateListRequest{
		Name: l.Name, Kind: kind, Scope: l.Scope, Jurisdiction: l.Jurisdiction, Coverage: l.Coverage,
		MaxAge: toDuration(l.MaxAge), Context: c.writeContext(""),
	}
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.CreateListResponse, error) {
		return on.lists.CreateList(ctx, request)
	})
	if err != nil {
		return ListReceipt{}, withRequestID(err, request.GetContext().GetRequestId())
	}
	return fromChange(answer), nil
}

// GetList returns one list. Without it: ErrListNotFound.
func (c *Client) GetList(ctx context.Context, name string) (List, error) {
	answer, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.GetListResponse, error) {
		return on.lists.GetList(ctx, &dncv1.GetListRequest{Name: name})
	})
	if err != nil {
		return List{}, err
	}
	return fromList(answer.GetList()), nil
}

// Lists returns all lists, by name.
func (c *Client) Lists(ctx context.Context) ([]List, error) {
	var lists []List
	request := &dncv1.ListListsRequest{PageSize: pageSize}
	for {
		page, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.ListListsResponse, error) {
			return on.lists.ListLists(ctx, request)
		})
		if err != nil {
			return nil, err
		}
		lists = append(lists, each(page.GetLists(), fromList)...)
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return lists, nil
		}
	}
}

// UpdateList changes a list's settings.
func (c *Client) UpdateList(ctx context.Context, name string, change ListChange) (ListReceipt, error) {
	request := &dncv1.UpdateListRequest{List: &dncv1.List{Name: name}, Force: change.Force, Context: c.writeContext("")}
	mask := &fieldmaskpb.FieldMask{}
	if change.Jurisdiction != nil {
		request.List.Jurisdiction, mask.Paths = *change.Jurisdiction, append(mask.Paths, "jurisdiction")
	}
	if change.Coverage != nil {
		request.List.Coverage, mask.Paths = *change.Coverage, append(mask.Paths, "coverage")
	}
	if change.MaxAge != nil {
		request.List.MaxAge, mask.Paths = toDuration(*change.MaxAge), append(mask.Paths, "max_age")
	}
	request.UpdateMask = mask
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.UpdateListResponse, error) {
		return on.lists.UpdateList(ctx, request)
	})
	if err != nil {
		return ListReceipt{}, withRequestID(err, request.GetContext().GetRequestId())
	}
	return fromChange(answer), nil
}

// DeleteList deletes a list; its numbers become callable. A registry, or a list that was
// loaded, is deleted only with force, otherwise ErrConfirmationRequired.
func (c *Client) DeleteList(ctx context.Context, name string, force bool) (DeleteReceipt, error) {
	request := &dncv1.DeleteListRequest{Name: name, Force: force, Context: c.writeContext("")}
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.DeleteListResponse, error) {
		return on.lists.DeleteList(ctx, request)
	})
	if err != nil {
		return DeleteReceipt{}, withRequestID(err, request.GetContext().GetRequestId())
	}
	return DeleteReceipt{fromPosition(answer.GetPosition()), answer.GetNumbers()}, nil
}

func fromChange(answer interface {
	GetList() *dncv1.List
	GetPosition() *dncv1.Position
}) ListReceipt {
	return ListReceipt{fromList(answer.GetList()), fromPosition(answer.GetPosition())}
}

func fromList(l *dncv1.List) List {
	return List{
		Name:              l.GetName(),
		ID:                fromListID(l.GetId()),
		Kind:              name[ListKind](l.GetKind(), "LIST_KIND_"),
		Scope:             l.GetScope(),
		Jurisdiction:      l.GetJurisdiction(),
		Coverage:          l.GetCoverage(),
		EffectiveCoverage: l.GetEffectiveCoverage(),
		MaxAge:            l.GetMaxAge().AsDuration(),
		State:             name[ListState](l.GetState(), "LIST_STATE_"),
		SnapshotDate:      l.GetSnapshotDate(),
		Numbers:           l.GetNumbers(),
		ContentRevision:   l.GetContentRevision(),
		CreatedAt:         fromTime(l.GetCreatedAt()),
		UpdatedRevision:   l.GetUpdatedRevision(),
		UpdatedAt:         fromTime(l.GetUpdatedAt()),
		LastImport:        importOrNil(l.GetLastImport()),
		RunningImport:     importOrNil(l.GetRunningImport()),
	}
}

func toDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}
