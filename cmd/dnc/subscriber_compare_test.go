package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

// TestComparisonWithoutAListIsNotClean: what could not be compared may be missing.
func TestComparisonWithoutAListIsNotClean(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		found client.Comparison
		code  int
		says  string
	}{
		"clean":    {client.Comparison{InFlight: 3, Extra: 5}, 0, ""},
		"missing":  {client.Comparison{Missing: 1}, exitNo, "north does not block 1 number that it has to block"},
		"in doubt": {client.Comparison{ListsInDoubt: []string{"partner"}}, exitNo, "partner could not be compared"},
	} {
		a, said := new(app), new(bytes.Buffer)
		a.sayFound(said, client.CompareResult{Subscriber: "north", Comparison: c.found}, compareFlags{})
		if a.code != c.code || !strings.Contains(said.String(), c.says) || (c.says == "") != (said.Len() == 0) {
			t.Errorf("%s: got code %d and %q, want %d and %q", name, a.code, said, c.code, c.says)
		}
	}
}

// TestRepairHoldsOnlyWhatIsInForce: what ended since the export was taken need not be blocked.
func TestRepairHoldsOnlyWhatIsInForce(t *testing.T) {
	t.Parallel()
	out := new(bytes.Buffer)
	a := &app{stdout: out}
	r, err := a.openRepair(compareFlags{out: "-"})
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 9, 10, 12, 0, 0, 0, time.UTC)
	for _, d := range []client.Difference{
		{Number: "+14155550101", Kind: client.DifferenceMissing, Scope: "acme", Source: "opt-out", Since: since},
		{Number: "+14155550102", Kind: client.DifferenceMissing, Source: "7.0", List: "partner", Since: since, InForce: true},
	} {
		if err := r.add(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.keep(); err != nil {
		t.Fatal(err)
	}
	if want := "number,scope,source,since\n+14155550102,,7.0,2026-09-10T12:00:00Z\n"; out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
}
