package server_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// GetNumber tells no caller a verdict that CheckNumber refuses it. Its records are shown all the same.
func TestNumberIsCheckedForWhoMayCheck(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	for _, tt := range []struct {
		name    string
		roles   access.Roles
		scopes  []policy.Scope
		scope   string
		checked bool
		denied  bool
	}{
		{"checker everywhere", access.RolesOf(access.Checker), nil, "", true, false},
		{"officer everywhere", access.RolesOf(access.Officer), nil, "acme", true, false},
		{"recorder everywhere", access.RolesOf(access.Recorder), nil, "acme", false, false},
		{"recorder at acme", access.RolesOf(access.Recorder), []policy.Scope{"acme"}, "acme", false, false},
		{"checker at acme, of acme", access.RolesOf(access.Checker), []policy.Scope{"acme"}, "acme", true, false},
		{"checker at acme, below it", access.RolesOf(access.Checker), []policy.Scope{"acme"}, "acme/telecom", true, false},
		{"checker at acme, of everyone", access.RolesOf(access.Checker), []policy.Scope{"acme"}, "", false, false},
		{"checker at acme, of another", access.RolesOf(access.Checker), []policy.Scope{"acme"}, "other", false, true},
		{"checker below acme, of acme", access.RolesOf(access.Checker), []policy.Scope{"acme/telecom"}, "acme", false, true},
		{"recorder at acme, of another", access.RolesOf(access.Recorder), []policy.Scope{"acme"}, "other", false, true},
	} {
		ctx := d.as(strings.NewReplacer(" ", "-", ",", "").Replace(tt.name), tt.roles, tt.scopes...)
		got, err := d.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: numberOfAcme.E164(), Scope: tt.scope})
		if tt.denied {
			wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
			continue
		}
		if err != nil || len(got.GetRecords()) != 1 || (got.GetCheck() != nil) != tt.checked {
			t.Errorf("%s: got %v, %v; want the record, and a verdict: %t", tt.name, got, err, tt.checked)
		}
		want, err := d.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: numberOfAcme.E164(), Scope: tt.scope})
		if (err == nil) != tt.checked {
			t.Errorf("%s: CheckNumber: %v", tt.name, err)
		}
		if diff := cmp.Diff(want, got.GetCheck(), protocmp.Transform(), protocmp.IgnoreFields(want, "checked_at")); diff != "" {
			t.Errorf("%s: GetNumber has another answer than CheckNumber (-check +number):\n%s", tt.name, diff)
		}
	}
}

// What CheckNumber refuses to be asked, GetNumber refuses too.
func TestNumberIsAskedLikeACheck(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, tt := range []struct {
		req    *dncv1.GetNumberRequest
		reason string
	}{
		{&dncv1.GetNumberRequest{Number: french, Scope: "a//b"}, "SCOPE_INVALID"},
		{&dncv1.GetNumberRequest{Number: french, Purpose: 99}, "FIELD_INVALID"},
		{&dncv1.GetNumberRequest{Number: french, Place: "Atlantis"}, "FIELD_INVALID"},
	} {
		_, err := n.record.GetNumber(testContext(t), tt.req)
		wantReason(t, err, codes.InvalidArgument, tt.reason)
	}
}

// GetNumber is not what a dialer asks before a call: its verdicts are not counted.
func TestNumbersAreNoChecks(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.optOut(french, "")
	n.checkNumber(french, "")
	for range 3 {
		if got, err := n.record.GetNumber(testContext(t), &dncv1.GetNumberRequest{Number: french}); err != nil || got.GetCheck().GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
			t.Fatalf("got %v, %v; want BLOCK", got, err)
		}
	}
	n.wantMetric(`dncd_checks_total{source="unary",verdict="block"} 1`)
	for _, verdict := range []string{"allow", "unknown", "not_now", "error"} {
		n.wantMetric(`dncd_checks_total{source="unary",verdict="` + verdict + `"} 0`)
	}
}
