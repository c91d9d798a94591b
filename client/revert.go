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
	// Override reverts in spite of the guard.
	Override bool
	// DryRun compares and guards, and changes nothing.
	DryRun bool
	// TakeOver abandons a load of this list that is prepared and does not end.
	TakeOver bool
}

// Revert brings back the numbers, snapshot date and coverage that a list had before its last load. A second revert
// undoes the first. Like Import it has no deadline but that of ctx, and a revert that a guard refused is no error. It
// is not tried again by itself: a second revert would undo a first one whose answer was lost.
func (c *Client) Revert(ctx context.Context, r RevertRequest) (ImportResult, error) {
	answer, err := c.pick().lists.RevertImport(ctx, &dncv1.RevertImportRequest{
		List: r.List, DryRun: r.DryRun, TakeOver: r.TakeOver, RecordedBy: c.opts.user,
		Guards: &dncv1.ImportGuards{MaxShrinkRatio: r.MaxShrink, Override: r.Override},
	})
	if err != nil {
		return ImportResult{}, ofWrite(fromStatus(err))
	}
	return fromImportResult(answer.GetResult()), nil
}
