package main

import (
	"os"
	"testing"

	"github.com/dncd/dncd/bench/internal/report"
)

// A short form of the campaign; `go run . damage` is the long one.
func TestDamage(t *testing.T) {
	data := t.TempDir()
	out, log, err := runBench(t, "damage", "--json", "--trials", "10", "--opt-outs", "2000", "--numbers", "20000", "--seed", "1", "--data", data)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	stores := map[string]int{}
	for _, r := range decodeRows[report.Damage](t, out) {
		if r.Case != report.CaseDamage {
			continue
		}
		stores[r.Store] += r.Trials
		if r.Faults > 0 || r.Refused+r.Detected+r.Harmless != r.Trials {
			t.Errorf("got %+v, want an outcome for each trial and no fault", r)
		}
	}
	want := map[string]int{"closed": 4, "killed": 2, "pair": 2, "running": 2}
	for store, trials := range want {
		if stores[store] != trials {
			t.Errorf("got %d trials of the %s store, want %d", stores[store], store, trials)
		}
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
