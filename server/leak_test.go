package server_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Guarantee 8: no number in logs, metrics or error messages, however it was written.
func TestNoNumberLeaks(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	const secret = "5550177"
	ctx := testContext(t)
	written := []string{"+1415" + secret, "1415" + secret, "415-555-0177", "+1415" + secret + "x", "+1415" + secret + "0000000", "+999" + secret, "+1415" + secret + ".0"}
	var told []string
	tell := func(m fmt.Stringer, err error) {
		if err == nil {
			return
		}
		told = append(told, err.Error())
		for _, d := range status.Convert(err).Details() {
			told = append(told, fmt.Sprint(d))
		}
	}
	for _, number := range written {
		for _, region := range []string{"", "US", "XX"} {
			for _, scope := range []string{"", "!"} {
				tell(n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: number, Region: region, Scope: scope}))
				tell(n.record.RecordOptOut(ctx, &dncv1.RecordOptOutRequest{Number: number, Region: region, Scope: scope, Context: &dncv1.WriteContext{RequestId: region + "-" + scope}}))
				tell(n.record.WithdrawOptOut(ctx, &dncv1.WithdrawOptOutRequest{Number: number, Region: region, Scope: "other", Reason: "x"}))
				tell(n.record.GetNumber(ctx, &dncv1.GetNumberRequest{Number: number, Region: region}))
				tell(n.record.ListHistory(ctx, &dncv1.ListHistoryRequest{Number: number, Region: region, PageToken: "x"}))
			}
		}
	}
	s := n.openStream(ctx)
	for i, number := range written {
		bad := ofText(uint64(i), number)
		bad.Scope = "!"
		s.ask(bad)
		told = append(told, s.takeOne(uint64(i)).GetError().GetMessage())
	}
	batch, err := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{Numbers: written})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range batch.GetDetails() {
		told = append(told, d.GetError().GetMessage())
	}
	got, err := n.load(upload{
		header: &dncv1.ImportHeader{List: "us-ftc", SnapshotDate: "2026-09-09"},
		chunks: [][]uint64{{14155550177, 141555501770000}}, commit: commitOf(1, 2),
	})
	if err != nil {
		t.Fatal(err)
	}
	told = append(told, fmt.Sprint(got.acks, got.result))
	_, metrics := get(t, n.web+"/metrics")
	told = append(told, metrics, n.log.String())
	if len(told) < 50 {
		t.Fatalf("got %d texts: the calls did not fail as they should", len(told))
	}
	for _, text := range told {
		if strings.Contains(text, secret) || strings.Contains(text, "555-0177") {
			t.Errorf("a number leaks: %s", text)
		}
	}
}
