package server

import (
	"context"
	"encoding/binary"
	"unicode/utf8"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type policyService struct {
	dncv1.UnimplementedPolicyServiceServer
	service
}

// GetPolicy implements dncv1.PolicyServiceServer.
func (s *policyService) GetPolicy(ctx context.Context, req *dncv1.GetPolicyRequest) (*dncv1.GetPolicyResponse, error) {
	v, err := s.view(ctx, req.GetReadAt())
	if err != nil {
		return nil, err
	}
	inForce, err := v.PolicyToShow()
	if err != nil {
		return nil, err
	}
	return &dncv1.GetPolicyResponse{Policy: policyMessage(inForce), Position: positionOf(v)}, nil
}

// SetPolicy implements dncv1.PolicyServiceServer.
func (s *policyService) SetPolicy(ctx context.Context, req *dncv1.SetPolicyRequest) (*dncv1.SetPolicyResponse, error) {
	w, err := s.setPolicy(ctx, req)
	written := err != nil || w.ID.Revision > 0
	if written {
		s.metrics.wrote(writePolicy, w.Duplicate, err)
	}
	if err != nil {
		return nil, err
	}
	resp := &dncv1.SetPolicyResponse{
		Policy: policyMessage(w.Policy), Position: positionOf(s.store.View()), Duplicate: w.Duplicate, Unchanged: w.Unchanged,
		Changes: policyChanges(w.Changes), Loosened: policyChanges(w.Loosened), BaseVersion: w.Base,
	}
	if written {
		s.logAct(ctx, "PolicyService/SetPolicy", w.Policy.Version)
		resp.Position = positionAt(w.Receipt)
	}
	return resp, nil
}

func (s *policyService) setPolicy(ctx context.Context, req *dncv1.SetPolicyRequest) (store.PolicyWrite, error) {
	by, err := s.repeatable(ctx, req)
	if err != nil {
		return store.PolicyWrite{}, err
	}
	by.Confirmed = req.GetForce()
	change := store.PolicyChange{
		Document: []byte(req.GetDocument()), DryRun: req.GetDryRun(),
		From: req.ExpectedVersion != nil, Expected: req.GetExpectedVersion(),
	}
	if change.DryRun {
		return s.store.SetPolicy(ctx, change, by)
	}
	return once(by, s.store.RepeatedPolicyWrite, func() (store.PolicyWrite, error) { return s.store.SetPolicy(ctx, change, by) })
}

const policiesCall = "ListPolicies"

// ListPolicies implements dncv1.PolicyServiceServer.
func (s *policyService) ListPolicies(_ context.Context, req *dncv1.ListPoliciesRequest) (*dncv1.ListPoliciesResponse, error) {
	v, before := s.store.View(), policy.EventID{}
	if req.GetPageToken() != "" {
		cursor, err := s.tokens.read(req.GetPageToken(), policiesCall, "")
		if err != nil {
			return nil, err
		}
		before = policy.EventID{Revision: binary.BigEndian.Uint64(cursor), Index: binary.BigEndian.Uint32(cursor[8:])}
	}
	limit := pageSize(req.GetPageSize())
	found, err := v.Policies(before, limit+1)
	if err != nil {
		return nil, err
	}
	resp := &dncv1.ListPoliciesResponse{Position: positionOf(v)}
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1].ID
		cursor := binary.BigEndian.AppendUint64(nil, last.Revision)
		resp.NextPageToken = s.tokens.make(policiesCall, "", binary.BigEndian.AppendUint32(cursor, last.Index))
	}
	for _, p := range found {
		resp.Policies = append(resp.Policies, policyMessage(p))
	}
	return resp, nil
}

func policyMessage(p *store.Policy) *dncv1.Policy {
	m := &dncv1.Policy{
		Version: p.Version, Time: stamp(p.Time), Document: string(p.Document), Sha256: p.SHA256,
		RecordedBy: p.RecordedBy, Proven: p.Proven, Unreadable: len(p.Document) > 0 && !p.Readable(),
	}
	if p.ID.Revision > 0 {
		m.Id = eventID(p.ID)
	}
	if !utf8.ValidString(m.Document) {
		m.Document = "" // of a later format: only its hash can be shown
	}
	return m
}

func policyChanges(changes []policydoc.Change) (all []*dncv1.PolicyChange) {
	for i := range changes {
		c := &changes[i]
		all = append(all, &dncv1.PolicyChange{
			Country: c.Country, Scope: string(c.Scope), Section: c.Section, What: c.What, Before: c.Before, After: c.After,
		})
	}
	return all
}
