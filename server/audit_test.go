package server_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// audit sends messages of calls on one stream, and returns the answers to each.
func (n *node) audit(messages ...*dncv1.AuditCallsRequest) (all []*dncv1.AuditCallsResponse, err error) {
	n.t.Helper()
	stream, err := dncv1.NewAuditServiceClient(n.conn).AuditCalls(testContext(n.t))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, m := range messages {
		_ = stream.Send(m) // its error comes from Recv
		resp, err := stream.Recv()
		if err != nil {
			return all, err
		}
		all = append(all, resp)
	}
	return all, stream.CloseSend()
}

func callAt(number string, at time.Time, scope string) *dncv1.AuditedCall {
	digits, _ := strconv.ParseUint(number[1:], 10, 64)
	return &dncv1.AuditedCall{E164: digits, Time: timestamppb.New(at), Scope: scope}
}

// wantAsChecked compares the answer to a call with a check of that number as of that time.
func (n *node) wantAsChecked(ctx context.Context, c *dncv1.AuditedCall, resp *dncv1.AuditCallsResponse, m *dncv1.CallAnswer) {
	n.t.Helper()
	single, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{
		Number: "+" + strconv.FormatUint(c.GetE164(), 10), Scope: c.GetScope(), Purpose: c.GetPurpose(), Place: c.GetPlace(),
		ReadAt: pastAt(nil, c.GetTime().AsTime(), nil),
	})
	if err != nil {
		if got := reasonOf(errorOfItem(m.GetError())); got != reasonOf(err) || m.GetVerdict() != 0 || m.GetOptOut() != nil {
			n.t.Fatalf("a call at %v: got %v, want %v", c.GetTime().AsTime(), m, err)
		}
		return
	}
	got := &dncv1.CheckNumberResponse{Verdict: m.GetVerdict(), Cause: m.GetCause(), Position: &dncv1.Position{Revision: m.GetRevision()}}
	for _, at := range m.GetReasonIndexes() {
		got.Reasons = append(got.Reasons, resp.GetReasons()[at])
	}
	want := &dncv1.CheckNumberResponse{
		Verdict: single.GetVerdict(), Cause: single.GetCause(), Reasons: single.GetReasons(), Position: &dncv1.Position{Revision: single.GetPosition().GetRevision()},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || m.GetError() != nil {
		n.t.Fatalf("a call at %v at %q: %v (-checked +audited):\n%s", c.GetTime().AsTime(), c.GetScope(), m.GetError(), diff)
	}
}

// TestAuditAgreesWithSingleChecks makes a year of random events, with restarts, changes of the policy and a clock that is set
// back, and compares the answers to calls at random times with single checks as of those times.
func TestAuditAgreesWithSingleChecks(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 0))
	dir := t.TempDir()
	n := startIn(t, dir, store.Options{MinFree: -1})
	n.clock.add(48 * time.Hour)
	n.createList(&dncv1.CreateListRequest{Name: "fresh", Kind: dncv1.ListKind_LIST_KIND_SUPPRESSION, Jurisdiction: []string{"US"}})
	n.createList(suppression("partner"))
	var commits []time.Time
	for day := range 365 {
		n.clock.add(time.Duration(r.IntN(24)) * time.Hour)
		if day%50 == 25 {
			n.clock.add(-time.Duration(r.IntN(20*24)) * time.Hour)
		}
		n.oneDay(r)
		commits = append(commits, n.store.View().Time())
		n.clock.add(12 * time.Hour)
		if day%120 == 119 {
			n = n.restart(dir)
		}
		if day == 200 {
			n.setPolicy("format: 1\ndefault: allow\ncountries:\n  US:\n    opt_outs: {reach: brand}\n    hours:\n      mon-fri: [\"09:00-20:00\"]\n")
		}
	}
	length := n.clock.Now().Sub(testDay)
	var messages []*dncv1.AuditCallsRequest
	for range 12 {
		m := new(dncv1.AuditCallsRequest)
		for range r.IntN(100) {
			at := testDay.Add(time.Duration(r.Int64N(int64(length)))).Truncate(time.Second)
			if r.IntN(4) == 0 {
				at = commits[r.IntN(len(commits))]
			}
			c := callAt(someNumber(r), at, someScope(r))
			c.Purpose = dncv1.Purpose(r.IntN(3))
			m.Calls = append(m.Calls, c)
		}
		messages = append(messages, m)
	}
	messages[0].Calls = append(messages[0].Calls, callAt("+12125550100", n.clock.Now().Add(24*time.Hour), ""), callAt("+12125550100", testDay, ""),
		callAt("+1212", commits[0], ""), &dncv1.AuditedCall{E164: 12125550100, Time: timestamppb.New(commits[9]), Scope: "ACME/Telecom"})
	all, err := n.audit(messages...)
	if err != nil {
		t.Fatal(err)
	}
	verdicts, later, gone := map[dncv1.Verdict]int{}, 0, 0
	for i, resp := range all {
		if len(resp.GetAnswers()) != len(messages[i].GetCalls()) {
			t.Fatalf("got %d answers to %d calls", len(resp.GetAnswers()), len(messages[i].GetCalls()))
		}
		for j, m := range resp.GetAnswers() {
			n.wantAsChecked(testContext(t), messages[i].GetCalls()[j], resp, m)
			verdicts[m.GetVerdict()]++
			if m.GetError().GetReason() == dncv1.ErrorReason_ERROR_REASON_HISTORY_GONE {
				gone++
			}
			if m.GetOptOut() != nil && m.GetVerdict() != dncv1.Verdict_VERDICT_BLOCK {
				later++
			}
		}
	}
	for _, v := range []dncv1.Verdict{dncv1.Verdict_VERDICT_ALLOW, dncv1.Verdict_VERDICT_BLOCK, dncv1.Verdict_VERDICT_NOT_NOW} {
		if verdicts[v] < 10 {
			t.Errorf("only %d answers are %v: %v", verdicts[v], v, verdicts)
		}
	}
	if gone == 0 || later > 0 {
		t.Errorf("%d calls before the journal; %d opt-outs recorded later, though each was received when it was recorded", gone, later)
	}
}

// setPolicy puts a policy in force.
func (n *node) setPolicy(document string) {
	n.t.Helper()
	if _, err := dncv1.NewPolicyServiceClient(n.conn).SetPolicy(testContext(n.t), &dncv1.SetPolicyRequest{Document: document, Force: true}); err != nil {
		n.t.Fatal(err)
	}
}

// An opt-out that was on its way when a call was made is told apart from one that was known, and from one that the base had
// applied.
func TestAuditTellsWhenAnOptOutWasKnown(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	hour := func(h int) time.Time { return testDay.Add(time.Duration(h) * time.Hour) }
	if _, err := propagation(n).PutSubscriber(ctx, &dncv1.PutSubscriberRequest{Subscriber: &dncv1.Subscriber{
		Name: "north", Kind: dncv1.SubscriberKind_SUBSCRIBER_KIND_INTERNAL, Filter: &dncv1.FeedFilter{Scopes: []string{"acme"}},
	}}); err != nil {
		t.Fatal(err)
	}
	n.clock.add(12 * time.Hour)
	recorded, err := n.record.RecordOptOut(ctx, &dncv1.RecordOptOutRequest{Number: french, Scope: "acme/telecom", ReceivedAt: timestamppb.New(hour(8))})
	if err != nil {
		t.Fatal(err)
	}
	n.setPolicy("format: 1\ndefault: allow\ncountries:\n  FR:\n    opt_outs: {reach: brand}\n")
	n.clock.add(6 * time.Hour)
	cursor := &dncv1.FeedCursor{Position: recorded.GetPosition()}
	if _, err := n.claim(ctx, "north", dncv1.Stage_STAGE_APPLIED, cursor); err != nil {
		t.Fatal(err)
	}
	n.clock.add(24 * time.Hour)
	resp, err := n.audit(&dncv1.AuditCallsRequest{Subscriber: "north", Calls: []*dncv1.AuditedCall{
		callAt(french, hour(20), "acme/telecom"), callAt(french, hour(12), "acme/telecom"), callAt(french, hour(12), "acme/energy"),
		callAt(french, hour(9), "acme/telecom"), callAt(french, hour(9), "acme/energy"), callAt(french, hour(8).Add(-1), "acme/telecom"),
		callAt(french, hour(13), "other"), callAt("+33199001299", hour(20), "acme"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	allow, block := dncv1.Verdict_VERDICT_ALLOW, dncv1.Verdict_VERDICT_BLOCK
	for i, want := range []struct {
		verdict dncv1.Verdict
		met     bool
	}{{block, true}, {block, true}, {block, true}, {allow, true}, {allow, false}, {allow, false}, {allow, false}, {allow, false}} {
		m := resp[0].GetAnswers()[i]
		if m.GetVerdict() != want.verdict || (m.GetOptOut() != nil) != want.met {
			t.Errorf("call %d: got %v, want %v with an opt-out: %v", i, m, want.verdict, want.met)
			continue
		}
		o := m.GetOptOut()
		if want.met && (!o.GetReceivedAt().AsTime().Equal(hour(8)) || !o.GetRecordedAt().AsTime().Equal(hour(12)) || !o.GetAppliedAt().AsTime().Equal(hour(18)) ||
			o.GetRecord().GetRevision() != recorded.GetId().GetRevision() || o.GetScope() != "acme/telecom") {
			t.Errorf("call %d: got %v, want received at 8, recorded at 12 and applied at 18", i, o)
		}
	}
	alone, err := n.audit(&dncv1.AuditCallsRequest{Calls: []*dncv1.AuditedCall{callAt(french, hour(20), "acme/telecom")}})
	if err != nil || alone[0].GetAnswers()[0].GetOptOut().GetAppliedAt() != nil {
		t.Errorf("got %v, %v: applied, and no base was named", alone, err)
	}
}

// What cannot be answered is refused, and each stream is in the access log once.
func TestAuditIsRefused(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.optOut(french, "acme")
	one := []*dncv1.AuditedCall{callAt(french, testDay, "acme")}
	for name, c := range map[string]struct {
		messages []*dncv1.AuditCallsRequest
		reason   string
	}{
		"too many":               {[]*dncv1.AuditCallsRequest{{Calls: make([]*dncv1.AuditedCall, 10_001)}}, "BATCH_TOO_LARGE"},
		"no such base":           {[]*dncv1.AuditCallsRequest{{Subscriber: "south", Calls: one}}, "SUBSCRIBER_NOT_FOUND"},
		"a base that comes late": {[]*dncv1.AuditCallsRequest{{Calls: one}, {Subscriber: "south", Calls: one}}, "FIELD_INVALID"},
	} {
		for i, m := range c.messages[0].Calls {
			if m == nil {
				c.messages[0].Calls[i] = new(dncv1.AuditedCall)
			}
		}
		_, err := n.audit(c.messages...)
		if err == nil || reasonOf(err) != c.reason {
			t.Errorf("%s: got %v, want %s", name, err, c.reason)
		}
	}
	before, err := n.store.ReadAccess(store.AccessQuery{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := n.audit(&dncv1.AuditCallsRequest{}, &dncv1.AuditCallsRequest{Calls: []*dncv1.AuditedCall{
		{E164: 33199001234}, {E164: 33199001234, Time: timestamppb.New(testDay), Scope: "a b"}, {E164: 33199001234, Time: timestamppb.New(testDay), Place: "Nowhere"},
		{E164: 33199001234, Time: timestamppb.New(testDay), Purpose: 9}, one[0],
	}}, &dncv1.AuditCallsRequest{Calls: one})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"FIELD_INVALID", "SCOPE_INVALID", "FIELD_INVALID", "FIELD_INVALID", ""} {
		if got := reasonOf(errorOfItem(resp[1].GetAnswers()[i].GetError())); got != want {
			t.Errorf("call %d: got %q, want %q", i, got, want)
		}
	}
	after, err := n.store.ReadAccess(store.AccessQuery{Limit: 10})
	if err != nil || len(after.Entries) != len(before.Entries)+1 || after.Entries[len(after.Entries)-1].Method != "AuditService/AuditCalls" {
		t.Errorf("got %v, %v in the access log, want one entry more than %v", after.Entries, err, before.Entries)
	}
}
