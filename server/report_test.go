package server_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// report reads a report to its end.
func report(ctx context.Context, n *node, req *dncv1.GetReportRequest) (desks []*dncv1.ReportDesk, subs []*dncv1.ReportSubscriber, sum *dncv1.ReportSummary, err error) {
	stream, err := propagation(n).GetReport(ctx, req)
	for err == nil {
		var m *dncv1.GetReportResponse
		if m, err = stream.Recv(); err == io.EOF {
			return desks, subs, sum, nil
		}
		if m.GetDesk() != nil {
			desks = append(desks, m.GetDesk())
		}
		if m.GetSubscriber() != nil {
			subs = append(subs, m.GetSubscriber())
		}
		sum = m.GetSummary()
	}
	return desks, subs, sum, err
}

// TestGetReport: what the store reports is answered, without a number.
func TestGetReport(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	client := propagation(n)
	for _, name := range []string{"north", "south"} {
		_, err := client.PutSubscriber(ctx, &dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{
			Name: name, Kind: dncv1.SubscriberKind_SUBSCRIBER_KIND_INTERNAL, Owner: "Jane Doe",
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.PutDesk(ctx, &dncv1.PutDeskRequest{Desk: &dncv1.Desk{Name: "Lyon", Kind: dncv1.DeskKind_DESK_KIND_AFTER_SALES}}); err != nil {
		t.Fatal(err)
	}
	record := func(number, desk string) *dncv1.RecordOptOutResponse {
		t.Helper()
		r, err := dncv1.NewRecordServiceClient(n.conn).RecordOptOut(ctx, &dncv1.RecordOptOutRequest{
			Number: number, Desk: desk, Channel: dncv1.Channel_CHANNEL_CALL, ReceivedAt: timestamppb.New(n.clock.Now().Add(-time.Minute)),
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	record("+14155550101", "lyon")
	last := record("+14155550102", "somewhere")
	n.clock.add(time.Hour)
	_, err := client.Acknowledge(ctx, &dncv1.AcknowledgeRequest{Subscriber: "north", Acknowledgement: &dncv1.AcknowledgeRequest_Claim{
		Claim: &dncv1.ClaimedAcknowledgement{Cursor: &dncv1.FeedCursor{Position: last.GetPosition()}, Stage: dncv1.Stage_STAGE_APPLIED},
	}})
	if err != nil {
		t.Fatal(err)
	}
	n.clock.add(48 * time.Hour)
	if _, _, err := compareBase(ctx, n, compareHeader(&dncv1.CompareHeader{Subscriber: "north"}), compareChunk(14155550101), compareCommit(1, 0)); err != nil {
		t.Fatal(err)
	}

	from, to := timestamppb.New(testDay), timestamppb.New(testDay.Add(time.Minute))
	desks, subs, sum, err := report(ctx, n, &dncv1.GetReportRequest{From: from, To: to})
	if err != nil {
		t.Fatal(err)
	}
	if len(desks) != 2 || len(subs) != 2 || sum.GetOptOuts() != 2 || !sum.GetFrom().AsTime().Equal(testDay) || !sum.GetTime().AsTime().Equal(testDay.Add(49*time.Hour)) ||
		sum.GetPosition().GetRevision() != n.store.View().Revision() || len(sum.GetPosition().GetTag()) == 0 {
		t.Fatalf("got %v, %v, %v", desks, subs, sum)
	}
	for _, d := range desks {
		named := d.GetName() == "Lyon" && d.GetDesk() != nil && d.GetKind() == dncv1.DeskKind_DESK_KIND_AFTER_SALES
		if named == (d.GetDesk() == nil) || d.GetChannel() != dncv1.Channel_CHANNEL_CALL || d.GetImported() || d.GetOptOuts() != 1 || d.GetReceivedToRecorded().GetMedian().AsDuration() != time.Minute {
			t.Errorf("got %v", d)
		}
	}
	north, south := subs[0], subs[1]
	for i, stage := range north.GetStages() {
		n, imported := uint64(2), i%2 == 1
		if imported {
			n = 0
		}
		if stage.GetStage() != dncv1.Stage(i/2+1) || stage.GetImported() != imported || stage.GetRecordedToAcknowledged().GetCount() != n || stage.GetClaimed() != n || stage.GetPending() != 0 {
			t.Errorf("north, line %d: got %v", i, stage)
		}
	}
	if got := north.GetStages()[4].GetRecordedToAcknowledged(); got.GetWorst().AsDuration() != time.Hour {
		t.Errorf("got %v, want an hour", got)
	}
	if north.GetLate() || north.GetLastComparison().GetMissing() != 1 || north.GetOwner() != "Jane Doe" || north.GetDeadline().AsDuration() != 24*time.Hour {
		t.Errorf("north: got %v, want it in time and compared with one missing", north)
	}
	applied := south.GetStages()[4]
	if !south.GetLate() || south.GetLastComparison() != nil || applied.GetPending() != 2 || applied.GetLate() != 2 || !applied.GetOldestPending().AsTime().Equal(testDay) {
		t.Errorf("south: got %v, want it late and never compared", south)
	}
	for _, m := range subs {
		if text, _ := protojson.Marshal(m); strings.Contains(string(text), "5550101") {
			t.Errorf("got a number in %s", text)
		}
	}
	_, _, sum, err = report(ctx, n, &dncv1.GetReportRequest{From: to})
	if err != nil || sum.GetOptOuts() != 0 || sum.GetTo() != nil {
		t.Errorf("after the period: got %v, %v", sum, err)
	}
	_, _, _, err = report(ctx, n, &dncv1.GetReportRequest{From: to, To: from})
	wantReason(t, err, codes.InvalidArgument, "FIELD_INVALID")
}

// TestReportIsForCallersWithoutABound: a part of a report would look like all of it.
func TestReportIsForCallersWithoutABound(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	for name, c := range map[string]struct {
		roles  access.Roles
		scopes []policy.Scope
		may    bool
	}{
		"all":    {roles: access.RolesOf(access.Officer), may: true},
		"bound":  {roles: access.RolesOf(access.Officer), scopes: []policy.Scope{"acme"}},
		"admin":  {roles: access.RolesOf(access.Admin)},
		"caller": {roles: access.RolesOf(access.Subscriber)},
	} {
		_, _, sum, err := report(d.as(name, c.roles, c.scopes...), d.node, &dncv1.GetReportRequest{})
		if c.may {
			if err != nil || sum == nil {
				t.Errorf("%s: got %v, %v", name, sum, err)
			}
			continue
		}
		wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
	}
}

// A report says as of which time it counts what has expired, however long it takes to make.
func TestReportIsAsOfItsTime(t *testing.T) {
	t.Parallel()
	n := start(t)
	ends := n.clock.Now().Add(90 * time.Minute)
	if _, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: "+14155550101", ExpiresAt: timestamppb.New(ends)}); err != nil {
		t.Fatal(err)
	}
	n.clock.delay("write", func() { n.clock.add(time.Hour) })
	_, _, sum, err := report(testContext(t), n, &dncv1.GetReportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if isExpired := !ends.After(sum.GetTime().AsTime()); isExpired != (sum.GetExpired() == 1) {
		t.Errorf("as of %v %d have expired, and the only one ends at %v", sum.GetTime().AsTime(), sum.GetExpired(), ends)
	}
}
