package server_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// TestExpiryUnderAJumpedClock: while the clock is years ahead an opt-out that has not expired by the time that passed
// counts in every way to ask, and in what is read and exported.
func TestExpiryUnderAJumpedClock(t *testing.T) {
	t.Parallel()
	n := startIn(t, t.TempDir(), store.Options{MinFree: -1, Boottime: func() time.Duration { return time.Hour }})
	ctx := testContext(t)
	const number = "+14155550101"
	_, err := n.record.RecordOptOut(ctx, &dncv1.RecordOptOutRequest{
		Number: number, Scope: "acme", ExpiresAt: timestamppb.New(testDay.AddDate(1, 0, 0)),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.clock.add(10 * 365 * 24 * time.Hour)
	one, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: number, Scope: "acme"})
	if err != nil || one.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("CheckNumber: got %v and %v, want BLOCK", one, err)
	}
	many, err := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{Numbers: []string{number}, Scope: "acme"})
	if err != nil || many.GetVerdicts()[0] != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("CheckNumbers: got %v and %v, want BLOCK", many, err)
	}
	s := n.openStream(ctx)
	s.ask(&dncv1.StreamCheck{Id: 1, Subject: &dncv1.StreamCheck_Number{Number: number}, Scope: "acme"})
	if a := s.takeOne(1); a.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("StreamChecks: got %v, want BLOCK", a)
	}
	read, err := n.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: number})
	if err != nil || len(read.GetRecords()) != 1 || !read.GetRecords()[0].GetInForce() {
		t.Errorf("GetNumber: got %v and %v, want the opt-out in force", read, err)
	}
	if _, records := n.exported(&dncv1.ExportRecordsRequest{Kind: dncv1.RecordKind_RECORD_KIND_OPT_OUT}); len(records) != 1 {
		t.Errorf("an export of what is in force holds %q, want the opt-out", records)
	}
}

// TestExpiryInABoundStore: where the last event is of a time that has not come, an opt-out that ends before that time is
// taken, and counts until it ends.
func TestExpiryInABoundStore(t *testing.T) {
	t.Parallel()
	n := startIn(t, t.TempDir(), store.Options{MinFree: -1})
	ctx := testContext(t)
	const tenYears = 10 * 365 * 24 * time.Hour
	n.clock.add(tenYears)
	n.optOut("+14155550102", "acme")
	n.clock.add(-tenYears)
	const number = "+14155550101"
	_, err := n.record.RecordOptOut(ctx, &dncv1.RecordOptOutRequest{
		Number: number, Scope: "acme", ExpiresAt: timestamppb.New(testDay.AddDate(1, 0, 0)),
	})
	if err != nil {
		t.Fatal(err)
	}
	one, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: number, Scope: "acme"})
	if err != nil || one.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("got %v and %v, want BLOCK", one, err)
	}
	rows := []*dncv1.RecordRow{{Number: "+14155550103", ExpiresAt: timestamppb.New(testDay.AddDate(1, 0, 0))}}
	if got, err := n.importRecords(recordUpload{chunks: [][]*dncv1.RecordRow{rows}}); err != nil || got.result.GetAccepted() != 1 || got.result.GetRejected() > 0 {
		t.Errorf("a row of a file: got %v and %v, want it accepted", got.result, err)
	}
}
