package server_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// TestReadAtThatIsNotSupportedIsRefused asks every read for a state that this server does not give: the newest one would
// be a wrong answer.
func TestReadAtThatIsNotSupportedIsRefused(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	n.createList(suppression("mine"))
	later := new(dncv1.ReadAt) // of a contract to come
	later.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	n.wantAtEachRead(ctx, later, codes.Unimplemented, dncv1.ErrorReason_ERROR_REASON_UNSUPPORTED)
	for what, err := range n.readsAt(ctx, new(dncv1.ReadAt)) { // which names nothing
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// wantAtEachRead makes every read at a state, each of which must be refused.
func (n *node) wantAtEachRead(ctx context.Context, at *dncv1.ReadAt, code codes.Code, reason dncv1.ErrorReason) {
	n.t.Helper()
	for what, err := range n.readsAt(ctx, at) {
		if info := errorInfo(err); status.Code(err) != code || "ERROR_REASON_"+info.GetReason() != reason.String() {
			n.t.Errorf("%s: got %v, want %s", what, err, reason)
		}
	}
	s := n.openStream(ctx)
	check := ofText(1, french)
	check.ReadAt = at
	s.ask(check)
	wantItemError(n.t, s.takeOne(1), reason)
}

// readsAt makes every read at a state.
func (n *node) readsAt(ctx context.Context, at *dncv1.ReadAt) map[string]error {
	_, check := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, ReadAt: at})
	_, batch := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{Numbers: []string{french}, ReadAt: at})
	_, number := n.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: french, ReadAt: at})
	_, history := n.record.ListHistory(ctx, &dncv1.ListHistoryRequest{Number: french, ReadAt: at})
	list, err := n.list.Export(ctx, &dncv1.ExportRequest{List: "mine", ReadAt: at})
	if err == nil {
		_, err = list.Recv()
	}
	records, failed := n.record.ExportRecords(ctx, &dncv1.ExportRecordsRequest{ReadAt: at})
	if failed == nil {
		_, failed = records.Recv()
	}
	_, inForce := dncv1.NewPolicyServiceClient(n.conn).GetPolicy(ctx, &dncv1.GetPolicyRequest{ReadAt: at})
	return map[string]error{
		"GetPolicy":   inForce,
		"CheckNumber": check, "CheckNumbers": batch, "GetNumber": number, "ListHistory": history, "Export": err, "ExportRecords": failed,
	}
}

// TestCheckThatIsNotUnderstoodIsRefused: a purpose or a place that is not evaluated must not look as if it were.
func TestCheckThatIsNotUnderstoodIsRefused(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	_, purpose := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, Purpose: 99})
	_, place := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, Place: "Europe/Nowhere"})
	_, batch := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{Numbers: []string{french}, Purpose: 99})
	for _, err := range []error{purpose, place, batch} {
		wantReason(t, err, codes.InvalidArgument, "FIELD_INVALID")
	}
	s := n.openStream(ctx)
	check := ofText(1, french)
	check.Purpose = 99
	s.ask(check)
	wantItemError(t, s.takeOne(1), dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID)
	check = ofText(2, french)
	check.Place = "FR-00"
	s.ask(check)
	wantItemError(t, s.takeOne(2), dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID)
}
