package server_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	consentInFrance = "format: 1\ndefault: allow\ncountries:\n  FR:\n    consent: {required: true, counts: [{kind: permission}], source: the law}\n"
	freeInFrance    = "format: 1\ndefault: allow\ncountries:\n  FR:\n    consent: {required: false}\n"
	frenchNumber    = "+33199001234"
)

// A policy decides from the answer's revision on, and each answer names it.
func TestPolicyByCalls(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := testContext(t)
	client := dncv1.NewPolicyServiceClient(s.conn)
	fresh, err := client.GetPolicy(ctx, &dncv1.GetPolicyRequest{})
	if err != nil || fresh.GetPolicy().GetVersion() != "" || fresh.GetPolicy().GetDocument() != "format: 1\ndefault: allow\ncountries: {}\n" || fresh.GetPolicy().GetUnreadable() {
		t.Fatalf("a fresh server: %v, %v", fresh, err)
	}
	check := func() *dncv1.CheckNumberResponse {
		t.Helper()
		resp, err := s.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: frenchNumber, Scope: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	before := check()
	// What the server shows, put in force again, changes no answer and nothing in the journal.
	same, err := client.SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: fresh.GetPolicy().GetDocument()})
	if err != nil || !same.GetUnchanged() || same.GetPosition().GetRevision() != 0 {
		t.Errorf("the same again: %v, %v", same, err)
	}
	commented, err := client.SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: "# nothing yet\n" + fresh.GetPolicy().GetDocument()})
	if err != nil || len(commented.GetChanges())+len(commented.GetLoosened()) != 0 {
		t.Errorf("with a comment: %v, %v", commented, err)
	}
	after := check()
	if after.GetPolicyVersion() != commented.GetPolicy().GetVersion() {
		t.Errorf("the answer names policy %q, want %q", after.GetPolicyVersion(), commented.GetPolicy().GetVersion())
	}
	for _, r := range []*dncv1.CheckNumberResponse{before, after} {
		r.PolicyVersion, r.Position, r.CheckedAt = "", nil, nil
	}
	if !proto.Equal(before, after) {
		t.Errorf("answers differ: %v, then %v", before, after)
	}
	none := ""
	_, err = client.SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: consentInFrance, ExpectedVersion: &none})
	wantReason(t, err, codes.Aborted, "POLICY_CHANGED")
	set, err := client.SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: consentInFrance, ExpectedVersion: &commented.Policy.Version})
	if err != nil || len(set.GetChanges()) != 3 || set.GetBaseVersion() != commented.GetPolicy().GetVersion() {
		t.Fatalf("set: %v, %v", set, err)
	}
	blocked := check()
	if blocked.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK || blocked.GetPolicyVersion() != set.GetPolicy().GetVersion() ||
		len(blocked.GetReasons()) != 1 || blocked.GetReasons()[0].GetRule() != "FR" || blocked.GetReasons()[0].GetSource() != "the law" {
		t.Errorf("without consent: %v", blocked)
	}
	batch, err := s.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{Numbers: []string{frenchNumber}})
	if err != nil || batch.GetPolicyVersion() != set.GetPolicy().GetVersion() {
		t.Errorf("a batch names policy %q, %v", batch.GetPolicyVersion(), err)
	}
	stats, err := dncv1.NewAdminServiceClient(s.conn).GetStats(ctx, &dncv1.GetStatsRequest{})
	if err != nil || stats.GetPolicyVersion() != set.GetPolicy().GetVersion() {
		t.Errorf("stats name policy %q, %v", stats.GetPolicyVersion(), err)
	}
	for revision, want := range map[uint64]string{1: commented.GetPolicy().GetVersion(), 2: set.GetPolicy().GetVersion()} {
		past := &dncv1.ReadAt{At: &dncv1.ReadAt_Past{Past: &dncv1.Past{Position: &dncv1.Position{Revision: revision}}}}
		then, err := client.GetPolicy(ctx, &dncv1.GetPolicyRequest{ReadAt: past})
		if err != nil || then.GetPolicy().GetVersion() != want || then.GetPosition().GetRevision() != revision {
			t.Errorf("at revision %d: %v, %v; want version %s", revision, then, err, want)
		}
	}
	log, err := client.ListPolicies(ctx, &dncv1.ListPoliciesRequest{PageSize: 1})
	if err != nil || len(log.GetPolicies()) != 1 || log.GetPolicies()[0].GetVersion() != set.GetPolicy().GetVersion() || log.GetPolicies()[0].GetDocument() != "" {
		t.Fatalf("log: %v, %v", log, err)
	}
	rest, err := client.ListPolicies(ctx, &dncv1.ListPoliciesRequest{PageToken: log.GetNextPageToken()})
	if err != nil || len(rest.GetPolicies()) != 1 || rest.GetPolicies()[0].GetVersion() != commented.GetPolicy().GetVersion() || rest.GetNextPageToken() != "" {
		t.Errorf("rest of the log: %v, %v", rest, err)
	}
}

func TestSetPolicyRefusals(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := testContext(t)
	client := dncv1.NewPolicyServiceClient(s.conn)
	_, err := client.SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: "format: 1\ndefault: perhaps\n"})
	wantReason(t, err, codes.InvalidArgument, "POLICY_INVALID")
	if !strings.Contains(err.Error(), "line 2, column 10") {
		t.Errorf("no line and column: %v", err)
	}
	request := &dncv1.SetPolicyRequest{Document: consentInFrance, Context: &dncv1.WriteContext{RequestId: "one", OnBehalfOf: "ann"}}
	first, err := client.SetPolicy(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: freeInFrance})
	wantReason(t, err, codes.FailedPrecondition, "CONFIRMATION_REQUIRED")
	if !strings.Contains(err.Error(), "FR: consent: no consent is required any more") {
		t.Errorf("it does not say what it loosens: %v", err)
	}
	dry, err := client.SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: freeInFrance, DryRun: true})
	if err != nil || len(dry.GetLoosened()) != 1 || dry.GetPolicy().GetVersion() != "" || dry.GetPosition().GetRevision() != first.GetPosition().GetRevision() {
		t.Errorf("a dry run: %v, %v", dry, err)
	}
	forced, err := client.SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: freeInFrance, Force: true})
	if err != nil || forced.GetPolicy().GetDocument() != freeInFrance {
		t.Fatalf("forced: %v, %v", forced, err)
	}
	again, err := client.SetPolicy(ctx, request)
	if err != nil || !again.GetDuplicate() || again.GetPolicy().GetVersion() != first.GetPolicy().GetVersion() {
		t.Errorf("a retry: %v, %v", again, err)
	}
	acts, err := dncv1.NewAccessServiceClient(s.conn).ListActs(ctx, &dncv1.ListActsRequest{})
	if err != nil || !slices.ContainsFunc(acts.GetActs(), func(a *dncv1.Act) bool {
		return a.GetKind() == dncv1.ActKind_ACT_KIND_POLICY_SET && a.GetSubject() == first.GetPolicy().GetVersion() && a.GetRecordedBy() == "ann"
	}) {
		t.Errorf("the journal: %v, %v", acts, err)
	}
}
