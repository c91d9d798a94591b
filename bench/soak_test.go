package main

import (
	"slices"
	"testing"

	"github.com/dncd/dncd/bench/internal/report"
)

func TestSoak(t *testing.T) {
	args := slices.Concat([]string{"soak", "--duration", "6s", "--every", "1s", "--rate", "500", "--callers", "16",
		"--replace", "400ms", "--connection-age", "500ms", "--optouts", "50", "--data", t.TempDir()}, tiny)
	out, log, err := runBench(t, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	rows := decodeRows[report.Soak](t, out)[1:]
	if len(rows) < 3 {
		t.Fatalf("got\n%s\nwant stretches and the whole", out)
	}
	total := rows[len(rows)-1]
	if total.Case != report.CaseSoakTotal || total.Errors != 0 || total.OptOuts == 0 || total.Loads == 0 || total.Capacity <= 0 {
		t.Errorf("got %+v of the whole", total)
	}
	for _, row := range rows[:len(rows)-1] {
		if row.Case != report.CaseSoak || row.Rate <= 0 || row.P99 < row.P50 || row.At <= 0 {
			t.Errorf("got %+v", row)
		}
	}
}
