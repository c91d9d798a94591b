package store

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// guardLifting fails where staged consents would lift opt-outs in force under the policy in force, if they were allowed to.
func (i *RecordImport) guardLifting(ctx context.Context, v *View) ([]GuardFailure, error) {
	if !i.header.Consents || v.Policy() == nil {
		return nil, nil
	}
	lifting := uint64(0)
	for c, err := range i.log.Chunks() {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
		for n := range c.Rows {
			lifts, err := v.lifts(&c.Rows[n])
			if err != nil {
				return nil, err
			}
			if lifts {
				lifting++
			}
		}
	}
	if lifting == 0 {
		return nil, nil
	}
	return []GuardFailure{{
		Guard: GuardLifts, Before: i.log.Entries, After: lifting, Overridden: i.header.Lift || i.header.Override,
	}}, nil
}

// lifts reports whether a permission with evidence would lift an opt-out that its number holds.
func (v *View) lifts(r *RecordRow) (bool, error) {
	if r.Consent.Kind != policy.Permission || r.Story.Evidence == "" {
		return false, nil
	}
	terms := *r.Consent
	terms.MayLift = true
	permission := policy.Record{Kind: policy.RecordConsent, Scope: r.Scope, ReceivedAt: r.ReceivedAt, ExpiresAt: r.ExpiresAt, Consent: &terms}
	now, _ := v.Clock()
	for _, n := range r.Number.Spellings() {
		if !v.records.Test(uint64(n)) {
			continue
		}
		set, err := v.recordSet(n)
		if err != nil {
			return false, err
		}
		for _, held := range set.GetRecords() {
			optOut := state.Record(held)
			if optOut.Kind == policy.RecordOptOut && v.Policy().Lifts(r.Number.Regions(), &permission, &optOut, now) {
				return true, nil
			}
		}
	}
	return false, nil
}

// addConsent counts a consent that the view holds or that came before, and one that was withdrawn.
func (r *dryRun) addConsent(row *RecordRow) {
	m := row.consentMessage()
	said, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	set := new(storev1.RecordSet)
	if err == nil && r.view.records.Test(m.GetNumber()) {
		set, err = r.view.recordSet(row.Number)
	}
	switch {
	case err != nil:
		r.failed = err
	case r.consents[string(said)] || state.HeldConsent(set, m) != nil:
		r.duplicates++
	case state.IsEnded(set, m.GetScope(), m.GetConsent().GetKind(), m.GetObtainedAt()):
		r.withdrawn++
	default:
		r.consents[string(said)] = true
	}
}
