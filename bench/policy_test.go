package main

import (
	"testing"

	"github.com/dncd/dncd/bench/internal/report"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	out, log, err := runBench(t, "policy", "--json", "--numbers", "2000", "--opt-outs", "500", "--consents", "500", "--probes", "4000", "--runs", "2",
		"--duration", "100ms", "--callers", "4", "--batch", "100", "--data", t.TempDir())
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	rows := decodeRows[report.Policy](t, out)
	if len(rows) != 3 || rows[1].Case != report.CaseUnary || rows[2].Case != report.CaseBatch || rows[2].Size != 100 || rows[1].Runs != 2 {
		t.Fatalf("got\n%s\nwant a machine, unary checks and batches", out)
	}
}
