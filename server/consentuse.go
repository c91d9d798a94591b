package server

import (
	"context"
	"slices"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store"
)

// recordUse records that an Allow relies on consents, and waits until that is durable. Where it cannot be recorded, the decision
// becomes Unknown: a call whose consent nobody could prove is not permitted.
func (s *checkService) recordUse(ctx context.Context, v *store.View, n phone.Number, scope policy.Scope, d *policy.Decision) {
	used := consentsOf(d)
	if d.Verdict != policy.Allow || len(used) == 0 {
		return
	}
	var story store.Story
	err := recorder(ctx, "", &story)
	if err == nil {
		_, err = s.store.UseConsents(ctx, n, scope, used, v.Revision(), store.Request{Story: story})
	}
	s.metrics.wrote(writeConsentUse, false, err)
	if err != nil {
		*d = policy.Decision{
			Verdict: policy.Unknown, Cause: policy.UseUnrecorded,
			Reasons: []policy.Reason{{Kind: policy.UseNotRecorded, Cause: policy.UseUnrecorded}},
		}
	}
}

// consentsOf are the consents that a decision rests on, each once.
func consentsOf(d *policy.Decision) []policy.EventID {
	var used []policy.EventID
	for i := range d.Reasons {
		r := d.Reasons[i].Record
		if r != nil && r.Kind == policy.RecordConsent && !slices.Contains(used, r.ID) {
			used = append(used, r.ID)
		}
	}
	return used
}
