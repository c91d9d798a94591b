package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/access"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

const (
	aPermission = dncv1.ConsentKind_CONSENT_KIND_PERMISSION
	aContract   = dncv1.ConsentKind_CONSENT_KIND_CONTRACT
)

func after(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(testDay.Add(d)) }

// TestConsentTellsItsStory: a consent is shown with all that it states, and its withdrawal with the reason.
func TestConsentTellsItsStory(t *testing.T) {
	t.Parallel()
	n := start(t)
	made, err := n.record.RecordConsent(testContext(t), &dncv1.RecordConsentRequest{
		Number: french, Scope: "Acme/Energy", Kind: aPermission, Form: dncv1.ConsentForm_CONSENT_FORM_WRITTEN, Channel: dncv1.Channel_CHANNEL_WEB,
		Desk: "web", ObtainedAt: after(-time.Hour), ExpiresAt: after(time.Hour), Evidence: "form 7", Goods: "energy contracts", ThirdParties: "Call & Co",
		AppointmentFrom: after(30 * time.Minute), AppointmentUntil: after(45 * time.Minute), Context: &dncv1.WriteContext{OnBehalfOf: "alice", RequestId: "c-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !made.GetMayLift() || made.GetNumber() != french {
		t.Errorf("got %v, want one that may lift: it has evidence, and nobody is bound to roles", made)
	}
	got, err := n.record.GetNumber(testContext(t), &dncv1.GetNumberRequest{Number: french})
	if err != nil || len(got.GetRecords()) != 1 {
		t.Fatalf("got %v, %v", got, err)
	}
	want := &dncv1.Record{
		Id: made.GetId(), Kind: dncv1.RecordKind_RECORD_KIND_CONSENT, ConsentKind: aPermission, ConsentForm: dncv1.ConsentForm_CONSENT_FORM_WRITTEN,
		Scope: "acme/energy", Channel: dncv1.Channel_CHANNEL_WEB, ReceivedAt: after(-time.Hour), RecordedAt: after(0), ExpiresAt: after(time.Hour), InForce: true,
		Goods: "energy contracts", ThirdParties: "Call & Co", AppointmentFrom: after(30 * time.Minute), AppointmentUntil: after(45 * time.Minute), MayLift: true,
		Story: &dncv1.Story{State: dncv1.StoryState_STORY_STATE_PRESENT, Desk: "web", Evidence: "form 7", RecordedBy: "alice"},
	}
	if !proto.Equal(got.GetRecords()[0], want) {
		t.Errorf("got %v, want %v", got.GetRecords()[0], want)
	}
	gone, err := n.record.WithdrawConsent(testContext(t), &dncv1.WithdrawConsentRequest{
		Number: french, Scope: "acme/energy", Kind: aPermission, Reason: "asked", WithdrawalReason: dncv1.WithdrawalReason_WITHDRAWAL_REASON_REQUESTED,
	})
	if err != nil || gone.GetWithdrawn() != 1 {
		t.Fatalf("withdraw: %v, %v", gone, err)
	}
	history, err := n.record.ListHistory(testContext(t), &dncv1.ListHistoryRequest{Number: french})
	if err != nil || len(history.GetEvents()) != 2 {
		t.Fatalf("history: %v, %v", history, err)
	}
	recorded, withdrawn := history.GetEvents()[0].GetConsentRecorded(), history.GetEvents()[1].GetConsentWithdrawn()
	if recorded.GetGoods() != "energy contracts" || !proto.Equal(recorded.GetObtainedAt(), after(-time.Hour)) || !recorded.GetMayLift() {
		t.Errorf("recorded: %v", recorded)
	}
	if !proto.Equal(withdrawn, &dncv1.ConsentWithdrawn{
		Number: french, Scope: "acme/energy", Kind: aPermission, Ended: []*dncv1.EventId{made.GetId()},
		WithdrawalReason: dncv1.WithdrawalReason_WITHDRAWAL_REASON_REQUESTED,
	}) {
		t.Errorf("withdrawn: %v", withdrawn)
	}
	_, err = n.record.RecordConsent(testContext(t), &dncv1.RecordConsentRequest{Number: french, Scope: "acme/energy", Kind: aPermission, ObtainedAt: after(-time.Hour)})
	wantReason(t, err, codes.FailedPrecondition, "CONSENT_WITHDRAWN")
}

func TestConsentsThatCouldNotCountAreRefused(t *testing.T) {
	t.Parallel()
	n := start(t)
	for name, req := range map[string]*dncv1.RecordConsentRequest{
		"no kind":              {},
		"unknown kind":         {Kind: 99},
		"unknown form":         {Kind: aPermission, Form: 99},
		"a second ahead":       {Kind: aPermission, ObtainedAt: after(time.Second)},
		"has ended":            {Kind: aPermission, ObtainedAt: after(-time.Hour), ExpiresAt: after(0)},
		"ends before":          {Kind: aContract, ObtainedAt: after(-time.Hour), ExpiresAt: after(-time.Hour)},
		"long goods":           {Kind: aPermission, Goods: strings.Repeat("x", 257)},
		"half an appointment":  {Kind: aPermission, AppointmentUntil: after(time.Hour)},
		"a long appointment":   {Kind: aPermission, AppointmentFrom: after(0), AppointmentUntil: after(24*time.Hour + 1)},
		"a past appointment":   {Kind: aPermission, AppointmentFrom: after(-time.Hour), AppointmentUntil: after(0)},
		"contract appointment": {Kind: aContract, AppointmentFrom: after(0), AppointmentUntil: after(time.Hour)},
	} {
		req.Number = french
		if _, err := n.record.RecordConsent(testContext(t), req); errorInfo(err).GetReason() != "FIELD_INVALID" {
			t.Errorf("%s: %v, want FIELD_INVALID", name, err)
		}
	}
	got, err := n.record.RecordConsent(testContext(t), &dncv1.RecordConsentRequest{Number: french, Kind: aContract, ObtainedAt: after(-2 * time.Hour), ExpiresAt: after(-time.Hour), Evidence: "x"})
	if err != nil || got.GetMayLift() {
		t.Errorf("a contract that has ended: %v, %v; want it recorded, and that it lifts nothing", got, err)
	}
}

// consentRow is a row that may be recorded.
func consentRow() *dncv1.RecordRow {
	return &dncv1.RecordRow{
		Number: french, Scope: "acme", ConsentKind: aPermission, ReceivedAt: after(-time.Hour), Evidence: "form 7", Goods: "energy",
	}
}

// TestImportedConsentsAreRecordedOnce, each that can be read in full, and lift nothing unless that is asked for.
func TestImportedConsentsAreRecordedOnce(t *testing.T) {
	t.Parallel()
	n := start(t)
	rejects := []*dncv1.RecordRow{consentRow(), consentRow(), consentRow(), consentRow()}
	rejects[0].ReceivedAt = nil
	rejects[1].ReceivedAt = after(time.Minute)
	rejects[2].ConsentKind = 0
	rejects[3].Scope = "no scope"
	other := consentRow()
	other.ConsentKind, other.ConsentForm = dncv1.ConsentKind_CONSENT_KIND_PURCHASE, dncv1.ConsentForm_CONSENT_FORM_ORAL
	upload := func(lift bool) *dncv1.ImportRecordsResult {
		t.Helper()
		got, err := n.importRecords(recordUpload{
			header: &dncv1.ImportRecordsHeader{
				Kind: dncv1.RecordKind_RECORD_KIND_CONSENT, Guards: &dncv1.ImportGuards{MaxRejectRatio: proto.Float64(1)}, LiftOptOuts: lift,
			},
			chunks: [][]*dncv1.RecordRow{append([]*dncv1.RecordRow{consentRow(), consentRow(), other}, rejects...)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return got.result
	}
	if r := upload(false); r.GetAccepted() != 2 || r.GetDuplicates() != 1 || r.GetRejected() != 4 || r.GetRefused() {
		t.Errorf("first: %v", r)
	}
	if r := upload(false); r.GetAccepted() != 0 || r.GetDuplicates() != 3 || r.GetRejected() != 4 {
		t.Errorf("again: %v, want nothing recorded", r)
	}
	if r := upload(true); r.GetAccepted() != 1 || r.GetDuplicates() != 2 {
		t.Errorf("with lift_opt_outs: %v, want the permission recorded once more", r)
	}
	got, err := n.record.GetNumber(testContext(t), &dncv1.GetNumberRequest{Number: french})
	if err != nil || len(got.GetRecords()) != 3 {
		t.Fatalf("got %v, %v", got, err)
	}
	if r := got.GetRecords(); r[0].GetMayLift() || r[0].GetGoods() != "energy" || r[1].GetMayLift() || !r[2].GetMayLift() || r[2].GetStory().GetEvidence() != "form 7" {
		t.Errorf("got %v", r)
	}
	imports, err := n.record.ListRecordImports(testContext(t), &dncv1.ListRecordImportsRequest{})
	if err != nil || len(imports.GetImports()) != 3 || imports.GetImports()[0].GetKind() != dncv1.RecordKind_RECORD_KIND_CONSENT {
		t.Errorf("imports: %v, %v", imports, err)
	}
	if _, err := n.record.WithdrawConsent(testContext(t), &dncv1.WithdrawConsentRequest{Number: french, Scope: "acme"}); err != nil {
		t.Fatal(err)
	}
	r := upload(false)
	if r.GetAccepted() != 0 || r.GetRejected() != 7 || len(r.GetRejects()) != 3 || r.GetRejects()[0].GetError().GetReason() != dncv1.ErrorReason_ERROR_REASON_CONSENT_WITHDRAWN {
		t.Errorf("after the withdrawal: %v, want every row rejected", r)
	}
}

// TestOnlyOfficersLiftOptOuts: a permission of a recorder is recorded, and lifts nothing.
func TestOnlyOfficersLiftOptOuts(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	contexts := map[access.Role]context.Context{}
	for _, role := range []access.Role{access.Recorder, access.Officer, access.Loader} {
		contexts[role] = d.as(role.String(), access.RolesOf(role), "acme")
	}
	for role, want := range map[access.Role]bool{access.Recorder: false, access.Officer: true} {
		got, err := d.record.RecordConsent(contexts[role], &dncv1.RecordConsentRequest{Number: french, Scope: "acme", Kind: aPermission, Evidence: "form 7"})
		if err != nil || got.GetMayLift() != want {
			t.Errorf("%v: %v, %v; want may_lift %v", role, got, err, want)
		}
	}
	for role, lift := range map[access.Role]bool{access.Recorder: true, access.Loader: false} {
		stream, err := d.record.ImportRecords(contexts[role])
		if err == nil {
			_ = stream.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Header{Header: &dncv1.ImportRecordsHeader{
				Kind: dncv1.RecordKind_RECORD_KIND_CONSENT, LiftOptOuts: lift,
			}}})
			_, err = stream.Recv()
		}
		wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
	}
}

// TestRecordedUseIsDurableBeforeTheAnswer: an answer that relies on a consent names it in the number's history; where that cannot be
// stored, the answer is UNKNOWN.
func TestRecordedUseIsDurableBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startIn(t, dir, store.Options{MinFree: -1})
	ctx := testContext(t)
	if _, err := dncv1.NewPolicyServiceClient(n.conn).SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: consentInFrance}); err != nil {
		t.Fatal(err)
	}
	check := func(n *node, record bool, scope string, want dncv1.Verdict, cause dncv1.Cause) *dncv1.CheckNumberResponse {
		t.Helper()
		got, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, Scope: scope, RecordUse: record})
		if err != nil || got.GetVerdict() != want || got.GetCause() != cause {
			t.Fatalf("got %v, %v; want %v %v", got, err, want, cause)
		}
		return got
	}
	check(n, true, "acme", dncv1.Verdict_VERDICT_BLOCK, 0)
	made, err := n.record.RecordConsent(ctx, &dncv1.RecordConsentRequest{Number: french, Scope: "acme", Kind: aPermission})
	if err != nil {
		t.Fatal(err)
	}
	answer := check(n, true, "acme/energy", dncv1.Verdict_VERDICT_ALLOW, 0)
	check(n, false, "acme/energy", dncv1.Verdict_VERDICT_ALLOW, 0)
	check(n, true, "other", dncv1.Verdict_VERDICT_BLOCK, 0)
	history, err := n.record.ListHistory(ctx, &dncv1.ListHistoryRequest{Number: french})
	if err != nil || len(history.GetEvents()) != 2 {
		t.Fatalf("history: %v, %v; want the consent and one use", history, err)
	}
	used := history.GetEvents()[1]
	if !proto.Equal(used.GetConsentUsed(), &dncv1.ConsentUsed{
		Number: french, Scope: "acme/energy", Consents: []*dncv1.EventId{made.GetId()}, CheckedRevision: answer.GetPosition().GetRevision(),
	}) || used.GetKind() != dncv1.EventKind_EVENT_KIND_CONSENT_USED {
		t.Errorf("used: %v", used)
	}
	_, err = n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, RecordUse: true, ReadAt: past(1)})
	wantReason(t, err, codes.InvalidArgument, "FIELD_INVALID")

	n.store.Close()
	n.store = nil
	full := startIn(t, dir, store.Options{MinFree: 1 << 60})
	unrecorded := check(full, true, "acme", dncv1.Verdict_VERDICT_UNKNOWN, dncv1.Cause_CAUSE_USE_NOT_RECORDED)
	if len(unrecorded.GetReasons()) != 1 || unrecorded.GetReasons()[0].GetKind() != dncv1.ReasonKind_REASON_KIND_USE_NOT_RECORDED {
		t.Errorf("reasons: %v", unrecorded.GetReasons())
	}
	check(full, false, "acme", dncv1.Verdict_VERDICT_ALLOW, 0)
}
