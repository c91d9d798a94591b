package client

import (
	"context"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// RevertRequest goes back to the view of a list before its last load.
type RevertRequest struct {
	// List by name. Required.
	List string
	// MaxShrink is the guard's ratio, 0 to 1; nil: the server's default, 0.1.
	MaxShrink *float64
	// Override reverts despite the guard.
	Override bool
	// DryRun compares and guards, and changes nothing.
	DryRun bool
	// TakeOver abandons a load of this list that is prepared and does not end.
	TakeOver bool
}

// Revert brings back the numbers, snapshot date and coverage that a list had before its last load. A second revert
// undoes the first, so it is tried again under the same request id. Like Import it has no deadline but that of ctx, and
// a revert that a guard refused is no error.
func (c *Client) Revert(ctx context.Context, r RevertRequest) (ImportResult, error) {
	request := &dncv1.RevertImportRequest{
		List: r.List, DryRun: r.DryRun, TakeOver: r.TakeOver, Context: c.writeContext(""),
		Guards: &dncv1.ImportGuards{MaxShrinkRatio: r.MaxShrink, Override: r.Override},
	}
	answer, err := attempts(ctx, c, c.retriable, func(ctx context.Context, on *connection) (*dncv1.RevertImportResponse, error) {
		return on.lists.RevertImport(ctx, request)
	})
	if err != nil {
		return ImportResult{}, withRequestID(ofWrite(err), request.GetContext().GetRequestId())
	}
	return fromImportResult(answer.GetResult()), nil
}
