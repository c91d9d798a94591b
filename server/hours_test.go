package server_test

import (
	"testing"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const byDay = `format: 1
default: allow
countries:
  FR:
    hours:
      mon-fri: ["10:00-13:00", "14:00-20:00"]
      holidays: closed
      regional_holidays: strict
      source: the law
    service: {permitted: true, source: the code}
`

// The three forms of a check say the same of calling hours: when they open, by whose clock, and what an ALLOW rests on.
func TestCallingHoursOnTheWire(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx := testContext(t)
	if _, err := dncv1.NewPolicyServiceClient(n.conn).SetPolicy(ctx, &dncv1.SetPolicyRequest{Document: byDay}); err != nil {
		t.Fatal(err)
	}
	const allow, notNow = dncv1.Verdict_VERDICT_ALLOW, dncv1.Verdict_VERDICT_NOT_NOW
	for _, tt := range []struct {
		now, place string
		purpose    dncv1.Purpose
		want       dncv1.Verdict
		opens      string
		zone       string
		kind       dncv1.ReasonKind
	}{
		{"2026-11-30T09:00:00Z", "", 0, allow, "", "Europe/Paris", dncv1.ReasonKind_REASON_KIND_HOURS_OPEN},
		{"2026-11-30T12:30:00Z", "", 0, notNow, "2026-11-30T13:00:00Z", "Europe/Paris", dncv1.ReasonKind_REASON_KIND_CALLING_HOURS},
		{"2026-11-30T12:30:00Z", "", dncv1.Purpose_PURPOSE_MARKETING, notNow, "2026-11-30T13:00:00Z", "Europe/Paris", dncv1.ReasonKind_REASON_KIND_CALLING_HOURS},
		{"2026-11-30T12:30:00Z", "", dncv1.Purpose_PURPOSE_SERVICE, allow, "", "", dncv1.ReasonKind_REASON_KIND_SERVICE_PERMITTED},
		{"2026-11-30T12:30:00Z", "Indian/Reunion", 0, allow, "", "Indian/Reunion", dncv1.ReasonKind_REASON_KIND_HOURS_OPEN},
		{"2027-03-26T09:30:00Z", "", 0, notNow, "2027-03-30T08:00:00Z", "Europe/Paris", dncv1.ReasonKind_REASON_KIND_CALLING_HOURS}, // Good Friday, and Easter Monday
		{"2027-03-26T09:30:00Z", "FR-IDF", 0, allow, "", "Europe/Paris", dncv1.ReasonKind_REASON_KIND_HOURS_OPEN},
		{"2027-03-26T09:30:00Z", "FR-67", 0, notNow, "2027-03-30T08:00:00Z", "Europe/Paris", dncv1.ReasonKind_REASON_KIND_CALLING_HOURS},
		{"2027-12-31T19:30:00Z", "", 0, notNow, "2028-01-03T09:00:00Z", "Europe/Paris", dncv1.ReasonKind_REASON_KIND_CALLING_HOURS},
	} {
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		n.clock.add(now.Sub(n.clock.Now()))
		hold := func(form string, verdict dncv1.Verdict, opens time.Time, reasons []*dncv1.Reason) {
			t.Helper()
			got := ""
			if !opens.IsZero() {
				got = opens.UTC().Format(time.RFC3339)
			}
			if verdict != tt.want || got != tt.opens || len(reasons) == 0 || reasons[0].GetKind() != tt.kind || reasons[0].GetTimeZone() != tt.zone || reasons[0].GetRule() != "FR" {
				t.Errorf("%s at %s in %q: %v, opens %q, %v; want %v, opens %q", form, tt.now, tt.place, verdict, got, reasons, tt.want, tt.opens)
			}
		}
		one, err := n.check.CheckNumber(ctx, &dncv1.CheckNumberRequest{Number: frenchNumber, Purpose: tt.purpose, Place: tt.place})
		if err != nil {
			t.Fatal(err)
		}
		hold("CheckNumber", one.GetVerdict(), timeOf(one.GetOpensAt().AsTime(), one.GetOpensAt() != nil), one.GetReasons())
		s := n.openStream(ctx)
		check := ofText(1, frenchNumber)
		check.Purpose, check.Place, check.Explain = tt.purpose, tt.place, true
		s.ask(check)
		got := s.takeOne(1)
		hold("StreamChecks", got.GetVerdict(), timeOf(got.GetOpensAt().AsTime(), got.GetOpensAt() != nil), reasonsAt(got.in.GetReasons(), got.GetReasonIndexes()))
		if tt.place != "" {
			continue
		}
		many, err := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{Numbers: []string{frenchNumber, "x", frenchNumber}, Purpose: tt.purpose, Explain: true})
		if err != nil || len(many.GetDetails()) != 3 {
			t.Fatalf("batch: %v, %v", many, err)
		}
		for _, i := range []int{0, 2} {
			d := many.GetDetails()[i]
			hold("CheckNumbers", many.GetVerdicts()[i], timeOf(d.GetOpensAt().AsTime(), d.GetOpensAt() != nil), reasonsAt(many.GetReasons(), d.GetReasonIndexes()))
		}
		brief, err := n.check.CheckNumbers(ctx, &dncv1.CheckNumbersRequest{Numbers: []string{frenchNumber}, Purpose: tt.purpose})
		if err != nil || (len(brief.GetDetails()) == 0) != (tt.want == allow) {
			t.Errorf("batch without explain at %s: %v, %v", tt.now, brief, err)
		}
	}
}

// timeOf is at, or zero unless it is set.
func timeOf(at time.Time, set bool) time.Time {
	if !set {
		return time.Time{}
	}
	return at
}

func reasonsAt(all []*dncv1.Reason, places []uint32) (out []*dncv1.Reason) {
	for _, i := range places {
		out = append(out, all[i])
	}
	return out
}
