package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

func TestRecordOptOutTellsItsStory(t *testing.T) {
	t.Parallel()
	n := start(t)
	received := testDay.Add(-48 * time.Hour)
	resp, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{
		Number: french, Scope: "Acme", Channel: dncv1.Channel_CHANNEL_LETTER, Desk: "after-sales Lyon",
		ReceivedAt: timestamppb.New(received), Evidence: "ticket 7", Note: "two\nlines", Context: &dncv1.WriteContext{OnBehalfOf: "alice"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if resp.GetNumber() != french || !resp.GetRecordedAt().AsTime().Equal(testDay) || resp.GetDuplicate() {
		t.Errorf("got %v", resp)
	}
	got, err := n.record.GetNumber(testContext(t), &dncv1.GetNumberRequest{Number: french, ReadAt: atLeast(resp.GetPosition().GetRevision(), "")})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.GetRegions()) != "[FR]" || len(got.GetRecords()) != 1 {
		t.Fatalf("got %v", got)
	}
	want := &dncv1.Record{
		Id:   &dncv1.EventId{Revision: resp.GetPosition().GetRevision(), Index: resp.GetId().GetIndex()},
		Kind: dncv1.RecordKind_RECORD_KIND_OPT_OUT, Scope: "acme", Channel: dncv1.Channel_CHANNEL_LETTER,
		ReceivedAt: timestamppb.New(received), RecordedAt: timestamppb.New(testDay), InForce: true,
		Story: &dncv1.Story{
			State: dncv1.StoryState_STORY_STATE_PRESENT, Desk: "after-sales Lyon", Evidence: "ticket 7",
			Note: "two\nlines", RecordedBy: "alice",
		},
	}
	if !proto.Equal(got.GetRecords()[0], want) {
		t.Errorf("got %v, want %v", got.GetRecords()[0], want)
	}
}

func TestRequestIDMakesAWriteSafeToRetry(t *testing.T) {
	t.Parallel()
	n := start(t)
	req := &dncv1.RecordOptOutRequest{Number: french, Scope: "acme", Context: &dncv1.WriteContext{RequestId: "r-1"}, Desk: "a"}
	first, err := n.record.RecordOptOut(testContext(t), req)
	if err != nil {
		t.Fatal(err)
	}
	n.optOut(unlisted, "")
	n.clock.add(time.Minute)
	again, err := n.record.RecordOptOut(testContext(t), req)
	if err != nil {
		t.Fatal(err)
	}
	if !again.GetDuplicate() || again.GetPosition().GetRevision() != first.GetPosition().GetRevision() || again.GetId().GetIndex() != first.GetId().GetIndex() {
		t.Errorf("got %v, want a duplicate of %v", again, first)
	}
	if !again.GetRecordedAt().AsTime().Equal(first.GetRecordedAt().AsTime()) {
		t.Errorf("got recorded at %v, want the first one's %v", again.GetRecordedAt().AsTime(), first.GetRecordedAt().AsTime())
	}
	for _, other := range []*dncv1.RecordOptOutRequest{
		{Number: french, Scope: "other", Context: &dncv1.WriteContext{RequestId: "r-1"}, Desk: "a"},
		{Number: unlisted, Scope: "acme", Context: &dncv1.WriteContext{RequestId: "r-1"}, Desk: "a"},
		{Number: french, Scope: "acme", Context: &dncv1.WriteContext{RequestId: "r-1"}, Desk: "b"},
	} {
		_, err := n.record.RecordOptOut(testContext(t), other)
		wantReason(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED")
	}
	_, err = n.record.WithdrawOptOut(testContext(t), &dncv1.WithdrawOptOutRequest{Number: french, Scope: "acme", Reason: "x", Context: &dncv1.WriteContext{RequestId: "r-1"}})
	wantReason(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED")
}

func TestWithdrawEndsExactlyOneScope(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.optOut(french, "")
	n.optOut(french, "acme")
	n.optOut(french, "acme")
	n.optOut(french, "acme/telecom")
	req := &dncv1.WithdrawOptOutRequest{Number: french, Scope: "acme", Reason: "asked to be called again", Context: &dncv1.WriteContext{RequestId: "w-1"}}
	got, err := n.record.WithdrawOptOut(testContext(t), req)
	if err != nil || got.GetWithdrawn() != 2 || got.GetDuplicate() {
		t.Fatalf("got %v and %v, want 2 withdrawn", got, err)
	}
	again, err := n.record.WithdrawOptOut(testContext(t), req)
	if err != nil || again.GetWithdrawn() != 2 || !again.GetDuplicate() || again.GetPosition().GetRevision() != got.GetPosition().GetRevision() {
		t.Errorf("tried again: got %v and %v", again, err)
	}
	_, err = n.record.WithdrawOptOut(testContext(t), &dncv1.WithdrawOptOutRequest{Number: french, Scope: "acme", Reason: "again"})
	wantReason(t, err, codes.NotFound, "NOTHING_TO_WITHDRAW")
	if got := n.checkNumber(french, "acme"); got.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
		t.Errorf("the opt-out for everyone still stands: got %v", got.GetVerdict())
	}
}

func TestRecordErrors(t *testing.T) {
	t.Parallel()
	n := start(t)
	long := strings.Repeat("x", 5000)
	tests := []struct {
		name   string
		req    *dncv1.RecordOptOutRequest
		reason string
	}{
		{"number", &dncv1.RecordOptOutRequest{Number: "12"}, "NUMBER_NO_COUNTRY"},
		{"scope", &dncv1.RecordOptOutRequest{Number: french, Scope: "a b"}, "SCOPE_INVALID"},
		{"region", &dncv1.RecordOptOutRequest{Number: french, Region: "QQ"}, "REGION_INVALID"},
		{"channel", &dncv1.RecordOptOutRequest{Number: french, Channel: 99}, "FIELD_INVALID"},
		{"desk", &dncv1.RecordOptOutRequest{Number: french, Desk: long[:257]}, "FIELD_INVALID"},
		{"evidence", &dncv1.RecordOptOutRequest{Number: french, Evidence: long[:1025]}, "FIELD_INVALID"},
		{"note", &dncv1.RecordOptOutRequest{Number: french, Note: long[:4097]}, "FIELD_INVALID"},
		{"request_id", &dncv1.RecordOptOutRequest{Number: french, Context: &dncv1.WriteContext{RequestId: long[:129]}}, "FIELD_INVALID"},
		{"recorded_by", &dncv1.RecordOptOutRequest{Number: french, Context: &dncv1.WriteContext{OnBehalfOf: long[:257]}}, "FIELD_INVALID"},
		{"control character", &dncv1.RecordOptOutRequest{Number: french, Desk: "a\nb"}, "FIELD_INVALID"},
		{"received late", &dncv1.RecordOptOutRequest{Number: french, ReceivedAt: timestamppb.New(testDay.Add(25 * time.Hour))}, "FIELD_INVALID"},
		{"received never", &dncv1.RecordOptOutRequest{Number: french, ReceivedAt: &timestamppb.Timestamp{Nanos: -1}}, "FIELD_INVALID"},
		{"expired", &dncv1.RecordOptOutRequest{Number: french, ExpiresAt: timestamppb.New(testDay)}, "FIELD_INVALID"},
		{"expires before received", &dncv1.RecordOptOutRequest{
			Number: french, ReceivedAt: timestamppb.New(testDay.Add(3 * time.Hour)), ExpiresAt: timestamppb.New(testDay.Add(time.Hour)),
		}, "FIELD_INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := n.record.RecordOptOut(testContext(t), tt.req)
			wantReason(t, err, codes.InvalidArgument, tt.reason)
		})
	}
	_, err := n.record.WithdrawOptOut(testContext(t), &dncv1.WithdrawOptOutRequest{Number: french})
	wantReason(t, err, codes.InvalidArgument, "FIELD_INVALID")
	if r := n.store.View().Revision(); r != 0 {
		t.Errorf("refused writes left revision %d", r)
	}
}

func TestTextIsTakenUpToItsLimit(t *testing.T) {
	t.Parallel()
	n := start(t)
	long := strings.Repeat("x", 5000)
	_, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{
		Number: french, Desk: long[:256], Evidence: long[:1024], Note: long[:4096], Context: &dncv1.WriteContext{RequestId: long[:128], OnBehalfOf: long[:256]},
		ReceivedAt: timestamppb.New(testDay.Add(23 * time.Hour)),
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRecordLimit(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	n := start(t)
	scope := strings.Repeat("abcdefg.", 31)
	var err error
	for i := 0; err == nil && i < 2000; i++ {
		_, err = n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: french, Scope: scope})
	}
	wantReason(t, err, codes.ResourceExhausted, "RECORD_LIMIT")
	if got := n.checkNumber(french, ""); got.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK || len(got.GetReasons()) > 64 {
		t.Errorf("got %v with %d reasons, want BLOCK with a bounded number", got.GetVerdict(), len(got.GetReasons()))
	}
}

func TestHistoryPages(t *testing.T) {
	t.Parallel()
	n := start(t)
	for i := range 7 {
		n.optOut(french, fmt.Sprintf("s%d", i))
	}
	n.optOut(unlisted, "")
	req := &dncv1.ListHistoryRequest{Number: french, PageSize: 3}
	first, err := n.record.ListHistory(testContext(t), req)
	if err != nil {
		t.Fatal(err)
	}
	n.optOut(french, "later")
	scopes := scopesOf(first)
	for token := first.GetNextPageToken(); token != ""; {
		page, err := n.record.ListHistory(testContext(t), &dncv1.ListHistoryRequest{Number: french, PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		if page.GetPosition().GetRevision() != first.GetPosition().GetRevision() {
			t.Errorf("got revision %d, want the first page's %d", page.GetPosition().GetRevision(), first.GetPosition().GetRevision())
		}
		scopes = append(scopes, scopesOf(page)...)
		token = page.GetNextPageToken()
	}
	if want := "[s0 s1 s2 s3 s4 s5 s6]"; fmt.Sprint(scopes) != want {
		t.Errorf("got %v, want %s", scopes, want)
	}
	for _, tt := range []struct{ number, token string }{
		{unlisted, first.GetNextPageToken()}, // another number's
		{french, "garbage"},
		{french, first.GetNextPageToken()[1:]},
	} {
		_, err := n.record.ListHistory(testContext(t), &dncv1.ListHistoryRequest{Number: tt.number, PageToken: tt.token})
		wantReason(t, err, codes.InvalidArgument, "PAGE_TOKEN_INVALID")
	}
	if _, err := n.record.WithdrawOptOut(testContext(t), &dncv1.WithdrawOptOutRequest{Number: french, Scope: "s1", Reason: "why"}); err != nil {
		t.Fatal(err)
	}
	all, err := n.record.ListHistory(testContext(t), &dncv1.ListHistoryRequest{Number: french})
	if err != nil {
		t.Fatal(err)
	}
	last := all.GetEvents()[len(all.GetEvents())-1]
	covered := []dncv1.EventKind{
		dncv1.EventKind_EVENT_KIND_OPT_OUT_RECORDED, dncv1.EventKind_EVENT_KIND_OPT_OUT_WITHDRAWN,
		dncv1.EventKind_EVENT_KIND_CONSENT_RECORDED, dncv1.EventKind_EVENT_KIND_CONSENT_WITHDRAWN, dncv1.EventKind_EVENT_KIND_CONSENT_USED,
		dncv1.EventKind_EVENT_KIND_OPT_OUT_RESPELLED,
	}
	if got := all.GetKindsCovered(); !slices.Equal(got, covered) {
		t.Errorf("got a history complete for %v, want %v", got, covered)
	}
	if last.GetKind() != dncv1.EventKind_EVENT_KIND_OPT_OUT_WITHDRAWN || last.GetStory().GetReason() != "why" || last.GetOptOutWithdrawn().GetScope() != "s1" {
		t.Errorf("got last event %v, want the withdrawal with its reason", last)
	}
}

func scopesOf(page *dncv1.ListHistoryResponse) []string {
	var out []string
	for _, e := range page.GetEvents() {
		out = append(out, e.GetOptOutRecorded().GetScope())
	}
	return out
}

func TestUnknownNumberIsAnEmptyAnswer(t *testing.T) {
	t.Parallel()
	n := start(t)
	got, err := n.record.GetNumber(testContext(t), &dncv1.GetNumberRequest{Number: french})
	if err != nil || len(got.GetRecords()) != 0 || len(got.GetLists()) != 0 {
		t.Errorf("got %v and %v", got, err)
	}
	history, err := n.record.ListHistory(testContext(t), &dncv1.ListHistoryRequest{Number: french})
	if err != nil || len(history.GetEvents()) != 0 || history.GetNextPageToken() != "" {
		t.Errorf("got %v and %v", history, err)
	}
}
