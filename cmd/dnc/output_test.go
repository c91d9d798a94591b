package main

import (
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

func TestDescribeResult(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 9, 9, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		result client.Result
		want   string
	}{
		{client.Result{Verdict: client.Allow}, ""},
		{
			client.Result{Reasons: []client.Reason{{Kind: client.ReasonListed, List: "us-ftc", SnapshotDate: "2026-09-09"}}},
			"us-ftc (listed, snapshot 2026-09-09)",
		},
		{
			client.Result{Reasons: []client.Reason{
				{Kind: client.ReasonOptOut, Scope: "acme", Channel: client.ChannelInPerson, Since: at, ExpiresAt: at.AddDate(1, 0, 0)},
				{Kind: client.ReasonListed, List: "partner", Scope: "acme"},
			}},
			"opt-out for acme (in person, since 2026-09-09, until 2027-09-09T12:00:00Z); partner (listed, for acme)",
		},
		{
			client.Result{Cause: client.CauseStaleList, Reasons: []client.Reason{{Kind: client.ReasonStaleList, List: "us-ftc", SnapshotDate: "2026-08-01"}}},
			"STALE_LIST: us-ftc (stale list, snapshot 2026-08-01)",
		},
		{client.Result{Cause: client.CauseDataDamaged}, "DATA_DAMAGED"},
		{client.Result{Cause: client.CauseDataDamaged, Reasons: []client.Reason{{Kind: client.ReasonDataDamaged}}}, "DATA_DAMAGED: damaged data"},
		{client.Result{Cause: client.CauseNoRule, Reasons: []client.Reason{{Kind: client.ReasonNoRule}}}, "NO_RULE: no rule for its country"},
		{client.Result{Reasons: []client.Reason{{Kind: client.ReasonConsentRequired, Rule: "fr"}}}, "consent required (fr)"},
		{client.Result{Reasons: []client.Reason{{Kind: client.ReasonConsent, ConsentKind: "PERMISSION", Since: at}}}, "consent for everyone (permission, since 2026-09-09)"},
		{
			client.Result{OpensAt: at, Reasons: []client.Reason{{Kind: client.ReasonCallingHours, Rule: "fr"}}},
			"opens 2026-09-09T12:00:00Z; outside calling hours (fr)",
		},
		{
			client.Result{OpensAt: at, Reasons: []client.Reason{{Kind: client.ReasonCallingHours, Rule: "FR", TimeZone: "Europe/Paris"}}},
			"opens 2026-09-09 14:00 (Europe/Paris); outside calling hours (FR)",
		},
		{
			client.Result{Verdict: client.Allow, Reasons: []client.Reason{
				{Kind: client.ReasonListClear, List: "us-ftc", SnapshotDate: "2026-09-09"}, {Kind: client.ReasonHoursNotChecked},
			}},
			"not on us-ftc (snapshot 2026-09-09); calling hours not checked",
		},
		{
			client.Result{Verdict: client.Allow, Reasons: []client.Reason{
				{Kind: client.ReasonListClear, List: "a"}, {Kind: client.ReasonListClear, List: "b"}, {Kind: client.ReasonListClear, List: "c"},
				{Kind: client.ReasonListClear, List: "d"}, {Kind: client.ReasonHoursOpen, Rule: "US", TimeZone: "America/New_York"},
			}},
			"not on 4 lists; within calling hours (US, America/New_York)",
		},
	}
	for _, tt := range tests {
		if got := describeResult(tt.result); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	for want, pair := range map[string][2]uint64{"revision 3": {3, 3}, "revisions 3 to 5": {3, 5}} {
		if got := revisions(pair[0], pair[1]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDescribeImport(t *testing.T) {
	t.Parallel()
	record := client.ImportRecord{
		State: client.ImportSwitched, Mode: client.ModeReplace, Read: 2, Accepted: 1, Duplicates: 1, Added: 1, Numbers: 1,
		Sources: []client.ImportSource{{Name: "a.txt", Size: 1}},
	}
	want := "-  switched  replace  read 2 = 1 accepted + 1 duplicate + 0 rejected  (1 added, 0 removed, 1 after)\n    a.txt  1 byte  sha256 -"
	if got := describeImportRecord(record) + filesOf(record); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	record = client.ImportRecord{State: client.ImportRecorded, Mode: client.ModeOptOuts, Read: 2, Accepted: 1, Rejected: 1, Revision: 7, RecordedBy: "ops"}
	want = "(opt-outs)  -  recorded  read 2 = 1 accepted + 0 duplicates + 1 rejected  revision 7  by ops"
	if got := loaded(record) + "  " + describeImportRecord(record); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1 << 60: "1048576.0 TiB"} {
		if got := size(bytes); got != want {
			t.Errorf("size(%d) is %q, want %q", bytes, got, want)
		}
	}
}
