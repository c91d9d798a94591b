package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
)

const (
	listed    = "+14155550100"
	unlisted  = "+14155550199"
	uncovered = "+18185550100"
	canadian  = "+14165550100"
	french    = "+33199001234"
)

// withRegistry is a server that holds us-ftc: +1 415 covered, 31 days, one number among others.
func withRegistry(t testing.TB, change ...func(*server.Options)) *node {
	t.Helper()
	n := start(t, change...)
	n.createList(&dncv1.CreateListRequest{
		Name: "us-ftc", Kind: dncv1.ListKind_LIST_KIND_REGISTRY, Jurisdiction: []string{"us"},
		Coverage: []string{"1415", "+1818"}, MaxAge: durationpb.New(31 * 24 * time.Hour),
	})
	n.replace("us-ftc", "2026-09-09", numbers(150)[50:]...)
	return n
}

func TestVerdictOfListed(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	n.optOut(french, "acme")
	tests := []struct {
		number, scope string
		verdict       dncv1.Verdict
		cause         dncv1.Cause
		reason        dncv1.ReasonKind
	}{
		{listed, "", dncv1.Verdict_VERDICT_BLOCK, 0, dncv1.ReasonKind_REASON_KIND_LISTED},
		{listed, "acme", dncv1.Verdict_VERDICT_BLOCK, 0, dncv1.ReasonKind_REASON_KIND_LISTED},
		{unlisted, "", dncv1.Verdict_VERDICT_ALLOW, 0, 0},
		{uncovered, "", dncv1.Verdict_VERDICT_UNKNOWN, dncv1.Cause_CAUSE_NOT_COVERED, dncv1.ReasonKind_REASON_KIND_NOT_COVERED},
		{canadian, "", dncv1.Verdict_VERDICT_ALLOW, 0, 0},
		{french, "", dncv1.Verdict_VERDICT_BLOCK, 0, dncv1.ReasonKind_REASON_KIND_OPT_OUT},
		{french, "acme", dncv1.Verdict_VERDICT_BLOCK, 0, dncv1.ReasonKind_REASON_KIND_OPT_OUT},
		{french, "ACME/telecom", dncv1.Verdict_VERDICT_BLOCK, 0, dncv1.ReasonKind_REASON_KIND_OPT_OUT},
		{french, "acmeco", dncv1.Verdict_VERDICT_ALLOW, 0, 0},
		{french, "other", dncv1.Verdict_VERDICT_ALLOW, 0, 0},
	}
	for _, tt := range tests {
		got := n.checkNumber(tt.number, tt.scope)
		if got.GetVerdict() != tt.verdict || got.GetCause() != tt.cause {
			t.Errorf("%s at %q: got %v %v, want %v %v", tt.number, tt.scope, got.GetVerdict(), got.GetCause(), tt.verdict, tt.cause)
		}
		if tt.reason != 0 && (len(got.GetReasons()) == 0 || got.GetReasons()[0].GetKind() != tt.reason) {
			t.Errorf("%s at %q: got reasons %v, want %v", tt.number, tt.scope, got.GetReasons(), tt.reason)
		}
		if got.GetPosition().GetRevision() != n.store.View().Revision() || got.GetPosition().GetJournalId() != n.store.View().JournalID() {
			t.Errorf("%s: answered from revision %d of %s", tt.number, got.GetPosition().GetRevision(), got.GetPosition().GetJournalId())
		}
	}
	reason := n.checkNumber(listed, "").GetReasons()[0]
	if reason.GetList() != "us-ftc" || reason.GetSnapshotDate() != "2026-09-09" {
		t.Errorf("got reason %v, want us-ftc of 2026-09-09", reason)
	}
}

func TestRegistryIsStaleOnDay32(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	snapshot := time.Date(2026, 9, 9, 0, 0, 0, 0, time.UTC)
	n.clock.add(snapshot.AddDate(0, 0, 32).Add(-time.Second).Sub(testDay))
	got := n.checkNumber(unlisted, "")
	if got.GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
		t.Errorf("day 31: got %v, want ALLOW", got.GetVerdict())
	}
	if want := snapshot.AddDate(0, 0, 32); !got.GetValidUntil().AsTime().Equal(want) {
		t.Errorf("day 31: valid until %v, want %v", got.GetValidUntil().AsTime(), want)
	}
	n.clock.add(time.Second)
	got = n.checkNumber(unlisted, "")
	if got.GetVerdict() != dncv1.Verdict_VERDICT_UNKNOWN || got.GetCause() != dncv1.Cause_CAUSE_STALE_LIST {
		t.Errorf("day 32: got %v %v, want UNKNOWN STALE_LIST", got.GetVerdict(), got.GetCause())
	}
	if got := n.checkNumber(listed, ""); got.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("day 32, listed: got %v, want BLOCK", got.GetVerdict())
	}
}

func TestListNeverLoadedIsNotLoaded(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(&dncv1.CreateListRequest{Name: "us-ftc", Kind: dncv1.ListKind_LIST_KIND_REGISTRY, Jurisdiction: []string{"US"}})
	got := n.checkNumber(listed, "")
	if got.GetVerdict() != dncv1.Verdict_VERDICT_UNKNOWN || got.GetCause() != dncv1.Cause_CAUSE_NOT_LOADED {
		t.Errorf("got %v %v, want UNKNOWN NOT_LOADED", got.GetVerdict(), got.GetCause())
	}
	if got := n.checkNumber(canadian, ""); got.GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
		t.Errorf("Canada: got %v, want ALLOW", got.GetVerdict())
	}
}

func TestOptOutExpires(t *testing.T) {
	t.Parallel()
	n := start(t)
	ends := testDay.Add(time.Hour)
	_, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: french, ExpiresAt: timestamppb.New(ends)})
	if err != nil {
		t.Fatal(err)
	}
	got := n.checkNumber(french, "acme")
	if got.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK || !got.GetValidUntil().AsTime().Equal(ends) {
		t.Errorf("got %v until %v, want BLOCK until %v", got.GetVerdict(), got.GetValidUntil().AsTime(), ends)
	}
	n.clock.add(time.Hour)
	if got := n.checkNumber(french, "acme"); got.GetVerdict() != dncv1.Verdict_VERDICT_ALLOW {
		t.Errorf("after its end: got %v, want ALLOW", got.GetVerdict())
	}
}

func TestCheckReadsNationalFormsWithRegion(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.optOut(french, "")
	got, err := n.check.CheckNumber(testContext(t), &dncv1.CheckNumberRequest{Number: "01 99 00 12 34", Region: "fr"})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetNumber() != french || got.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("got %s %v, want %s BLOCK", got.GetNumber(), got.GetVerdict(), french)
	}
}

func TestCheckErrors(t *testing.T) {
	t.Parallel()
	n := start(t)
	tests := []struct {
		req    *dncv1.CheckNumberRequest
		code   codes.Code
		reason string
	}{
		{&dncv1.CheckNumberRequest{}, codes.InvalidArgument, "NUMBER_EMPTY"},
		{&dncv1.CheckNumberRequest{Number: "+1415555010x"}, codes.InvalidArgument, "NUMBER_SYNTAX"},
		{&dncv1.CheckNumberRequest{Number: "+１４１５５５５０１００"}, codes.InvalidArgument, "NUMBER_SYNTAX"},
		{&dncv1.CheckNumberRequest{Number: "+44 0794600180"}, codes.InvalidArgument, "NUMBER_SYNTAX"},
		{&dncv1.CheckNumberRequest{Number: "415 555 0100"}, codes.InvalidArgument, "NUMBER_NO_COUNTRY"},
		{&dncv1.CheckNumberRequest{Number: "+999 555 0100"}, codes.InvalidArgument, "NUMBER_CALLING_CODE"},
		{&dncv1.CheckNumberRequest{Number: "+1415555"}, codes.InvalidArgument, "NUMBER_LENGTH"},
		{&dncv1.CheckNumberRequest{Number: strings.Repeat("1 ", 40)}, codes.InvalidArgument, "NUMBER_LENGTH"},
		{&dncv1.CheckNumberRequest{Number: listed, Region: "XX"}, codes.InvalidArgument, "REGION_INVALID"},
		{&dncv1.CheckNumberRequest{Number: listed, Scope: "acme//x"}, codes.InvalidArgument, "SCOPE_INVALID"},
		{&dncv1.CheckNumberRequest{Number: listed, Scope: "acme/"}, codes.InvalidArgument, "SCOPE_INVALID"},
		{&dncv1.CheckNumberRequest{Number: listed, ReadAt: atLeast(0, strings.Repeat("0", 32))}, codes.FailedPrecondition, "JOURNAL_CHANGED"},
	}
	for _, tt := range tests {
		resp, err := n.check.CheckNumber(testContext(t), tt.req)
		if err == nil {
			t.Errorf("%s: got %v, want %s", tt.req, resp, tt.reason)
			continue
		}
		wantReason(t, err, tt.code, tt.reason)
	}
}

func TestCheckWaitsForMinRevision(t *testing.T) {
	t.Parallel()
	n := start(t)
	journal := n.store.View().JournalID()
	ctx := testContext(t)
	var got *dncv1.CheckNumberResponse
	var err error
	var asking sync.WaitGroup
	asking.Go(func() {
		got, err = n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: french, ReadAt: atLeast(1, journal)})
	})
	n.awaitWaits(1)
	n.optOut(french, "")
	asking.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if got.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("got %v at revision %d, want BLOCK", got.GetVerdict(), got.GetPosition().GetRevision())
	}

	// Without a deadline the server waits two seconds.
	_, err = n.check.CheckNumber(context.Background(), &dncv1.CheckNumberRequest{Number: french, ReadAt: atLeast(99, journal)})
	wantReason(t, err, codes.Unavailable, "REVISION_NOT_REACHED")
	if got := errorInfo(err).GetMetadata()["revision"]; got != "1" {
		t.Errorf("got revision %q in the metadata, want 1", got)
	}
}

func TestCheckNumbers(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	n.optOut(french, "")
	req := &dncv1.CheckNumbersRequest{Numbers: []string{
		unlisted, listed, "nonsense", "+14155550101", french, uncovered, "+1 (415) 555-0199",
	}}
	got, err := n.check.CheckNumbers(testContext(t), req)
	if err != nil {
		t.Fatal(err)
	}
	want := "[VERDICT_ALLOW VERDICT_BLOCK VERDICT_UNSPECIFIED VERDICT_BLOCK VERDICT_BLOCK VERDICT_UNKNOWN VERDICT_ALLOW]"
	if fmt.Sprint(got.GetVerdicts()) != want {
		t.Errorf("got %v, want %s", got.GetVerdicts(), want)
	}
	if want := []uint64{14155550199, 14155550100, 0, 14155550101, 33199001234, 18185550100, 14155550199}; fmt.Sprint(got.GetE164()) != fmt.Sprint(want) {
		t.Errorf("got e164 %v, want %v", got.GetE164(), want)
	}
	if len(got.GetReasons()) != 3 {
		t.Errorf("got reasons %v, want the list twice (listed, not covered) and an opt-out", got.GetReasons())
	}
	var indexes []uint32
	for _, d := range got.GetDetails() {
		indexes = append(indexes, d.GetIndex())
		if d.GetIndex() == 2 {
			if d.GetError().GetReason() != dncv1.ErrorReason_ERROR_REASON_NUMBER_SYNTAX {
				t.Errorf("got error %v, want NUMBER_SYNTAX", d.GetError())
			}
			continue
		}
		if len(d.GetReasonIndexes()) != 1 || int(d.GetReasonIndexes()[0]) >= len(got.GetReasons()) {
			t.Errorf("item %d: got reason indexes %v", d.GetIndex(), d.GetReasonIndexes())
		}
	}
	if fmt.Sprint(indexes) != "[1 2 3 4 5]" {
		t.Errorf("got details for %v, want all but ALLOW", indexes)
	}
}

func TestCheckNumbersAgreesWithCheckNumber(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	n := withRegistry(t)
	n.optOut("+14155550199", "acme")
	all := numbers(200)
	for _, scope := range []string{"", "acme/telecom", "other"} {
		batch, err := n.check.CheckNumbers(testContext(t), &dncv1.CheckNumbersRequest{E164: all, Scope: scope, VerdictsOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(batch.GetDetails()) != 0 || len(batch.GetReasons()) != 0 || len(batch.GetE164()) != 0 {
			t.Errorf("verdicts_only: got details, reasons or e164")
		}
		for i, number := range all {
			one := n.checkNumber(fmt.Sprintf("+%d", number), scope)
			if one.GetVerdict() != batch.GetVerdicts()[i] {
				t.Errorf("item %d at %q: unary %v, batch %v", i, scope, one.GetVerdict(), batch.GetVerdicts()[i])
			}
		}
	}
}

func TestCheckNumbersLimits(t *testing.T) {
	t.Parallel()
	n := start(t)
	tests := []struct {
		name   string
		req    *dncv1.CheckNumbersRequest
		code   codes.Code
		reason string
	}{
		{"too many", &dncv1.CheckNumbersRequest{E164: make([]uint64, 10_001)}, codes.InvalidArgument, "BATCH_TOO_LARGE"},
		{"too long", &dncv1.CheckNumbersRequest{Numbers: make60(5000)}, codes.InvalidArgument, "BATCH_TOO_LARGE"},
		{"both", &dncv1.CheckNumbersRequest{E164: []uint64{14155550100}, Numbers: []string{listed}}, codes.InvalidArgument, "FIELD_INVALID"},
		{"scope", &dncv1.CheckNumbersRequest{E164: []uint64{14155550100}, Scope: "!"}, codes.InvalidArgument, "SCOPE_INVALID"},
		{"region", &dncv1.CheckNumbersRequest{Numbers: []string{listed}, Region: "1"}, codes.InvalidArgument, "REGION_INVALID"},
		{"journal", &dncv1.CheckNumbersRequest{E164: []uint64{1}, ReadAt: atLeast(0, "x")}, codes.FailedPrecondition, "JOURNAL_CHANGED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := n.check.CheckNumbers(testContext(t), tt.req)
			wantReason(t, err, tt.code, tt.reason)
		})
	}
	full, err := n.check.CheckNumbers(testContext(t), &dncv1.CheckNumbersRequest{E164: make([]uint64, 10_000)})
	if err != nil || len(full.GetDetails()) != 10_000 {
		t.Errorf("10,000 bad numbers: got %d details and %v", len(full.GetDetails()), err)
	}
	none, err := n.check.CheckNumbers(testContext(t), &dncv1.CheckNumbersRequest{})
	if err != nil || len(none.GetVerdicts()) != 0 {
		t.Errorf("no numbers: got %v and %v, want an empty answer", none, err)
	}
}

func make60(count int) []string {
	out := make([]string, count)
	for i := range out {
		out[i] = "+14155550100" + strings.Repeat(" ", 48)
	}
	return out
}
