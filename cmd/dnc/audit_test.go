package main

import (
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

// auditedRows reads what was written with --out: the rows whose name is wanted, by that name.
func auditedRows(t *testing.T, path string, wanted func(name string) bool) map[string]map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	titles, err := r.Read()
	rows := map[string]map[string]string{}
	for err == nil {
		var fields []string
		if fields, err = r.Read(); err != nil {
			break
		}
		row := map[string]string{}
		if name := fields[slices.Index(titles, "name")]; wanted(name) {
			rows[name] = row
		}
		for i, title := range titles {
			row[title] = fields[i]
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return rows
}

// TestAudit audits calls before and after an opt-out was received, recorded and applied.
func TestAudit(t *testing.T) {
	t.Parallel()
	addr, _ := startDaemon(t)
	now := func() string {
		time.Sleep(5 * time.Millisecond) // so that no two moments are the same
		defer time.Sleep(5 * time.Millisecond)
		return time.Now().UTC().Format(time.RFC3339Nano)
	}
	mustDnc(t, addr, "subscriber", "put", "lyon", "--kind", "internal", "--scope", "acme")
	received := now()
	between := now()
	mustDnc(t, addr, "optout", "add", "+33199001234", "--scope", "acme", "--received-at", received)
	recorded := now()
	mustDnc(t, addr, "subscriber", "ack", "lyon", "--at", "2", "--stage", "applied")
	applied := now()
	calls := writeTemp(t, "calls.csv", "phone,name,time,brand\n"+
		"+33199001234,applied,"+applied+",acme/telecom\n"+
		"+33199001234,recorded,"+recorded+",acme/telecom\n"+
		"+33199001234,between,"+between+",acme\n"+
		"+33199001234,elsewhere,"+applied+",other\n"+
		"+33199001299,free,"+applied+",\n"+
		"+33199001299,old,2020-01-01T10:00:00Z,acme\n"+
		"12,bad,"+applied+",acme\n"+
		"+33199001234,date,2026-09-01,acme\n")
	out := filepath.Join(t.TempDir(), "audited.csv")
	code, stdout, stderr := dncOf(t.Context(), addr, "audit", calls, "--scope", "acme/other", "--scope-column", "brand", "--subscriber", "lyon", "--out", out)
	if code != exitNo || !strings.HasSuffix(stderr, "8 rows: ALLOW 3, BLOCK 2, NOT_KNOWN 1, INVALID 2; for 1 permitted call an opt-out had been received, and was recorded only later\n") ||
		!strings.Contains(stderr, `dnc: calls.csv: number from "phone"; time from "time"; scope from "brand"`) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{
		"acme/telecom BLOCK OPT_OUT NOT_APPLIED 1", "acme/telecom BLOCK OPT_OUT UNDER_1_HOUR 1", "acme ALLOW OPT_OUT_RECORDED_LATER - 1",
		"2020-01-01 acme NOT_KNOWN HISTORY_GONE - 1", "- acme INVALID no time of day: a call has a time, not only a date - 1",
	} {
		if got := strings.Join(strings.Fields(stdout), " "); !strings.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, stdout)
		}
	}
	rows := auditedRows(t, out, func(string) bool { return true })
	for name, want := range map[string]string{
		"applied": "BLOCK", "recorded": "BLOCK", "between": "ALLOW", "elsewhere": "ALLOW", "free": "ALLOW", "old": "NOT_KNOWN", "bad": "INVALID", "date": "INVALID",
	} {
		if got := rows[name]["verdict"]; got != want {
			t.Errorf("%s: got %q, want %s: %v", name, got, want, rows[name])
		}
	}
	for name, want := range map[string][3]bool{ // of each column of seconds: is it before the call
		"applied": {true, true, true}, "recorded": {true, true, false}, "between": {true, false, false},
	} {
		for i, what := range []string{"received", "recorded", "applied"} {
			if at, err := time.Parse(time.RFC3339Nano, rows[name]["opt_out_"+what+"_at"]); err != nil || at.IsZero() {
				t.Errorf("%s: %s at %q", name, what, rows[name]["opt_out_"+what+"_at"])
			}
			if got := rows[name]["seconds_since_"+what]; got == "" || want[i] == strings.HasPrefix(got, "-") {
				t.Errorf("%s: %s %q seconds before the call", name, what, got)
			}
		}
	}
	if rows["free"]["opt_out_received_at"] != "" || rows["old"]["revision"] != "" {
		t.Errorf("got %v and %v, want no opt-out and no revision", rows["free"], rows["old"])
	}
}

// TestAuditProgressCountsAnswers reads a whole file before it asks: the bar must not be full by then.
func TestAuditProgressCountsAnswers(t *testing.T) {
	t.Parallel()
	addr, _ := startDaemon(t)
	var flags auditFlags
	calls, err := flags.open(nil, writeTemp(t, "calls.csv", "phone,time\n+33199001234,2020-01-01T10:00:00Z\n,\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer calls.Close()
	c, err := client.New(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	run := &auditRun{client: c, calls: calls, flags: flags, counts: newCallCounts(), layout: newLayout(calls.Rows, false)}
	if err := run.read(t.Context()); !errors.Is(err, io.EOF) || run.progress().done != 0 {
		t.Errorf("before a call was answered: %+v, %v", run.progress(), err)
	}
	if err := run.ask(t.Context()); err != nil || run.progress().done != calls.TotalBytes() {
		t.Errorf("at the end: %+v, %v", run.progress(), err)
	}
}
