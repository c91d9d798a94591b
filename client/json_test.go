package client_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

func TestJSON(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 9, 10, 14, 0, 0, 5e6, time.FixedZone("CEST", 7200))
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{
			"a whole result",
			client.Result{
				Number: "+14155550100", Verdict: client.Block, Position: client.Position{Revision: 7, JournalID: "ab", Tag: "0f"}, CheckedAt: at,
				Reasons:    []client.Reason{{Kind: client.ReasonOptOut, Channel: client.ChannelInPerson, Since: at, Record: client.EventID{Revision: 3}}},
				ClockAhead: 1500 * time.Millisecond, TablesVersion: "phone:1", TablesDifference: []string{"tzdata"},
			},
			`{"number":"+14155550100","verdict":"BLOCK","cause":null,"reasons":[{"kind":"OPT_OUT","list":null,"list_kind":null,` +
				`"scope":"","channel":"IN_PERSON","since":"2026-09-10T12:00:00.005Z","snapshot_date":null,"rule":null,` +
				`"record":{"revision":3,"index":0},"consent_kind":null,"expires_at":null,"source":null,"time_zone":null}],"revision":7,"journal_id":"ab","tag":"0f",` +
				`"checked_at":"2026-09-10T12:00:00.005Z","valid_until":null,"opens_at":null,"policy_version":null,` +
				`"clock_ahead":1.5,"tables_version":"phone:1","tables_difference":["tzdata"]}`,
		},
		{
			"the zero result",
			client.Result{},
			`{"number":null,"verdict":null,"cause":null,"reasons":[],"revision":0,"journal_id":null,"tag":null,` +
				`"checked_at":null,"valid_until":null,"opens_at":null,"policy_version":null,"clock_ahead":null,"tables_version":null,"tables_difference":[]}`,
		},
		{
			"a number with its check",
			client.NumberInfo{Number: "+14155550100", Check: &client.Result{Verdict: client.Block}},
			`{"number":"+14155550100","regions":[],"revision":0,"journal_id":null,"tag":null,"read_at":null,"records":[],"lists":[],"tables_version":null,` +
				`"tables_difference":[],"check":{"number":null,"verdict":"BLOCK","cause":null,"reasons":[],"revision":0,"journal_id":null,"tag":null,` +
				`"checked_at":null,"valid_until":null,"opens_at":null,"policy_version":null,"clock_ahead":null,"tables_version":null,"tables_difference":[]}}`,
		},
		{
			"a number that the caller may not check",
			client.NumberInfo{},
			`{"number":null,"regions":[],"revision":0,"journal_id":null,"tag":null,"read_at":null,"records":[],"lists":[],"tables_version":null,` +
				`"tables_difference":[],"check":null}`,
		},
		{
			"durations and filters",
			client.ListStats{Name: "a \"b\"", Numbers: 1 << 60, Filter: &client.FilterStats{FillRatio: 0.5, Rebuilding: true}},
			`{"name":"a \"b\"","id":null,"state":null,"numbers":1152921504606846976,"bytes":0,"snapshot_date":null,"visible":null,` +
				`"filter":{"bytes":0,"count":0,"fill_ratio":0.5,"false_positive_rate":0,"longest_chain":0,"rebuilding":true}}`,
		},
		{
			"a load in seconds",
			client.GuardFailure{Guard: "SHRINK", Before: 2, Limit: 0.1},
			`{"guard":"SHRINK","prefix":null,"message":null,"before":2,"after":0,"limit":0.1,"overridden":false}`,
		},
		{
			"a batch",
			client.BatchResult{
				Position: client.Position{Revision: 7, JournalID: "ab", Tag: "0f"}, CheckedAt: at, PolicyVersion: "1", Reasons: []client.Reason{{Kind: client.ReasonOptOut}},
				Details: []client.BatchDetail{
					{Index: 1, Reasons: []uint32{0}, ValidUntil: at}, {Index: 2, Err: errors.New("no such number")}, {Cause: client.CauseStaleList},
				},
			},
			`{"verdicts":[],"details":[` +
				`{"index":1,"cause":null,"reasons":[0],"valid_until":"2026-09-10T12:00:00.005Z","opens_at":null,"error":null},` +
				`{"index":2,"cause":null,"reasons":[],"valid_until":null,"opens_at":null,"error":{"reason":null,"message":"no such number"}},` +
				`{"index":0,"cause":"STALE_LIST","reasons":[],"valid_until":null,"opens_at":null,"error":null}],` +
				`"reasons":[{"kind":"OPT_OUT","list":null,"list_kind":null,"scope":"","channel":null,"since":null,"snapshot_date":null,` +
				`"rule":null,"record":null,"consent_kind":null,"expires_at":null,"source":null,"time_zone":null}],"revision":7,"journal_id":"ab","tag":"0f",` +
				`"checked_at":"2026-09-10T12:00:00.005Z","policy_version":"1","clock_ahead":null,"tables_version":null,"tables_difference":[]}`,
		},
	}
	for _, tt := range tests {
		got, err := json.Marshal(tt.value)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if string(got) != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// TestJSONFields checks that no type leaves a field out, whatever it holds.
func TestJSONFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value  any
		fields int
	}{
		{client.Result{}, 14}, {client.Receipt{}, 8}, {client.WithdrawReceipt{}, 9}, {client.ConsentReceipt{}, 9}, {client.ConsentRecord{}, 20}, {client.NumberInfo{}, 11},
		{client.Record{}, 16}, {client.Story{}, 7}, {client.ListEntry{}, 6}, {client.History{}, 7},
		{client.HistoryEvent{}, 24}, {client.List{}, 17}, {client.ListReceipt{}, 4}, {client.DeleteReceipt{}, 4},
		{client.ImportRecord{}, 27}, {client.ImportSource{}, 4}, {client.RejectTally{}, 2},
		{client.ImportResult{}, 23}, {client.ImportOptOutsResult{}, 15}, {client.GuardFailure{}, 7}, {client.ServerStats{}, 22}, {client.Stats{}, 3}, {client.ConnectionStats{}, 8}, {client.ListStats{}, 8},
		{client.FilterStats{}, 6}, {client.BatchResult{}, 11}, {client.BatchDetail{}, 6},
		{client.Token{}, 9}, {client.TokenReceipt{}, 14}, {client.RevokeReceipt{}, 6}, {client.Identity{}, 6}, {client.Act{}, 7}, {client.Access{}, 7},
		{client.SubscriberInfo{}, 16}, {client.SubscriberStatus{}, 23}, {client.StageStatus{}, 8}, {client.SubscriberReceipt{}, 22},
		{client.RemoveReceipt{}, 6}, {client.AckReceipt{}, 7}, {client.Desk{}, 6}, {client.DeskReceipt{}, 12},
		{client.Change{}, 12}, {client.FollowState{}, 11}, {client.CallAnswer{}, 9}, {client.CallOptOut{}, 5},
	} {
		text, err := json.Marshal(tt.value)
		if err != nil {
			t.Fatalf("%T: %v", tt.value, err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%T: %v in %s", tt.value, err, text)
		}
		if len(got) != tt.fields {
			t.Errorf("%T has %d fields, want %d: %s", tt.value, len(got), tt.fields, text)
		}
	}
}

func TestMaxAgeIsSeconds(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(client.List{MaxAge: 31 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		MaxAge float64 `json:"max_age"`
	}
	if err := json.Unmarshal(text, &got); err != nil || got.MaxAge != 2678400 {
		t.Errorf("max_age is %v (%v), want 2678400", got.MaxAge, err)
	}
}
